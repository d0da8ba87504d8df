"""Losses are found by the names that other libraries have for them, and the page lists all of them."""

from __future__ import annotations

import importlib

import pytest
from conftest import ENTRIES

import lossfn
from lossfn.cli import main
from lossfn.equivalents import MODULES, TRAINING
from lossfn.reference import dictionary, pages


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("torch.nn.HuberLoss", "Huber"),
        ("torch.nn.functional.huber_loss", "Huber"),
        ("torch.nn.MSELoss()", "SquaredError"),
        ("nn.L1Loss", "AbsoluteError"),
        ("torch.nn.BCEWithLogitsLoss(pos_weight=w)", "BinaryCrossEntropy"),
        ("keras.losses.MeanAbsolutePercentageError", "AbsolutePercentageError"),
        ("keras.losses.CategoricalFocalCrossentropy", "SoftmaxFocal"),
        ("optax.l2_loss", "HalfSquaredError"),
        ("mean_tweedie_deviance", "InverseGaussian"),
        ("modified_huber", "ModifiedHuber"),
        ("scipy.stats.nbinom", "NegativeBinomial"),
        ("scoringrules.crps_normal", "CRPSNormal"),
        ("reg:pseudohubererror", "PseudoHuber"),
        ("multi:softprob", "CrossEntropy"),
        ("regression_l1", "AbsoluteError"),
        ("MultiQuantile", "MultiQuantile"),
    ],
)
def test_names_elsewhere_find_a_loss(name: str, loss: str) -> None:
    assert type(dictionary.find(name)[0]).__name__ == loss


def test_the_loss_without_a_factor_comes_first_and_each_once() -> None:
    found = dictionary.find("torch.nn.functional.mse_loss")
    assert found[0] == lossfn.SquaredError()
    assert lossfn.HalfSquaredError() in found
    assert len({type(loss) for loss in found}) == len(found)
    assert dictionary.find("huber") == [lossfn.Huber(), lossfn.SmoothL1()]


def test_the_library_that_is_named_comes_first() -> None:
    for name in ("torch.nn.CrossEntropyLoss", "F.cross_entropy", "CrossEntropyLoss"):
        assert dictionary.find(name)[0] == lossfn.CrossEntropy()
    assert dictionary.find("catboost.CrossEntropy")[0] == lossfn.BinaryCrossEntropy()


def test_what_nobody_calls_so_is_not_found() -> None:
    assert dictionary.find("torch.nn.CTCLoss") == []
    assert dictionary.find("loss") == []


def test_functions_are_where_their_names_say() -> None:
    pytest.importorskip("torchmetrics")
    pytest.importorskip("optax")
    for entry in ENTRIES:
        for there in entry.loss.equivalents:
            # Keras chooses a backend when it is imported.
            if there.library in MODULES and there.library != "Keras":
                module, _, function = dictionary.name_there(there).rpartition(".")
                assert callable(getattr(importlib.import_module(module), function)) or "stats" in module


def test_the_page_lists_every_equivalent_and_the_losses_without() -> None:
    text = pages.dictionary()
    for entry in ENTRIES:
        for there in entry.loss.equivalents:
            assert f"| `{dictionary.name_there(there)}` | [`{type(entry.loss).__name__}`]" in text
    unknown = text.partition("## No known equivalent")[2]
    assert {loss for loss in map(type, (entry.loss for entry in ENTRIES)) if f"[`{loss.__name__}`]" in unknown} == {
        type(entry.loss) for entry in ENTRIES if not entry.loss.equivalents
    }
    assert set(dictionary.LIBRARIES) == {*MODULES, *TRAINING}


def test_a_table_has_as_many_cells_in_each_row() -> None:
    # A bar in code would start a new cell.
    cells = {line.count("|") for line in pages.dictionary().splitlines() if line.startswith("|")}
    assert cells == {6}


def test_show_finds_a_loss_by_a_foreign_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "torch.nn.HuberLoss"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Huber(delta=1.0)")
    assert "SmoothL1(beta=1.0)" in shown
    assert main(["show", "Welsch"]) == 0
    assert "no known equivalent" in capsys.readouterr().out
    assert main(["show", "torch.nn.CTCLoss"]) == 2
    assert "cannot read the loss 'torch.nn.CTCLoss'" in capsys.readouterr().err
