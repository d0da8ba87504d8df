"""Losses in Keras: the checks of keras_checks.py, in one process for each backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import run_python

# Importing Keras here would choose a backend.
pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed")

SCRIPT = Path(__file__).with_name("keras_checks.py")
# The checks are seen without importing them, because Keras chooses its backend when it is imported.
NAMES = [line.split("(")[0].removeprefix("def ") for line in SCRIPT.read_text(encoding="utf-8").splitlines()
         if line.startswith(("def check_", "def torch_check_"))]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what a backend's process found, by check."""
    found: dict[str, dict[str, str]] = {}

    def run(backend: str) -> dict[str, str]:
        if backend not in found:
            home = str(tmp_path_factory.mktemp("keras"))
            environment = os.environ | {"KERAS_BACKEND": backend, "KERAS_HOME": home}
            finished = subprocess.run(
                [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=300, env=environment, check=False
            )
            assert finished.returncode == 0, finished.stderr
            found[backend] = json.loads(finished.stdout)
        return found[backend]

    return run


@pytest.mark.parametrize(
    ("backend", "name"),
    [(backend, name) for backend in ("torch", "jax") for name in NAMES if backend == "torch" or name[:6] == "check_"],
)
def test_backend(results: Any, backend: str, name: str) -> None:
    pytest.importorskip(backend)
    trace = results(backend)[name]
    assert not trace, trace


def test_a_missing_keras_names_the_extra() -> None:
    code = "import sys; sys.modules['keras'] = None; import lossfn.keras"
    assert "pip install 'lossfn[keras]'" in run_python(code, fails=True)


WITHOUT_TENSORFLOW = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import lossfn.keras
"""


def test_a_missing_backend_names_the_setting_that_chooses_one(tmp_path: Path) -> None:
    complaint = run_python(WITHOUT_TENSORFLOW, fails=True, KERAS_BACKEND="tensorflow", KERAS_HOME=str(tmp_path))
    last = complaint.strip().splitlines()[-1]
    assert last.startswith("ImportError: lossfn.keras: Keras is there, but its backend tensorflow is not")
    assert "KERAS_BACKEND to torch or jax" in last
