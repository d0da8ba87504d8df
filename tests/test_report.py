"""The report and the terminal: complete, self-contained, safe with strangers' names, readable without colour."""

# ruff: noqa: D102 (the names of the tests are sentences)

import dataclasses
import html.parser
import io
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import run_python
from rich.console import Console
from sklearn.datasets import load_iris

from lossfn.calibration import expected_calibration_error
from lossfn.comparison import compare, pictures
from lossfn.comparison.drawing import stroke
from lossfn.comparison.formatting import decimals_for, number, percent, significant
from lossfn.comparison.report import render_html
from lossfn.comparison.tables import score_table
from lossfn.comparison.terminal import Screen

EXAMPLES = Path(__file__).parent.parent / "examples" / "data"
NASTY = '<script>alert("$x_1$")</script>'


@pytest.fixture(scope="module")
def regression():
    data = pd.read_csv(EXAMPLES / "engel.csv")
    return compare(
        data[["income"]], data["foodexp"], losses=["absolute_error", "Huber(delta=50)"], folds=3, repeats=1, l2=0.01
    )


@pytest.fixture(scope="module")
def binary():
    data = pd.read_csv(EXAMPLES / "solar_flares.csv")
    losses = ["BinaryCrossEntropy(pos_weight=4)", "hinge"]
    return compare(data[["area", "evolution"]], data["flare"], losses=losses, folds=3, repeats=1, l2=0.01)


@pytest.fixture(scope="module")
def multiclass():
    iris = load_iris(as_frame=True)
    names = iris.target.map(dict(enumerate(iris.target_names))).rename("species")
    return compare(iris.data, names, losses=["softmax_focal", "weston_watkins"], folds=3, repeats=1, l2=0.01)


@pytest.fixture(scope="module", params=["regression", "binary", "multiclass"])
def result(request):
    return request.getfixturevalue(request.param)


class Outline(html.parser.HTMLParser):
    """What a browser would load, name and nest."""

    VOID = frozenset({"meta", "link", "br", "img", "wbr", "hr", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.ids, self.loaded, self.links = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for name in ("src", "href", "xlink:href", "data", "srcset", "action"):
            if name in attributes:
                (self.links if tag == "a" else self.loaded).append(attributes[name])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_well_formed_and_loads_nothing(result):
    page = render_html(result, source="data.csv", command="lossfn compare data.csv --target y")
    outline = Outline(page)
    assert outline.open == []
    assert len(set(outline.ids)) == len(outline.ids)
    # Pictures refer to their own parts, and to nothing else.
    assert all(reference.startswith("#") and reference[1:] in outline.ids for reference in outline.loaded)
    assert {tag for tag, _ in outline.tags}.isdisjoint({"script", "link", "iframe", "img", "object", "embed", "base"})
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert all(link.startswith(("#", "https://doi.org/")) for link in outline.links)


def test_report_has_every_loss_score_verdict_and_sentence(result):
    page = render_html(result)
    text = re.sub(r"<wbr>|\N{NO-BREAK SPACE}", "", html.unescape(page).replace("&nbsp;", ""))
    for loss in result.losses:
        assert loss.label in text
    for score in result.scores:
        assert score.label in text
        assert score.meaning in text
    for item in result.recommendations:
        assert item.advice in text
    for row in score_table(result).rows:
        for cell in row.cells:
            assert cell.text in text
    assert f"Seed {result.seed}" in text
    for name, version in result.versions.items():
        assert f"{name}{version}" in text.replace(" ", "")


def test_every_picture_has_a_description_and_a_caption(result):
    outline = Outline(render_html(result))
    drawn = [attributes for tag, attributes in outline.tags if tag == "svg" and attributes.get("role") == "img"]
    figures = [tag for tag, _ in outline.tags if tag == "figure"]
    captions = [tag for tag, _ in outline.tags if tag == "figcaption"]
    assert len(drawn) == len(figures) == len(captions) >= len(result.scores) + 3
    assert all(len(attributes["aria-label"]) > 20 for attributes in drawn)


def test_pictures_take_all_colours_from_the_page(result):
    every = pictures.draw(result)
    for picture in (*every.differences, *every.losses, *every.rows, *every.predictions):
        assert "var(--" in picture.svg
        assert re.findall(r"#[0-9a-f]{6}\b", picture.svg) == []


def test_the_gap_below_a_reliability_picture_is_that_of_its_bins(binary):
    picture = pictures.predictions(binary)[0]
    shown = binary.predictions.by_loss[binary.default]
    gap = expected_calibration_error(shown, binary.predictions.target, 10)
    assert f"all folds together: {significant(gap, 2)};" in picture.caption


def test_no_long_name_crosses_the_line_of_no_difference(binary):
    svg = pictures.forest(binary, binary.scores[-1]).svg
    # From bottom to top: the line of each row, at the middle of the picture.
    lines = [float(low) - float(high) for low, high in re.findall(r"M 150 ([\d.]+) \nL 150 ([\d.]+) \n", svg)]
    long, short = sorted(lines)[0], sorted(lines)[-1]
    assert long < 20 < short


def test_numbers_below_an_axis_of_differences_stay_inside(result):
    for picture in pictures.draw(result).differences:
        width = float(re.search(r'viewBox="0 0 ([\d.]+)', picture.svg)[1])
        below = [
            (float(x), text)
            for x, text in re.findall(r'text-anchor: middle[^>]* x="([\d.]+)"[^>]*>([^<]+)<', picture.svg)
        ]
        assert len(below) >= 3
        # A digit is some six points wide.
        assert all(3 * len(text) <= x <= width - 3 * len(text) for x, text in below)


def test_names_from_strangers_are_harmless(regression):
    losses = tuple(dataclasses.replace(loss, label=f"{loss.label}{NASTY}") for loss in regression.losses)
    nasty = dataclasses.replace(regression, target_name=NASTY, losses=losses, notes=(NASTY,))
    page = render_html(nasty, source=NASTY, command=NASTY)
    outline = Outline(page)
    assert "<script" not in page
    assert all(tag != "script" for tag, _ in outline.tags)
    assert "&lt;script&gt;" in page


def test_the_same_result_gives_the_same_page(regression):
    assert render_html(regression) == render_html(regression)


def test_a_loss_without_a_probability_has_a_dash_and_a_reason(binary):
    table = score_table(binary)
    hinge = next(row for row in table.rows if row.label == "Hinge")
    dashes = [cell for cell in hinge.cells if cell.footnote]
    assert [cell.text for cell in dashes] == ["\N{EN DASH}"] * 3
    assert "not a probability" in table.footnotes[dashes[0].footnote - 1]
    assert "not a probability" in render_html(binary)


def test_best_and_verdicts_of_the_table_are_those_of_the_result(result):
    table = score_table(result)
    for place, info in enumerate(result.scores):
        means = {loss.label: loss.scores[info.key].mean for loss in result.losses}
        given = {label: mean for label, mean in means.items() if mean is not None}
        best = (min if info.lower_is_better else max)(given, key=given.get)
        for row in table.rows:
            cell = row.cells[place]
            verdict = result.verdict(row.key, info.key)
            assert cell.verdict == (verdict and verdict.verdict)
            assert cell.best or row.label != best


def printed(result, monkeypatch, **options):
    """Return what a screen shows."""
    stream = io.StringIO()
    screen = Screen()
    monkeypatch.setattr(screen, "out", Console(file=stream, highlight=False, markup=False, emoji=False, **options))
    screen.show(result)
    return stream.getvalue()


def test_terminal_fits_100_columns_and_needs_no_colour(result, monkeypatch):
    text = printed(result, monkeypatch, width=100)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    for info in result.scores:
        assert info.label in flat
    for row in score_table(result).rows:
        assert all(cell.text in flat for cell in row.cells)
        assert row.label.split("(")[0] in flat
    assert "*" in flat
    assert " ".join(result.recommendation.split()) in flat


def test_terminal_marks_the_best_in_bold(regression, monkeypatch):
    text = printed(regression, monkeypatch, width=100, force_terminal=True, color_system="standard")
    assert "\x1b[1m" in text
    assert "*" not in text


def test_terminal_without_unicode(regression, monkeypatch):
    monkeypatch.setattr(Console, "encoding", property(lambda _: "ascii"))
    text = printed(regression, monkeypatch, width=100)
    assert text.isascii()


def test_strokes_tell_losses_apart():
    assert len({stroke(index) for index in range(12)}) == 12


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (-0.004, 2, "0.00"),
        (1234.5678, 1, "1,234.6"),
        (-3.14159, 2, "\N{MINUS SIGN}3.14"),
        (None, 2, "\N{EN DASH}"),
        (np.nan, 2, "\N{EN DASH}"),
    ],
)
def test_numbers(value, decimals, text):
    assert number(value, decimals) == text


def test_digits_fit_the_typical_number():
    assert decimals_for([123.4, 98.7, 101.0]) == 1
    assert decimals_for([0.4161, 0.42]) == 4
    assert decimals_for([1e9, 2e9]) is None
    assert decimals_for([0.0, None]) == 2
    assert [number(value, None) for value in (0.17, 1.3649)] == ["0.170", "1.36"]
    assert number(-1.2345e-9, None) == "\N{MINUS SIGN}1.23e\N{MINUS SIGN}9"
    assert significant(0.001) == "0.001"
    assert significant(111.4) == "111"
    assert percent(0.0921) == "9.2 %"
    assert percent(1e-5) == "under 0.1 %"


@pytest.mark.parametrize(
    ("library", "use", "purpose"),
    [
        ("jinja2", "result.to_html()", "a report"),
        ("matplotlib", "result.to_html()", "a report"),
        ("pandas", "result.table", "a table"),
        ("pandas", "import lossfn; lossfn.compare", "lossfn.compare"),
    ],
)
def test_a_missing_library_names_the_extra(library, use, purpose, regression, tmp_path):
    # A result is plain data: whoever gets one may lack what made it.
    stored = tmp_path / "result.pickle"
    stored.write_bytes(pickle.dumps(regression))
    opening = "import pickle, sys; result = pickle.load(open(sys.argv[1], 'rb')); assert result.to_json()"
    code = f"import sys; sys.modules[{library!r}] = None; {opening}; {use}"
    complaint = run_python(code, str(stored), fails=True)
    assert f"ImportError: {purpose} needs {library}, an optional extra: pip install 'lossfn[cli]'" in complaint


def test_a_file_that_cannot_be_written_is_the_one_that_was_named(regression, tmp_path):
    path = tmp_path / "missing" / "report.html"
    with pytest.raises(FileNotFoundError) as caught:
        regression.to_html(path)
    assert caught.value.filename == str(path)
