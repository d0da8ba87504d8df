"""The reference pages in docs/losses are those that the catalogue gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import ENTRIES

from lossfn.reference import pages

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "losses"


def test_committed_pages_are_those_of_the_catalogue() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    assert written == pages.pages(), "the pages of docs/losses are stale: make docs"


@pytest.mark.parametrize("name", ["dictionary.md", "own_loss.md", "beyond_losses.md"])
def test_committed_pages_beside_them_are_those_of_the_code(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages.others()[name], f"{name} is stale: make docs"


def test_every_loss_has_a_committed_figure() -> None:
    assert {path.stem for path in DOCS.glob("figures/*")} == {entry.name for entry in ENTRIES}
    assert max(path.stat().st_size for path in DOCS.glob("figures/*")) < 60_000


def test_pages_are_written_whole_and_without_leftovers(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pages, "figures", lambda: iter([("figures/huber.svg", "<svg/>")]))
    (tmp_path / "losses" / "figures").mkdir(parents=True)
    (tmp_path / "losses" / "figures" / "gone.svg").touch()
    (tmp_path / "losses" / "gone.md").touch()
    (tmp_path / "kept.md").touch()
    pages.write(tmp_path)
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {*pages.pages(), *pages.others(), "huber.svg", "kept.md"}
