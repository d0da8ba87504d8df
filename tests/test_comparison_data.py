"""What a comparison accepts, what it refuses, and in which words."""

import re

import numpy as np
import pandas as pd
import pytest

from lossfn.comparison import DataError
from lossfn.comparison.data import read_data
from lossfn.comparison.features import read_features
from lossfn.comparison.preparation import lower_quantile, prepare, robust_scale

RNG = np.random.default_rng(0)
ROWS = 40
X = pd.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.normal(size=ROWS)})
Y = pd.Series(RNG.normal(size=ROWS), name="price")
LABELS = pd.Series(["no", "yes"] * (ROWS // 2), name="sold")


def read(features=X, target=Y, **options):
    defaults = {"task": None, "weight": None, "groups": None, "folds": 5, "target_name": None}
    return read_data(features, target, **(defaults | options))


def with_value(series, row, value):
    changed = series.astype(object).copy()
    changed[row] = value
    return changed


REFUSED = {
    "constant target": (
        {"target": pd.Series([3.0] * ROWS, name="price")},
        r"target 'price' is constant \(3.0 in all 40 rows\)",
    ),
    "constant classes": (
        {"target": pd.Series(["no"] * ROWS, name="sold"), "task": "binary"},
        r"target 'sold' is constant \(no in all 40 rows\)",
    ),
    "missing targets": (
        {"target": Y.where(~Y.index.isin([3, 17]))},
        r"target 'price' is missing in 2 of 40 rows \(rows 3, 17, counting from 0\)",
    ),
    "many missing targets": (
        {"target": Y.where(Y.index < 5)},
        r"missing in 35 of 40 rows \(rows 5, 6, 7, 8, 9, ..., counting from 0\)",
    ),
    "infinite target": (
        {"target": with_value(Y, 2, np.inf).astype(float)},
        r"target 'price' is infinite in 1 of 40 rows \(row 2, counting from 0\)",
    ),
    "words for regression": (
        {"target": with_value(Y, 4, "unknown"), "task": "regression"},
        r"target 'price' is not numeric, .*: 1 of 40 cells is no number: 'unknown' \(row 4, counting from 0\)",
    ),
    "three classes": (
        {"target": pd.Series((["no", "yes", "maybe"] * ROWS)[:ROWS], name="sold"), "task": "binary"},
        r"target 'sold' has 3 classes \('no', 'yes', 'maybe'\), but .* set task='multiclass', or keep two of them",
    ),
    "more words than classes": (
        {"target": pd.Series([f"house {row}" for row in range(ROWS)], name="sold")},
        "holds 40 different words .* more than the 20 .* set task='multiclass'",
    ),
    "fractions as classes": (
        {"target": Y + 0.5, "task": "multiclass"},
        "target 'price' has fractions such as .*, which number no classes",
    ),
    "rare class of three": (
        {"target": ["a"] * 2 + ["b"] * 19 + ["c"] * 19},
        "class 'a' of target 'target' is in 2 rows only, but 5 folds need at least 5: leave them out or merge classes",
    ),
    "fewer rows than folds": ({"features": X[:4], "target": Y[:4]}, "4 rows are fewer than 5 folds"),
    "fewer groups than folds": ({"groups": [0, 1] * 20}, "2 groups are fewer than 5 folds"),
    "a missing group": (
        {"groups": [np.nan, *list(range(39))]},
        r"the group is missing in 1 of 40 rows \(row 0, counting from 0\)",
    ),
    "rare class": (
        {"target": [1] * 3 + [0] * 37},
        "class '1' of target 'target' is in 3 rows only, but 5 folds need at least 5",
    ),
    "rare class in few groups": (
        {"target": [1] * 10 + [0] * 30, "groups": [0] * 10 + list(range(1, 31))},
        "class '1' of target 'target' is in 1 group only",
    ),
    "length mismatch": ({"target": Y[:39]}, "target 'price' has 39 rows but the features have 40"),
    "weights of another length": ({"weight": [1.0]}, "weight has 1 row but the features have 40"),
    "groups of another length": ({"groups": [1, 2]}, "groups has 2 rows but the features have 40"),
    "negative weight": (
        {"weight": [-1.0] + [1.0] * 39},
        r"weight is negative in 1 of 40 rows: '-1.0' \(row 0, counting from 0\)",
    ),
    "missing weight": ({"weight": [np.nan] + [1.0] * 39}, "weight is not a finite number in 1 of 40 rows: 'nan'"),
    "weights of zero": ({"weight": np.zeros(ROWS)}, "all weights are zero"),
    "infinite feature": (
        {"features": X.assign(b=X["b"].where(X.index != 7, np.inf))},
        r"feature 'b' is infinite in 1 of 40 rows \(row 7, counting from 0\)",
    ),
    "no usable feature": (
        {"features": pd.DataFrame({"c": 1, "e": np.nan}, index=range(ROWS))},
        r"no usable feature column: 'c' \(constant\); 'e' \(empty\)",
    ),
    "no feature at all": ({"features": X[[]]}, "no usable feature column: there is none at all"),
    "features called alike": (
        {"features": pd.concat([X, X[["a"]]], axis=1)},
        "two feature columns are called 'a'",
    ),
    "features of one dimension": ({"features": np.ones(ROWS)}, r"matrix of rows and columns.*shape \(40,\)"),
    "target of two dimensions": ({"target": np.ones((ROWS, 2))}, r"one dimension, not shape \(40, 2\)"),
    "unknown task": ({"task": "ranking"}, "task must be 'regression', 'binary' or 'multiclass', not 'ranking'"),
    "dates": ({"target": pd.date_range("2020-01-01", periods=ROWS)}, "holds dates or times; predict a number"),
    "complex numbers": ({"target": Y + 1j}, "holds complex numbers; predict"),
    "tiny targets": ({"target": 1e-160 * Y}, "spread of .*e-160, .* between 1e-100 and 1e\\+100"),
    "huge targets": ({"target": 1e160 * Y}, r"values up to .*e\+160"),
    "huge features": ({"features": X.assign(b=1e200 * X["b"])}, r"feature 'b' has values up to .*e\+200"),
    "no rows": ({"features": X[:0], "target": Y[:0]}, "there are no rows"),
    "one fold": ({"folds": 1}, "folds must be at least 2, not 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_one_line(case):
    options, message = REFUSED[case]
    with pytest.raises(DataError, match=message) as caught:
        read(**options)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_the_task_follows_from_the_target():
    assert read().task == "regression"
    assert read(target=LABELS).task == "binary"
    assert read(target=np.arange(ROWS) % 2).task == "binary"
    assert read(target=np.arange(ROWS) % 3).task == "regression"
    assert read(target=[f"grade {row % 3}" for row in range(ROWS)]).task == "multiclass"
    assert read(target=np.arange(ROWS) % 2, task="regression").task == "regression"


def test_whole_numbers_are_classes_only_where_it_is_said():
    numbers = np.arange(ROWS) % 3 + 4
    assert any("3 distinct whole numbers" in note for note in read(target=numbers).notes)
    classes = read(target=numbers, task="multiclass")
    assert classes.classes == ("4", "5", "6")
    assert classes.target.tolist() == [row % 3 for row in range(ROWS)]


@pytest.mark.parametrize(
    ("low", "high"), [("no", "yes"), (0, 1), (-1, 1), (False, True), (1.0, 2.0), ("1", "2"), (0, "x")]
)
def test_the_larger_label_counts_as_one(low, high):
    labels = pd.Series([high, low] * (ROWS // 2), dtype=object if isinstance(high, str) else None)
    data = read(target=labels)
    assert data.target.tolist() == [1.0, 0.0] * (ROWS // 2)
    said = [note for note in data.notes if "counts as 1" in note]
    assert len(said) == (0 if (low, high) in [(0, 1)] else 1)


def test_ordered_categories_keep_their_order():
    labels = pd.Series(pd.Categorical(["high", "low"] * 20, categories=["low", "high"], ordered=True))
    assert read(target=labels).classes == ("low", "high")


def test_rows_of_weight_zero_are_left_out():
    weight = np.ones(ROWS)
    weight[:3] = 0
    target = Y.copy()
    target[0] = np.nan  # what has no weight need not even be a number
    data = read(target=target, weight=weight, groups=np.arange(ROWS))
    assert data.rows == ROWS - 3
    assert data.group_count == ROWS - 3
    assert "Left out: 3 rows of weight 0." in data.notes


def test_columns_are_sorted_into_numbers_and_categories():
    frame = X.assign(
        whole=pd.Series(range(ROWS), dtype="Int64"),
        flag=[True, False] * 20,
        word=["x", "y", None, "z"] * 10,
        category=pd.Categorical(["u", "v"] * 20),
        mixed=[1, "one"] * 20,
        day=pd.date_range("2020-01-01", periods=ROWS),
        same=5,
    )
    frame.loc[0, "whole"] = pd.NA
    data = read(frame)
    assert data.features.numeric == ("a", "b", "whole")
    assert data.features.categorical == ("flag", "word", "category", "mixed")
    assert data.notes == (
        "Left out as features: 'day' (a date or time); 'same' (constant).",
        "Missing values in 'whole' (1) were filled with the median of the training part.",
        "Missing values in 'word' (10) were filled with the most frequent category of the training part.",
    )
    everything = np.arange(ROWS)
    prepared, _ = prepare(data.features, data.weight, everything, everything)
    assert np.isfinite(prepared).all()
    np.testing.assert_allclose(prepared[:, :3].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(prepared[:, :3].std(axis=0), 1, rtol=1e-12)
    assert prepared.shape[1] == 3 + 2 + 3 + 2 + 2

    objects = read(frame.to_numpy()).features
    assert objects.numeric == ("0", "1", "2")
    assert objects.categorical == ("3", "4", "5", "6")


def test_unknown_categories_are_no_category():
    data = read(pd.DataFrame({"word": ["x", "y"] * 19 + ["rare", "x"]}))
    _, unseen = prepare(data.features, data.weight, np.arange(38), np.arange(38, ROWS))
    assert unseen.tolist() == [[0, 0], [1, 0]]


def test_many_categories_are_pooled():
    data = read(pd.DataFrame({"id": [f"row {i}" for i in range(ROWS)]}))
    assert "Column 'id' has 40 categories" in data.notes[0]
    everything = np.arange(ROWS)
    assert prepare(data.features, data.weight, everything, everything)[0].shape == (ROWS, 30)


def test_weight_two_counts_like_two_rows():
    values = RNG.normal(size=15)
    weight = RNG.integers(1, 4, size=15)
    repeated = np.repeat(values, weight)
    for level in (0.1, 0.5, 0.9):
        assert lower_quantile(values, level, weight) == lower_quantile(repeated, level, np.ones(len(repeated)))
    assert robust_scale(values, weight) == pytest.approx(robust_scale(repeated, np.ones(len(repeated))))


def test_robust_scale_estimates_the_standard_deviation_of_gaussian_noise():
    noise = 3 * np.random.default_rng(1).normal(size=100_000)
    ones = np.ones(len(noise))
    assert robust_scale(noise, ones) == pytest.approx(3, rel=0.02)
    noise[:60_000] = 0  # the median absolute deviation is now zero
    assert robust_scale(noise, ones) > 0
    assert robust_scale(np.zeros(5), np.ones(5)) == 0


def test_a_stray_cell_among_numbers_is_refused_or_said():
    cells = [str(number) for number in range(100)]
    for stray, how in (("?", "leave such cells empty"), ("1,234", "without thousands separators"), ("9%", "percent")):
        with pytest.raises(DataError, match=f"feature 'a' .* 1 of 100 cells is no number: '{re.escape(stray)}'.*{how}"):
            read_features(pd.DataFrame({"a": [*cells[:7], stray, *cells[8:]]}))
    few = pd.DataFrame({"a": ["?", *["1", "2", "3"] * 9]})
    _, (note,) = read_features(few)
    assert note.startswith("Column 'a' was taken as categories, since 1 of 28 cells is no number: '?' (row 0, ")
    assert read_features(pd.DataFrame({"a": ["u", "v", "1", *"wvu" * 9]}))[1] == ()


def test_cells_of_a_numeric_target_that_are_no_numbers_are_named():
    cells = [str(number) for number in range(ROWS)]
    with pytest.raises(DataError, match=r"1 of \d+ cells is no number: 'n/k' \(row 5, counting from 0\); correct or"):
        read(target=[*cells[:5], "n/k", *cells[6:]])
    with pytest.raises(DataError, match=r"are no numbers: '0%'.* write percentages without the sign"):
        read(target=[f"{cell}%" for cell in cells])
    with pytest.raises(DataError, match="set task='multiclass' if they are"):
        read(target=[f"name {cell}" for cell in cells])
