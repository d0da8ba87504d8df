"""XGBoost: objectives and metrics in its own interfaces, and parity with its built-in objectives."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import label

import lossfn
from lossfn.boosting import BoostedRegressor, XGBoostMetric, XGBoostObjective

xgboost = pytest.importorskip("xgboost")

# So few that repeated rows of several scores need no compiled kernels.
ROWS = 80
PARAMS: dict[str, object] = {"nthread": 1, "max_depth": 4, "eta": 0.3, "lambda": 1.0, "min_child_weight": 0.0}
VERSION = tuple(map(int, xgboost.__version__.split(".")[:2]))


def problem(loss: lossfn.Loss) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features of few values, targets as the loss declares them, and weights that are whole numbers."""
    rng = np.random.default_rng(1)
    features = rng.integers(0, 30, (ROWS, 3)).astype(np.float32)
    signal = features[:, 0] / 10 - features[:, 1] / 20
    weight = rng.integers(1, 4, ROWS).astype(np.float32)
    if isinstance(loss, lossfn.RowwiseLoss):
        return features, np.digitize(signal + 0.3 * rng.normal(size=ROWS), [0.0, 1.0]), weight
    if loss.task == "binary":
        return features, (signal + rng.normal(size=ROWS) > 0).astype(np.float32), weight
    if loss.link == "log":
        return features, rng.poisson(np.exp(signal)) + (0.0 if 0.0 in loss.target else 0.5), weight
    return features, (3 * signal + rng.normal(size=ROWS)).astype(np.float32), weight


def outputs(start: np.ndarray) -> dict[str, object]:
    """Return the settings of one start or several."""
    if len(start) == 1:
        return {"base_score": start.item()}
    if VERSION < (3, 1):
        pytest.skip("base_score is one number before XGBoost 3.1")
    return {"base_score": start.tolist(), "num_target": len(start)}


def both(loss: lossfn.Loss, rounds: int = 8, **params: object) -> tuple[xgboost.Booster, xgboost.Booster, np.ndarray]:
    """Train with the objective and with the built-in one, from the same start and with whole-number weights."""
    features, target, weight = problem(loss)
    objective = XGBoostObjective(loss, "engine")
    start = objective.start(target, weight)
    # The dictionary may know several; the first is the one for training.
    there, *_ = [each for each in loss.equivalents if each.library == "XGBoost" and each.holds_for(loss)]
    settings = {**PARAMS, **there.settings_for(loss), **params}
    ours = {name: value for name, value in settings.items() if name in (*PARAMS, *params, "max_delta_step")}
    data = xgboost.DMatrix(features, label=target, weight=weight)
    mine = xgboost.train({**ours, **outputs(start)}, data, rounds, obj=objective)
    if len(start) > 1:
        settings["num_class"] = len(start)
    margin = np.broadcast_to(start, (ROWS, len(start))).astype(np.float32)
    data = xgboost.DMatrix(features, label=target, weight=weight, base_margin=margin)
    theirs = xgboost.train(settings, data, rounds)
    return mine, theirs, data


@pytest.mark.parametrize(
    "loss",
    [
        lossfn.SquaredError(),
        lossfn.HalfSquaredError(),
        lossfn.PseudoHuber(delta=1.5),
        lossfn.Poisson(),
        lossfn.Gamma(),
        lossfn.Tweedie(power=1.3),
        lossfn.BinaryCrossEntropy(),
        lossfn.BinaryCrossEntropy(pos_weight=3.0),
        lossfn.CrossEntropy(),
    ],
    ids=label,
)
def test_predictions_equal_those_of_the_built_in_objective(loss) -> None:
    mine, theirs, data = both(loss)
    plain = xgboost.DMatrix(data.get_data())
    expected = theirs.predict(data, output_margin=True)
    np.testing.assert_allclose(mine.predict(plain, output_margin=True), expected, atol=1e-5 * np.ptp(expected))


@pytest.mark.parametrize("loss", [lossfn.AbsoluteError(), lossfn.Pinball(tau=0.8)], ids=label)
def test_built_in_quantiles_split_alike_but_refit_their_leaves(loss) -> None:
    mine, theirs, _ = both(loss, rounds=1)

    def splits(booster: xgboost.Booster) -> list[str]:
        return re.findall(r"\[[^]]*\]", booster.get_dump()[0])

    assert splits(mine) == splits(theirs)
    assert mine.get_dump() != theirs.get_dump()


def test_losses_without_a_built_in_objective_have_no_curvature_of_the_engine() -> None:
    with pytest.raises(ValueError, match="XGBoost has no objective of its own for Cauchy"):
        XGBoostObjective(lossfn.Cauchy(), "engine")


@pytest.mark.parametrize("loss", [lossfn.Huber(delta=0.5), lossfn.GaussianNLL(), lossfn.CrossEntropy()], ids=label)
def test_weights_count_once_in_all_matrices(loss) -> None:
    features, target, weight = problem(loss)
    objective = XGBoostObjective(loss)
    settings = {**PARAMS, **outputs(objective.start(target, weight))}
    times = weight.astype(int)
    repeated = xgboost.DMatrix(features.repeat(times, axis=0), label=target.repeat(times))
    plain = xgboost.DMatrix(features)
    expected = xgboost.train(settings, repeated, 5, obj=objective).predict(plain)
    for matrix in (xgboost.DMatrix, xgboost.QuantileDMatrix):
        data = matrix(features, label=target, weight=weight)
        found = xgboost.train(settings, data, 5, obj=objective).predict(plain)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.skipif(VERSION < (3, 2), reason="XGBoost's own estimators fail beside scikit-learn 1.8 before XGBoost 3.2")
def test_the_interface_of_scikit_learn_trains_the_same_model() -> None:
    loss = lossfn.Huber(delta=0.5)
    features, target, weight = problem(loss)
    objective = XGBoostObjective(loss)
    (start,) = objective.start(target, weight)
    data = xgboost.DMatrix(features, label=target, weight=weight)
    native = xgboost.train({**PARAMS, "base_score": start}, data, 5, obj=objective)
    metric = XGBoostMetric(loss)
    model = xgboost.XGBRegressor(
        objective=objective, base_score=start, n_estimators=5, n_jobs=1, max_depth=4, learning_rate=0.3, reg_lambda=1.0,
        min_child_weight=0.0, eval_metric=metric,
    )  # fmt: skip
    model.fit(features, target, sample_weight=weight, eval_set=[(features, target)], verbose=False)
    np.testing.assert_array_equal(model.predict(features), native.predict(data))
    history = model.evals_result()["validation_0"][metric.name]
    assert history[-1] == pytest.approx(float(loss(model.predict(features), target)), rel=1e-5)


class MapLoss(lossfn.PointwiseLoss):
    """A loss whose name begins like a metric that XGBoost maximises."""

    def expression(self, xp, pred, target):  # noqa: ARG002
        """Return the squared error."""
        residual = pred - target
        return residual * residual


def test_early_stopping_keeps_the_round_of_the_smallest_loss() -> None:
    loss = MapLoss()
    features, target, weight = problem(loss)
    half = ROWS // 2
    train = xgboost.DMatrix(features[:half], label=target[:half])
    test = xgboost.DMatrix(features[half:], label=target[half:], weight=weight[half:])
    metric = XGBoostMetric(loss)
    for maximize in (metric.maximize, None):
        history: dict[str, dict[str, list[float]]] = {}
        booster = xgboost.train(
            {**PARAMS, "base_score": 0.0, "disable_default_eval_metric": True}, train, 40, obj=XGBoostObjective(loss),
            custom_metric=metric, evals=[(test, "test")], evals_result=history, early_stopping_rounds=5,
            maximize=maximize, verbose_eval=False,
        )  # fmt: skip
        values = history["test"][metric.name]
        assert booster.best_iteration == int(np.argmin(values)) > 0
        pred = booster.predict(test, iteration_range=(0, booster.best_iteration + 1))
        assert min(values) == pytest.approx(loss(pred, target[half:], weight=weight[half:]), rel=1e-5)


@pytest.mark.parametrize("loss", [lossfn.Poisson(), lossfn.GaussianNLL()], ids=label)
def test_saved_models_hold_their_start(loss, tmp_path) -> None:
    features, target, _ = problem(loss)
    target = np.abs(target)
    model = BoostedRegressor(loss, engine="xgboost", n_estimators=3, nthread=1).fit(features, target)
    model.model_.save_model(tmp_path / "model.json")
    loaded = xgboost.Booster(model_file=tmp_path / "model.json")
    raw = loaded.predict(xgboost.DMatrix(features)).reshape(ROWS, -1)
    np.testing.assert_array_equal(raw, model._scores(features).astype(np.float32))
    before = (
        loaded.predict(xgboost.DMatrix(features), iteration_range=(0, 0)) if loss.heads == ("prediction",) else None
    )
    assert before is None or before.shape == (ROWS,)


@pytest.mark.parametrize("name", ["depthwise trees", "one tree of several outputs"])
def test_several_heads_train_in_either_layout(name: str) -> None:
    loss = lossfn.GaussianNLL()
    features, target, _ = problem(loss)
    strategy = "multi_output_tree" if "one" in name else "one_output_per_tree"
    model = BoostedRegressor(loss, engine="xgboost", n_estimators=8, nthread=1, multi_strategy=strategy)
    model.fit(features, target)
    start = np.broadcast_to(model.start_, (ROWS, 2))
    assert loss(model._scores(features), target) < loss(start, target) - 0.2


@pytest.mark.parametrize("unit", [1e-2, 1e-4, 2.0**-20])
@pytest.mark.parametrize("loss", [lossfn.HalfSquaredError(), lossfn.Pinball(tau=0.8), lossfn.GaussianNLL()], ids=label)
@pytest.mark.parametrize("params", [{}, {"lambda": 5.0, "min_child_weight": 12.5, "booster": "dart"}], ids=str)
def test_small_units_of_the_target_split_alike(loss, unit: float, params: dict) -> None:
    features, target, weight = problem(loss)
    common = {"engine": "xgboost", "n_estimators": 8, "nthread": 1, "max_depth": 3, **params}
    plain, small = (
        BoostedRegressor(loss, **common).fit(features, size * target, sample_weight=weight) for size in (1.0, unit)
    )
    expected = plain.predict(features)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(small.predict(features) / unit, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "limit"), [("gamma", 20.0), ("reg_alpha", 30.0), ("min_child_weight", 60.0)])
def test_limits_keep_their_units_where_those_of_the_target_are_small(name: str, limit: float) -> None:
    loss, unit = lossfn.HalfSquaredError(), 2.0**-20
    features, target, _ = problem(loss)
    units_of_limit = {"gamma": unit**2, "reg_alpha": unit, "min_child_weight": 1.0}[name]
    found = {}
    for size, bound in ((1.0, 0.0), (1.0, limit), (unit, limit * units_of_limit)):
        model = BoostedRegressor(loss, engine="xgboost", n_estimators=2, nthread=1, **{name: bound})
        found[size, bound > 0] = model.fit(features, size * target).predict(features) / size
    np.testing.assert_allclose(found[unit, True], found[1.0, True], rtol=1e-4, atol=1e-4)
    assert np.abs(found[1.0, True] - found[1.0, False]).max() > 0.01


# Threads that xgboost and distributed leave behind, and addresses that they share.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning")
def test_a_cluster_trains_the_same_model() -> None:
    distributed = pytest.importorskip("distributed")
    array = pytest.importorskip("dask.array")
    from xgboost import dask as cluster_of

    # A loss whose curvature concerns all rows, of which one worker has most.
    loss = lossfn.Pinball(tau=0.8)
    features, target, weight = problem(loss)
    objective, metric = XGBoostObjective(loss), XGBoostMetric(loss)
    settings = {**PARAMS, **outputs(objective.start(target, weight)), "tree_method": "hist"}
    settings["disable_default_eval_metric"] = True
    parts = ROWS - 10, 10
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        data = cluster_of.DaskDMatrix(
            client,
            array.from_array(features, chunks=(parts, 3)),
            array.from_array(target, chunks=(parts,)),
            weight=array.from_array(weight, chunks=(parts,)),
        )
        trained = cluster_of.train(
            client, settings, data, num_boost_round=5, obj=objective, custom_metric=metric, evals=[(data, "train")],
            verbose_eval=False,
        )  # fmt: skip
    together = trained["booster"]
    plain = xgboost.DMatrix(features, label=target, weight=weight)
    alone = xgboost.train(settings, plain, 5, obj=objective)
    np.testing.assert_allclose(together.predict(plain), alone.predict(plain), rtol=1e-6, atol=1e-6)
    # Not the mean of the means of both workers.
    last = trained["history"]["train"][metric.name][-1]
    assert last == pytest.approx(loss(together.predict(plain), target, weight=weight), rel=1e-5)
