"""The cross-validation: which rows meet which, what may leak, what weights and units mean, and what is refused."""

import dataclasses
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

import lossfn
from lossfn.comparison import DataError, compare, splits
from lossfn.comparison.candidates import Candidate, choose_candidates
from lossfn.comparison.data import read_data
from lossfn.comparison.models import L2_GRID, Fitted, Linear
from lossfn.comparison.splits import inner_splits, outer_splits
from lossfn.comparison.validation import Part, _choose, cross_validate

ROWS = 60
LOSSES = ["absolute_error", "Huber"]


def regression_data(seed=0, rows=ROWS):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"a": rng.normal(size=rows), "b": rng.exponential(size=rows), "c": rng.choice(["u", "v"], rows)}
    )
    return frame, pd.Series(frame["a"] + 2 * (frame["c"] == "u") + rng.standard_t(3, size=rows), name="y")


def binary_data(seed=0, rows=ROWS, share=0.3):
    rng = np.random.default_rng(seed)
    labels = (np.arange(rows) < share * rows).astype(int)
    return rng.normal(size=(rows, 2)) + labels[:, None], labels


def read(X, y, **options):
    defaults = {"task": None, "weight": None, "groups": None, "folds": 5, "target_name": None}
    return read_data(X, y, **(defaults | options))


def run(X, y, losses=LOSSES, *, l2=None, repeats=1, **options):
    data = read(X, y, **options)
    model = Linear(l2)
    candidates, _ = choose_candidates(losses, data, model)
    return cross_validate(data, candidates, folds=5, repeats=repeats, model=model, seed=0, progress=None)


# ---- which rows meet which -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["regression", "binary"])
@pytest.mark.parametrize("grouped", [False, True])
def test_every_row_is_held_out_once_a_repeat_and_never_trained_on(task, grouped):
    X, y = regression_data() if task == "regression" else binary_data()
    groups = np.random.default_rng(1).integers(0, 30, ROWS) if grouped else None
    data = read(X, y, groups=groups)
    parts = outer_splits(data, 5, 3, seed=0)
    for repeat in range(3):
        held_out = np.concatenate([split.test for split in parts if split.repeat == repeat])
        assert sorted(held_out) == list(range(ROWS))
    for split in parts:
        assert sorted([*split.train, *split.test]) == list(range(ROWS))
        for fit, held in inner_splits(data, split.train, seed=0):
            assert not set(split.test) & {*fit, *held}
            assert not set(fit) & set(held)
    assert set(parts[0].test) != set(parts[5].test)  # another repeat, other folds


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_groups_never_straddle_a_split(task):
    X, y = regression_data() if task == "regression" else binary_data()
    groups = np.random.default_rng(2).choice([f"group {i}" for i in range(20)], ROWS)
    data = read(X, y, groups=groups)
    for split in outer_splits(data, 5, 2, seed=0):
        assert not set(groups[split.train]) & set(groups[split.test])
        for fit, held in inner_splits(data, split.train, seed=0):
            assert not set(groups[fit]) & set(groups[held])


def test_folds_keep_the_classes_in_balance():
    data = read(*binary_data(share=0.1))
    assert [data.target[split.test].sum() for split in outer_splits(data, 3, 2, seed=0)] == [2] * 6


def test_a_fold_with_one_class_is_refused(monkeypatch):
    # Groups may force this on the stratified splitter; here one that does not stratify stands in for it.
    monkeypatch.setattr(splits, "_splitter", lambda *_: KFold(5))
    with pytest.raises(DataError, match="a fold holds one class only, since groups are never split: use fewer folds"):
        outer_splits(read(*binary_data()), 5, 1, seed=0)


# ---- what may leak -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", [["Huber"], ["Poisson"]])
def test_held_out_targets_have_no_influence(losses):
    X, y = regression_data()
    y = y - y.min()
    before = run(X, y, losses)
    held_out = before["SquaredError"][0].split.test
    changed = y.copy()
    changed[held_out] = 1000 + changed[held_out].to_numpy()[::-1]
    after = run(X, changed, losses)
    for key in before:
        assert np.array_equal(before[key][0].held_out.prediction, after[key][0].held_out.prediction)
        assert before[key][0].setting == after[key][0].setting
        assert before[key][0].loss == after[key][0].loss
        assert not np.array_equal(before[key][1].held_out.prediction, after[key][1].held_out.prediction)


def test_a_held_out_row_changes_nothing_but_its_own_prediction():
    X, y = regression_data()
    before = run(X, y, l2=0.01)
    row = before["SquaredError"][0].split.test[0]
    changed = X.copy()
    changed.loc[row, "a"] = 1e6
    changed.loc[row, "c"] = "never seen"
    after = run(changed, y, l2=0.01)
    for key in before:
        others = before[key][0].held_out.prediction[1:], after[key][0].held_out.prediction[1:]
        assert np.array_equal(*others)


# ---- weights and units ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("losses", "l2"), [(["Huber"], None), (["Pinball(tau=0.9)"], 0.01)])
def test_weight_two_equals_a_row_twice(losses, l2):
    X, y = regression_data(rows=60)
    weight = np.random.default_rng(3).integers(1, 4, 60)
    # As groups, the copies of a row stay together, and the splits of the groups are those of the rows.
    rows = np.repeat(np.arange(60), weight)
    weighted = compare(X, y, losses=losses, l2=l2, weight=weight, groups=np.arange(60), repeats=1)
    repeated = compare(X.iloc[rows], y.iloc[rows], losses=losses, l2=l2, groups=rows, repeats=1)
    for ours, theirs in zip(weighted.losses, repeated.losses, strict=True):
        assert ours.settings == theirs.settings
        assert ours.parameters == pytest.approx(theirs.parameters, rel=1e-3)
    pd.testing.assert_frame_equal(weighted.table, repeated.table, rtol=1e-3)


def test_scores_follow_the_unit_of_the_target():
    X, y = regression_data()
    small = compare(X, y, losses=["Huber(delta=2)", "LogCosh"], repeats=1)
    large = compare(X, 1000 * y - 7, losses=["Huber(delta=2000)", "LogCosh"], repeats=1)
    np.testing.assert_allclose(large.table, 1000 * small.table, rtol=1e-4)
    assert large.losses[2].parameters["scale"] == pytest.approx(1000 * small.losses[2].parameters["scale"], rel=1e-4)


def test_the_user_s_delta_is_in_units_of_the_target():
    """A delta beyond all residuals makes Huber's loss half the squared error; one below most of them does not."""
    X, y = regression_data()
    losses = ["half_squared_error", "Huber(delta=1e4)", "Huber(delta=0.1)"]
    result = compare(X, 1000 * y, losses=losses, l2=0.0, repeats=1)
    table = result.table["RMSE"]
    assert table["HalfSquaredError"] == pytest.approx(table["Huber(delta=10000)"], rel=1e-6)
    assert table["HalfSquaredError"] != pytest.approx(table["Huber(delta=0.1)"], rel=1e-3)
    assert result.loss("Huber(delta=0.1)").parameters == {}


def test_scale_parameters_follow_the_residuals():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(400, 2))
    y = 100 * X[:, 0] + 5 * rng.normal(size=400)
    result = compare(X, y, losses=["Huber", lossfn.PseudoHuber()], l2=1e-4, repeats=1)
    assert result.loss("Huber").parameters["delta"] == pytest.approx(1.345 * 5, rel=0.1)
    assert result.loss("PseudoHuber").parameters["delta"] == pytest.approx(1.345 * 5, rel=0.1)
    assert any("1.345 times the robust scale" in note for note in result.notes)


def test_predictions_are_on_the_natural_scale():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 1))
    counts = rng.poisson(np.exp(2 + 0.5 * X[:, 0]))
    result = compare(X, counts, losses=["Poisson"], repeats=1)
    predictions = result.predictions.by_loss["Poisson"]
    assert np.mean(predictions) == pytest.approx(counts.mean(), rel=0.02)
    assert (predictions > 0).all()
    np.testing.assert_allclose(predictions, np.exp(2 + 0.5 * X[:, 0]), rtol=0.2)


def test_probabilities_are_corrected_for_weights_and_smoothing():
    X, y = binary_data(rows=400, share=0.1)
    result = compare(X, y, repeats=1, l2=1e-3)
    for key, probability in result.predictions.by_loss.items():
        if key != "Hinge":
            assert np.mean(probability) == pytest.approx(0.1, abs=0.02), key


# ---- what is refused, left out, or has no score ---------------------------------------------------------------------


def test_hinge_has_no_probability_and_says_so():
    result = compare(*binary_data(), losses=["Hinge"], repeats=1)
    hinge = result.loss("Hinge")
    for key in ("log_score", "brier", "ece"):
        assert hinge.scores[key].mean is None
        assert hinge.scores[key].reason == "Hinge estimates the class, not a probability."
        assert result.verdict("Hinge", key) is None
    assert hinge.scores["average_precision"].mean > 0.3
    assert result.verdict("Hinge", "balanced_accuracy") is not None
    assert result.predictions.by_loss["Hinge"] is None
    assert np.isnan(result.table.loc["Hinge", "Log score"])


def test_default_candidates():
    X, y = regression_data()

    def keys(target):
        return [candidate.key for candidate in choose_candidates(None, read(X, target), Linear())[0]]

    usual = ["SquaredError", "AbsoluteError", "Huber", "PseudoHuber", "LogCosh", "Pinball(tau=0.1)", "Pinball(tau=0.9)"]
    assert keys(y) == usual
    assert keys(np.arange(ROWS)) == [*usual, "Poisson"]
    assert keys(np.arange(ROWS) / 2) == usual
    assert keys(np.arange(ROWS) % 2) == [
        "BinaryCrossEntropy",
        "BinaryCrossEntropy(balanced)",
        "BinaryFocal",
        "BinaryCrossEntropy(label_smoothing=0.1)",
        "Hinge",
    ]


def test_one_loss_is_the_default():
    data = read(regression_data()[0], np.arange(ROWS) % 2)
    candidates, _ = choose_candidates(None, data, Linear())
    assert [candidate.key for candidate in candidates if candidate.is_default] == ["BinaryCrossEntropy"]


def test_the_default_loss_is_added_first_and_said():
    data = read(*regression_data())
    candidates, notes = choose_candidates(["Huber(delta=2)"], data, Linear())
    assert [candidate.key for candidate in candidates] == ["SquaredError", "Huber(delta=2)"]
    assert notes == ("SquaredError was added: it is the default that the others are compared with.",)
    candidates, _ = choose_candidates([lossfn.Huber(delta=2.0), "squared_error"], data, Linear())
    assert [candidate.key for candidate in candidates] == ["SquaredError", "Huber(delta=2)"]
    assert choose_candidates("squared_error", data, Linear())[0][0].is_default


def test_losses_that_cannot_take_the_target_are_left_out():
    candidates, notes = choose_candidates(["Poisson", "Huber(delta=1)"], read(*regression_data()), Linear())
    assert [candidate.key for candidate in candidates] == ["SquaredError", "Huber(delta=1)"]
    assert "Poisson was left out: it needs targets that are a finite number >= 0" in notes[1]


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (["Huber", "huber"], "the loss Huber is given twice"),
        (["hinge"], "is a loss for binary, but the task is regression"),
        (["GaussianNLL"], "needs 2 predictions a row"),
        ([], "the list of losses is empty"),
        ([3], "not a loss: 3"),
        (["hubber"], "unknown loss 'hubber'; did you mean huber"),
    ],
)
def test_bad_losses_are_refused(losses, message):
    with pytest.raises(ValueError, match=message):
        choose_candidates(losses, read(*regression_data()), Linear())


def test_probabilities_as_inputs_are_refused():
    with pytest.raises(DataError, match=r"models predict any number, but .* a probability .*; use inputs='logits'"):
        choose_candidates([lossfn.BinaryCrossEntropy(inputs="probabilities")], read(*binary_data()), Linear())


@pytest.mark.parametrize("options", [{"folds": 2.5}, {"repeats": 1.5}, {"seed": -1}, {"seed": 1.5}])
def test_counts_must_be_whole(options):
    (name,) = options
    with pytest.raises(DataError, match=f"{name} must be a whole number >= 0, not {options[name]}"):
        compare(*regression_data(), **options)


@pytest.mark.parametrize("l2", [-1.0, np.inf, np.nan, "x"])
def test_bad_penalties_are_refused(l2):
    with pytest.raises(DataError, match="l2 must be a finite number >= 0"):
        compare(*regression_data(), l2=l2)


def test_no_repeat_is_refused():
    with pytest.raises(DataError, match="repeats must be at least 1"):
        compare(*regression_data(), repeats=0)


# ---- the result ----------------------------------------------------------------------------------------------------


def test_what_is_looked_up_must_be_there():
    result = compare(*regression_data(), losses=["Huber"], repeats=1, l2=0.1)
    assert result.loss("Huber").key == "Huber"
    assert result.score("mae").key == "mae"
    for look_up in (result.loss, lambda key: result.verdict(key, "mae")):
        with pytest.raises(ValueError, match=r"this comparison has no loss 'huber'; there are SquaredError, Huber$"):
            look_up("huber")
    for look_up in (result.score, lambda key: result.verdict("Huber", key)):
        with pytest.raises(ValueError, match="this comparison has no score 'MAE'; there are rmse, mae, "):
            look_up("MAE")
    assert result.verdict("SquaredError", "mae") is None


def test_same_seed_same_numbers():
    X, y = regression_data()
    first, again, other = (compare(X, y, losses=["Huber"], folds=3, repeats=1, seed=seed) for seed in (7, 7, 8))
    assert first.to_json() == again.to_json()
    assert first.table.to_numpy().tolist() != other.table.to_numpy().tolist()


def test_processes_change_no_number():
    X, y = regression_data()
    losses = [lossfn.Huber(delta=0.5) + lossfn.SquaredError()]
    alone, together = (compare(X, y, losses=losses, folds=3, repeats=2, n_jobs=jobs) for jobs in (1, 2))
    assert alone.to_json() == together.to_json()


@pytest.mark.parametrize("n_jobs", [0, 1.5, "2"])
def test_a_number_of_processes_is_whole_and_not_zero(n_jobs):
    with pytest.raises(DataError, match=f"n_jobs must be a whole number other than 0, or None; not {n_jobs!r}"):
        compare(*regression_data(), n_jobs=n_jobs)


def test_a_process_that_was_killed_is_named(monkeypatch):
    def ended(*_, **__):
        raise BrokenProcessPool

    monkeypatch.setattr("lossfn.comparison.validation.Parallel", lambda **_: ended)
    with pytest.raises(MemoryError, match=r"^one of the processes was ended from outside.*; use fewer$"):
        compare(*regression_data(), losses=["Huber"], n_jobs=2)


def test_few_rows_compile_no_kernel(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a kernel is compiled")

    monkeypatch.setattr("lossfn.engine.dispatch.kernel", refuse)
    X, y = regression_data(rows=1200)
    # Of a size that is computed by kernels elsewhere.
    with pytest.raises(AssertionError, match="a kernel is compiled"):
        lossfn.Huber(delta=0.77)(X["a"], y)
    assert compare(X, y, losses=["Huber"], repeats=1, l2=0.1).rows == 1200


def test_progress_counts_every_fit():
    calls = []
    compare(
        *regression_data(), losses=LOSSES, repeats=1, l2=0.1, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(done, 15) for done in range(1, 16)]


def test_small_data_is_enough():
    X, y = regression_data(rows=5)
    assert compare(X[["a"]], y, losses=["absolute_error"], repeats=1).rows == 5
    X, y = binary_data(rows=12, share=0.5)
    assert compare(X, y, losses=["Hinge"], repeats=1).rows == 12


def test_the_given_penalty_is_used_and_said():
    result = compare(*regression_data(), losses=LOSSES, repeats=1, l2=0.5)
    assert all(loss.setting == 0.5 for loss in result.losses)
    assert "The penalty l2 was given: 0.5." in result.notes


def test_what_is_said_about_the_data():
    X, y = regression_data()
    X.loc[3, "a"] = np.nan
    result = compare(X, y, losses=LOSSES, repeats=2, l2=0.1, groups=np.arange(ROWS) // 3, target_name="price")
    facts = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    expected = {"task": "regression", "target_name": "price", "rows": ROWS, "features": 3, "folds": 5, "repeats": 2}
    expected |= {"groups": 20, "weighted": False, "default": "SquaredError", "seed": 0}
    assert {name: facts[name] for name in expected} == expected
    assert "Missing values in 'a' (1) were filled with the median of the training part." in result.notes
    assert all(len(loss.scores["rmse"].values) == 10 for loss in result.losses)
    np.testing.assert_allclose(result.evidence.residuals, result.predictions.by_loss["SquaredError"] - y)


# ---- the setting of the model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("best", [100.0, 3e-4, 1e-8])
@pytest.mark.parametrize("earlier", [[], [0]])
def test_the_search_reaches_every_strength_of_the_grid(best, earlier):
    class Constant:
        chooses, search = True, Linear.search

        def train(self, _loss, setting, *_, **__):
            return Fitted(lambda features: np.full(len(features), np.log(setting)), True)

    part = Part(np.arange(4), np.arange(4), np.zeros((4, 1)), np.zeros((4, 1)))
    candidate = Candidate("SquaredError", lossfn.SquaredError(), "mean")
    target = np.full(4, np.log(best))
    place = _choose(candidate, candidate.loss, Constant(), L2_GRID, target, np.ones(4), [part], earlier)
    assert L2_GRID[place] == pytest.approx(best, rel=0.1)


def test_the_search_ends_where_a_weaker_penalty_makes_no_difference():
    X, y = regression_data()
    result = compare(X, y, losses=["squared_error"], repeats=1)
    assert min(result.losses[0].settings) > 1e-5
    assert not any("smallest of those tried" in note for note in result.notes)


def test_no_loss_wins_by_the_end_of_the_grid():
    x = np.random.default_rng(0).normal(size=40)
    result = compare(x[:, None], 2 * x + 1, losses=["squared_error", "absolute_error"], folds=3, repeats=1)
    assert {verdict.verdict for verdict in result.verdicts} == {"no clear difference"}
    assert any("SquaredError (3)" in note and "was the smallest of those tried" in note for note in result.notes)
