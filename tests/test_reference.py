"""What the library says about its losses: formulas as text, sheets, pictures, and commands that print them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from conftest import DEFAULTS, ENTRIES, VARIANTS, label

import lossfn
from lossfn.cli import main
from lossfn.reference import curves, figure
from lossfn.reference.docstring import read_docstring
from lossfn.reference.formula import plain_formula
from lossfn.reference.sheet import Sheet

# ---- formulas as text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\frac{r^{2}}{2 \delta}", "r²/(2 δ)"),
        (r"\frac{1 - y}{1 - p} - \frac{y}{p}", "(1 − y)/(1 − p) − y/p"),
        (r"\frac{1}{\left(1 + \frac{r^{2}}{c^{2}}\right)^{\frac{3}{2}}}", "1/(1 + r²/c²)^(3/2)"),
        (r"- r e^{- s}", "−r e^(−s)"),
        (r"\delta \left(\left|r\right| - \frac{\delta}{2}\right)", "δ (|r| − δ/2)"),
        (r"y \sigma'\left(- z\right) + \log\cosh\left(x\right)", "y σ'(−z) + log cosh(x)"),
        (r"\operatorname{sech}^2\left(x\right) \lambda_{1}", "sech²(x) λ₁"),
        (r"\sqrt{1 + u} + \sqrt{u}", "√(1 + u) + √u"),
        (r"\max\left(0, \mathrm{log\_variance}\right)", "max(0, log_variance)"),
        (
            r"2 \begin{cases}a & \text{if } r < 0 \\ b & \text{otherwise}\end{cases} z",
            "2 ⎧a   if r < 0 ⎫ z\n  ⎩b   otherwise⎭",
        ),
        (r"\hat{y} + \hat{q}_{2}", "ŷ + q\N{COMBINING CIRCUMFLEX ACCENT}₂"),
        (r"\begin{pmatrix}1 \\ - x \\ x\end{pmatrix}", "⎛1 ⎞\n⎜−x⎟\n⎝x ⎠"),
    ],
)
def test_formulas_read_as_they_are_written_by_hand(latex: str, text: str) -> None:
    assert plain_formula(latex) == text.replace("\N{APOSTROPHE}", "\N{PRIME}")


def test_a_matrix_that_is_too_wide_is_shown_by_its_entries() -> None:
    column, square = r"\begin{pmatrix}a + b \\ c\end{pmatrix}", r"\begin{pmatrix}a + b & c \\ 0 & d\end{pmatrix}"
    assert plain_formula(column, 7) == "⎛a + b⎞\n⎝c    ⎠"
    assert plain_formula(column, 6) == "1   a + b\n2   c"
    assert plain_formula(square, 10) == "1, 1   a\n       + b\n1, 2   c\n2, 1   0\n2, 2   d"


def test_a_formula_that_is_too_wide_is_broken_between_terms_and_factors() -> None:
    cases = r"\begin{cases}a & \text{if } r < 0 \\ b & \text{otherwise}\end{cases}"
    assert plain_formula(rf"x + {cases} + y", 22) == "x + ⎧a   if r < 0 ⎫\n    ⎩b   otherwise⎭\n+ y"
    assert plain_formula(rf"\left(x + y\right) {cases}", 20) == "(x + y)\n\n· ⎧a   if r < 0\n  ⎩b   otherwise"
    # What has no such place is left as it was written.
    assert plain_formula(cases, 9) == cases
    assert plain_formula(r"\frac{a + b}{c + d}", 9) == "(a + b)/(c + d)"


def test_formulas_at_a_terminal_are_not_wrapped(capsys) -> None:
    for loss in ("MultiQuantile", "BinaryFocal(gamma=0.5, alpha=0.25)", "Huber"):
        section = printed(capsys, "show", loss).partition("Formulas")[2].partition("Properties")[0]
        starts = [line[12:].lstrip()[:1] for line in section.splitlines() if line.strip()]
        assert set(starts) <= set("⎧⎨⎩⎪⎛⎜⎝(·+δrm0")


@pytest.mark.parametrize("loss", VARIANTS, ids=label)
def test_every_formula_has_a_text_without_latex(loss) -> None:
    sheet = Sheet(loss)
    symbols = [parameter.symbol for parameter in sheet.parameters if parameter.symbol]
    for latex in (*sheet.formulas.values(), *sheet.definitions, *symbols):
        text = plain_formula(latex)
        assert text
        assert not set(text) & set("\\{}&$")


# ---- sheets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_sheet_says_what_its_class_documents(entry) -> None:
    sheet = Sheet(entry.loss)
    assert sheet.documentation.references
    assert all("doi:" in reference for reference in sheet.documentation.references)
    assert "\n" not in sheet.brief
    assert 5 < len(sheet.brief) < 120
    for parameter in sheet.parameters:
        assert parameter.name in sheet.documentation.parameters
        assert parameter.values
    known = set(lossfn.__all__)
    for names, _ in sheet.documentation.related:
        assert set(names) <= known


def test_a_sheet_calls_unbounded_only_what_is() -> None:
    slopes = {
        lossfn.SquaredError(): ("unbounded", "2"),
        lossfn.AbsoluteError(): ("1", "unbounded"),
        lossfn.LogitAdjusted(): ("1.414", "0.5"),
        lossfn.CrammerSinger(): ("1.414", "unbounded"),
        lossfn.MulticlassBrier(): ("not stated", "not stated"),
        lossfn.IntervalScore(): ("26.87", "unbounded"),
        lossfn.SquaredError() + lossfn.LinEx(): ("not stated", "not stated"),
    }
    for loss, (slope, curvature) in slopes.items():
        found = Sheet(loss).properties
        assert (found["largest slope"], found["largest curvature"]) == (slope, curvature), loss
    found = Sheet(lossfn.SavageMargin() + 9 * lossfn.SquaredMargin()).properties
    assert found["convex"] == "not stated"
    own = lossfn.define("Own", lambda xp, pred, target: xp.log1psq(pred - target))()
    assert Sheet(own).properties["largest slope"] == "not stated"


def test_sections_of_a_docstring() -> None:
    class Documented:
        """Return the first line.

        When to use it.

        Parameters
        ----------
        a : float
            One.

            More of it.
        b : int
            Two.

        See Also
        --------
        Huber, LogCosh
        Cauchy : heavier
            tails.

        References
        ----------
        .. [1] Somebody (2000),
           doi:10.1000/1.
        .. [2] Another.
        """

    read = read_docstring(Documented)
    assert read.summary == "Return the first line."
    assert read.paragraphs == ("When to use it.",)
    assert read.parameters == {"a": "One. More of it.", "b": "Two."}
    assert read.related == ((("Huber", "LogCosh"), ""), (("Cauchy",), "heavier tails."))
    assert read.references == ("Somebody (2000), doi:10.1000/1.", "Another.")


# ---- pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", DEFAULTS, ids=label)
def test_every_loss_has_a_picture(loss) -> None:
    for curve in curves.curves_of(loss):
        for kind in curves.KINDS:
            assert curve.values[kind].shape == curve.argument.shape
            assert np.isfinite(curve.values[kind]).mean() > 0.5


def test_equal_losses_give_equal_pictures() -> None:
    assert figure.picture_of(lossfn.Huber(), "svg") == figure.picture_of(lossfn.Huber(), "svg")


def test_pictures_show_kinks_and_jumps() -> None:
    (curve,) = curves.curves_of(lossfn.AbsoluteError())
    assert curves.jumps(curve.values["gradient"]).sum() == 1
    assert curves.jumps(curve.values["value"]).sum() == 0
    (smooth,) = curves.curves_of(lossfn.PseudoHuber(delta=0.3))
    assert not any(curves.jumps(smooth.values[kind]).any() for kind in curves.KINDS)
    axes = figure.panels([lossfn.AbsoluteError()]).axes
    broken = axes[1].lines[0].get_ydata()
    assert np.isnan(broken).sum() == 1
    assert len(axes[2].texts) == 1
    assert len(figure.panels([lossfn.Huber()]).axes[2].texts) == 0


def test_a_loss_draws_itself_into_given_axes() -> None:
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    display = lossfn.BinaryCrossEntropy().plot(ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert [line.get_label() for line in display.lines_] == [
        f"{kind}, target {target}" for kind in curves.KINDS for target in (1, 0)
    ]
    line = lossfn.Huber(delta=2.0).plot(Figure().add_subplot()).lines_[1]
    np.testing.assert_allclose(line.get_ydata(), np.clip(line.get_xdata(), -2, 2))


# ---- commands -----------------------------------------------------------------------------------------------------


def printed(capsys, *arguments: str) -> str:
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def refused(capsys, *arguments: str) -> str:
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    return output.err


def test_list_groups_by_family_and_fits_100_columns(capsys) -> None:
    text = printed(capsys, "list")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line for line in lines if re.fullmatch(r"[a-z_]+", line)] == list(
        dict.fromkeys(Sheet(e.loss).family for e in ENTRIES)
    )
    for entry in ENTRIES:
        assert re.search(rf"^  {entry.name} ", text, re.MULTILINE)


def test_list_shortens_nothing_that_can_be_asked_for(capsys) -> None:
    text = printed(capsys, "list", "--task", "multiclass")
    assert "…" not in text
    words = " ".join(text.split())
    assert "a less certain form of" in words
    assert re.search(r"^ +the probabilities\b", text, re.MULTILINE)
    assert printed(capsys, "list", "--elicits", "a less certain form of the probabilities")


def test_list_filters(capsys) -> None:
    every = json.loads(printed(capsys, "list", "--json"))
    assert [loss["name"] for loss in every] == [entry.name for entry in ENTRIES]
    binary = json.loads(printed(capsys, "list", "--json", "--task", "binary"))
    assert [loss["name"] for loss in binary] == [loss["name"] for loss in every if loss["task"] == "binary"]
    variance = json.loads(printed(capsys, "list", "--json", "--elicits", "variance"))
    assert "gaussian_nll" in [loss["name"] for loss in variance]
    assert "squared_error" not in [loss["name"] for loss in variance]
    assert "but for regression" in refused(capsys, "list", "--task", "regresion")
    assert "no loss for 'mode'" in refused(capsys, "list", "--elicits", "mode")
    assert "probability" in refused(capsys, "list", "--task", "binary", "--elicits", "variance")


def test_show_prints_everything(capsys) -> None:
    text = printed(capsys, "show", "Huber(delta=2)")
    assert "⎩δ (|r| − δ/2)   otherwise" in text
    assert "r = ŷ − y" in text
    assert (
        re.search(r"largest slope +2\n", text.replace(" \n", "\n").replace(" \n", "\n"))
        or "largest slope         2" in text
    )
    assert "2.0 (default 1.0): a finite number > 0, in units of the target, δ in formulas" in text
    assert "torch.nn.functional.huber_loss(pred, target, delta=delta)" in text
    assert "1.345 times the" in text
    assert "doi:10.1214/aoms/1177703732" in text


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_show_knows_every_loss(entry, capsys) -> None:
    assert Sheet(entry.loss).documentation.references[0][:30] in printed(capsys, "show", entry.name)


def test_show_says_with_which_parameters_a_name_elsewhere_is_found(capsys) -> None:
    text = " ".join(printed(capsys, "show", "focal").split())
    assert text.startswith("BinaryFocal(gamma=2.0, alpha=0.25)")
    assert "Without the parameters that 'focal' asks for: lossfn show binary_focal." in text
    assert "Without the parameters" not in printed(capsys, "show", "torch.nn.HuberLoss")


def test_show_takes_sums_and_refuses_what_it_does_not_know(capsys) -> None:
    assert "λ₁" in printed(capsys, "show", "0.5 * SquaredError() + absolute_error")
    assert "did you mean" in refused(capsys, "show", "hubber")
    assert "delta" in refused(capsys, "show", "Huber(delta=-1)")
    for name in ("linear_cross_entropy", "lossfn.linear_cross_entropy"):
        assert "lossfn: lossfn.linear_cross_entropy is no loss; docs/beyond_losses.md" in refused(capsys, "show", name)
    assert "help(lossfn.scoring.crps_ensemble)" in refused(capsys, "show", "crps_ensemble")


def test_show_writes_a_figure(capsys, tmp_path) -> None:
    for name in ("huber.png", "huber.svg", "huber.PDF"):
        printed(capsys, "show", "huber", "--figure", str(tmp_path / name))
    starts = {path.name: path.read_bytes()[:5] for path in tmp_path.iterdir()}
    assert starts == {"huber.png": b"\x89PNG\r", "huber.svg": b"<?xml", "huber.PDF": b"%PDF-"}
    assert "end the name with .png, .svg" in refused(capsys, "show", "huber", "--figure", str(tmp_path / "huber.txt"))
    assert "there is no folder" in refused(capsys, "show", "huber", "--figure", str(tmp_path / "no" / "huber.png"))
    assert len(list(tmp_path.iterdir())) == 3
