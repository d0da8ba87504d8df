"""The README says what the library does: its examples run, and it lists every loss."""

from __future__ import annotations

import doctest
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from benchmarks import tables

import lossfn
from lossfn.boosting.engines import ENGINES
from lossfn.engine.primitives import PRIMITIVES
from lossfn.reference import listing, vocabulary

ROOT = Path(__file__).parents[1]


def test_examples_of_the_readme_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torch", "jax", "keras", "sklearn", "xgboost", "lightgbm", "catboost"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"the README needs {module}")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert results.attempted > 20
    assert results.failed == 0


@pytest.mark.parametrize("page", ["own_loss.md", "beyond_losses.md"])
def test_examples_of_other_pages_run(page: str) -> None:
    pytest.importorskip("sklearn")
    results = doctest.testfile(str(ROOT / "docs" / page), module_relative=False)
    assert results.attempted > 5
    assert results.failed == 0


def test_every_public_name_is_documented_on_some_page() -> None:
    losses = {type(entry.loss).__name__ for entry in lossfn.catalogue()}
    modules = {"calibration", "numerics", "scoring"}
    named = {f"lossfn.{name}" for name in set(lossfn.__all__) - losses - modules}
    named |= {f"lossfn.{module}.{name}" for module in modules for name in getattr(lossfn, module).__all__}
    text = (ROOT / "docs" / "beyond_losses.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)) == named


def test_every_primitive_is_documented() -> None:
    assert set(vocabulary.USES) == set(PRIMITIVES)


def test_readme_lists_every_loss() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The losses")[2].partition("\n## ")[0]
    listed = [name for row in re.findall(r"^\| .*", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert listed == [type(entry.loss).__name__ for entry in lossfn.catalogue()]


def test_what_make_docs_lists_is_every_loss() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert listing.table(readme.replace("`Huber`, ", "")) == readme
    index = (ROOT / "src/lossfn/__init__.pyi").read_text(encoding="utf-8")
    shortened = index.replace("    Huber as Huber,\n", "").replace("from .losses.barron import Barron as Barron\n", "")
    assert listing.index(shortened.replace("Fair as Fair", "Fair as Fair, Gone as Gone")) == index


@pytest.mark.parametrize("document", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=str)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_page_of_benchmarks_has_every_section_once() -> None:
    titles = [
        title
        for module in (ROOT / "benchmarks").glob("*.py")
        for title in re.findall(r'^TITLE = "(.*)"$', module.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    lines = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8").splitlines()
    assert {title: lines.count(title) for title in titles} == dict.fromkeys(titles, 1)
    assert titles


def test_the_beginning_of_a_page_is_replaced_and_the_other_sections_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "DOCUMENTS", tmp_path)
    for beginning in ("# Page\n\nold\n\n## Own\n\n1\n", "# Page\n\nnew\n\n## Own\n\n2\n"):
        tables.replace_beginning("page.md", beginning)
        assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith(beginning)
        tables.replace_section("page.md", "## Other", "## Other\n\n3")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == "# Page\n\nnew\n\n## Own\n\n2\n\n## Other\n\n3\n"


def test_the_readme_lists_every_extra() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| extra | for |")[2].partition("\n\n")[0]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert listed == set(declared)


def test_the_oldest_engines_that_are_tested_are_those_that_the_extras_admit() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pins = re.findall(r"^(\w+)\S*==(.*)$", (ROOT / "oldest-engines.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert {engine for engine, _ in pins} == ENGINES.keys()
    for engine, version in pins:
        (lowest,) = (text.partition(">=")[2] for text in extras[engine] if text.startswith(engine))
        assert f"{version}.".startswith(f"{lowest}."), f"{engine}: {version} is tested and {lowest} admitted"
