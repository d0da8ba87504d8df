"""Every example runs, and ends in the number that the list of examples promises."""

from __future__ import annotations

import importlib.util
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

LIST = (EXAMPLES / "README.md").read_text(encoding="utf-8")
PROMISED = dict(re.findall(r"^\| \[(\w+\.py)\]\(\w+\.py\) \|.*\| `([^`]+)` \|$", LIST, re.MULTILINE))

# What a script imports besides NumPy, by the start of its name.
NEEDED = {
    "jax": ("jax", "sklearn"),
    "keras": ("keras", "jax", "sklearn"),
    "pytorch": ("torch",),
    "scipy": ("sklearn",),
    "sklearn": ("sklearn",),
    "xgboost": ("xgboost", "sklearn"),
    "lightgbm": ("lightgbm", "sklearn"),
    "catboost": ("catboost", "sklearn"),
}

NUMBER = r"-?\d+(?:\.\d+)?"


@pytest.fixture
def settings_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a script changes for a whole process: Keras's backend and JAX's precision."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)


@pytest.mark.usefixtures("settings_kept")
@pytest.mark.parametrize("script", sorted(PROMISED))
def test_examples_end_in_the_promised_number(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    for module in NEEDED.get(script.partition("_")[0], ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{script} needs {module}")
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    last, promised = capsys.readouterr().out.splitlines()[-1], PROMISED[script]
    assert re.sub(NUMBER, "", last) == re.sub(NUMBER, "", promised)
    # The last digit of long numbers may differ between platforms and versions; one household more is 2 %.
    numbers = [[float(number) for number in re.findall(NUMBER, line)] for line in (last, promised)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.01, abs=1e-3)


def test_every_example_is_listed_and_short() -> None:
    scripts = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py")}
    assert set(scripts) == set(PROMISED)
    assert all(20 <= len(text.splitlines()) <= 50 for text in scripts.values())
