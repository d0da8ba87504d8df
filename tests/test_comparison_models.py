"""Comparisons of losses with boosted trees in place of the linear model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import raises

import lossfn
from lossfn.cli import main
from lossfn.comparison import DataError, compare, models
from lossfn.comparison.candidates import choose_candidates
from lossfn.comparison.data import read_data
from lossfn.comparison.models import Boosted, Linear, model_of

ENGINES = ("lightgbm", "xgboost", "catboost")

#: Few numbers of trees to choose from, for speed.
FEW_TREES = (8, 24)


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "TREES", FEW_TREES)


EXAMPLES = Path(__file__).parent.parent / "examples" / "data"


def contaminated(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return a step with Gaussian noise, one target in ten of which is a hundred times too far off."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, 2))
    noise = rng.normal(size=rows)
    noise[::10] *= 100
    return features, np.where(features[:, 0] > 0, 10.0, -10.0) + noise


@pytest.mark.parametrize("engine", ENGINES)
def test_a_robust_loss_wins_for_the_median_where_targets_are_contaminated(engine: str) -> None:
    pytest.importorskip(engine)
    result = compare(*contaminated(), losses=["absolute_error"], model=engine, folds=4, repeats=1)
    assert result.verdict("AbsoluteError", "mae").verdict == "better"
    median = next(item for item in result.recommendations if item.functional == "median")
    assert (median.loss, median.changes_default) == ("AbsoluteError", True)
    assert result.model.name == engine
    assert engine in result.versions
    assert all(setting in FEW_TREES for loss in result.losses for setting in loss.settings)


def test_trees_learn_what_a_linear_model_cannot() -> None:
    pytest.importorskip("lightgbm")
    features = np.linspace(-1, 1, 200)[:, None]
    target = np.abs(features[:, 0])
    rmse = {
        model: compare(features, target, losses=["squared_error"], model=model, folds=3, repeats=1).table["RMSE"].item()
        for model in ("linear", "lightgbm")
    }
    assert rmse["lightgbm"] < 0.5 * rmse["linear"]


def test_classes_are_compared_too() -> None:
    pytest.importorskip("xgboost")
    rng = np.random.default_rng(0)
    features = rng.integers(0, 3, (90, 2)).astype(float)
    words = np.array(["a", "b", "c"])[features[:, 0].astype(int)]
    result = compare(features, words, losses=["multiclass_brier"], model="xgboost", folds=3, repeats=1)
    assert (result.table["Accuracy"] == 1.0).all()


def test_losses_that_trees_learn_slowly_are_no_defaults() -> None:
    pytest.importorskip("xgboost")
    data = read_data(
        np.zeros((30, 1)) + np.arange(30)[:, None],
        list("abc" * 10),
        **dict.fromkeys(("task", "weight", "groups", "target_name")),
        folds=3,
    )
    linear, trees = (
        {item.key for item in choose_candidates(None, data, model)[0]} for model in (Linear(), Boosted("xgboost"))
    )
    assert linear - trees == {"WestonWatkins"}


def test_losses_that_trees_cannot_train_are_left_out_with_a_note() -> None:
    pytest.importorskip("xgboost")
    features = np.arange(60.0)[:, None]
    labels = (features[:, 0] % 20 > 9).astype(int)
    result = compare(features, labels, losses=["zero_one", "hinge"], model="xgboost", folds=3, repeats=1)
    assert [loss.key for loss in result.losses] == ["BinaryCrossEntropy", "Hinge"]
    (note,) = (note for note in result.notes if note.startswith("ZeroOne was left out: "))
    assert "no gradient" in note


def test_models_are_chosen_by_name() -> None:
    assert model_of("linear", 0.5) == Linear(0.5)
    assert model_of("xgboost", None) == Boosted("xgboost")
    with raises(DataError, "model must be one of linear, lightgbm, xgboost, catboost", "'forest'"):
        model_of("forest", None)
    with raises(DataError, "l2 is the penalty of the linear model", "xgboost"):
        model_of("xgboost", 0.5)


def test_an_engine_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with raises(ImportError, "lightgbm", "pip install 'lossfn[lightgbm]'"):
        compare(*contaminated(), model="lightgbm")
    arguments = ["compare", str(EXAMPLES / "engel.csv"), "--target", "foodexp", "--model", "lightgbm"]
    assert main(arguments) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "pip install 'lossfn[lightgbm]'" in complaint


def test_the_report_says_which_model_was_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("xgboost")
    report, numbers = tmp_path / "report.html", tmp_path / "numbers.json"
    arguments = ["--target", "foodexp", "--model", "xgboost", "--losses", "squared_error", "--folds", "3"]
    files = ["--repeats", "1", "--out", str(report), "--json", str(numbers)]
    assert main(["compare", str(EXAMPLES / "engel.csv"), *arguments, *files]) == 0
    assert "Trained with each loss: boosted trees of XGBoost" in capsys.readouterr().out
    page = report.read_text(encoding="utf-8")
    for words in ("boosted by XGBoost", "number of trees", "--model xgboost", "boosted trees of XGBoost"):
        assert words in page
    assert "ridge" not in page
    assert json.loads(numbers.read_text(encoding="utf-8"))["model"]["name"] == "xgboost"


def test_the_linear_model_is_the_default() -> None:
    features, target = contaminated(60)
    result = compare(features, target, losses=[lossfn.SquaredError()], l2=0.1, folds=2, repeats=1)
    assert result.model == Linear(0.1).info
    assert [loss.setting for loss in result.losses] == [0.1]
