"""Without what an extra installs, the error names the extra."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import raises, run_python

import lossfn

# Imports in one new process, in which none of the optional libraries can be imported.
WITHOUT = """
import importlib, sys

missing = ("torch", "jax", "keras", "sklearn", "pandas", "matplotlib", "xgboost", "lightgbm", "catboost")

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import numpy, lossfn

assert lossfn.Huber(delta=1.0)(numpy.array([3.0]), numpy.array([0.0])) == 2.5
for module in ("lossfn.torch", "lossfn.jax", "lossfn.keras", "lossfn.sklearn", "lossfn.boosting.estimators"):
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(module, "|", error)
calls = {
    "lossfn.compare": lambda: lossfn.compare(numpy.zeros((9, 1)), numpy.zeros(9)),
    "a loss": lambda: lossfn.Huber().plot(),
    "a diagram": lambda: lossfn.calibration.reliability([0.2, 0.8], [0, 1]).plot(),
}
for name, call in calls.items():
    try:
        call()
    except ImportError as error:
        print(name, "|", error)
"""


def test_a_missing_library_is_named_with_its_extra() -> None:
    messages = dict(line.split(" | ") for line in run_python(WITHOUT).splitlines())
    extras = {name: message.partition("pip install 'lossfn[")[2] for name, message in messages.items()}
    assert extras == {
        "lossfn.torch": "torch]'",
        "lossfn.jax": "jax]'",
        "lossfn.keras": "keras]'",
        "lossfn.sklearn": "sklearn]'",
        "lossfn.boosting.estimators": "sklearn]'",
        "lossfn.compare": "cli]'",
        "a loss": "cli]'",
        "a diagram": "cli]'",
    }


# Imports in one new process, in which the optional libraries are there, but lack a library of their own.
BROKEN = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
from lossfn.boosting.engines import import_engine

for module in ("lossfn.torch", "lossfn.jax", "lossfn.keras", "lossfn.sklearn", "lossfn.boosting.estimators"):
    try:
        importlib.import_module(module)
    except ImportError as error:
        print(module, "|", error)
try:
    import_engine("lightgbm")
except ImportError as error:
    print("lightgbm", "|", error)
"""


def test_what_an_installed_library_lacks_is_not_mistaken_for_it(tmp_path: Path) -> None:
    for library in ("torch", "jax", "keras", "sklearn", "lightgbm"):
        (tmp_path / library).mkdir()
        (tmp_path / library / "__init__.py").write_text("import its_own_part")
    messages = dict(line.split(" | ") for line in run_python(BROKEN, str(tmp_path)).splitlines())
    assert len(messages) == 6
    assert set(messages.values()) == {"No module named 'its_own_part'"}


@pytest.mark.parametrize("engine", ["xgboost", "lightgbm", "catboost"])
def test_a_missing_engine_is_named_with_its_extra(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    from lossfn.boosting import BoostedRegressor

    monkeypatch.setitem(sys.modules, engine, None)
    model = BoostedRegressor(lossfn.SquaredError(), engine=engine)
    with raises(ImportError, f"lossfn.boosting needs {engine}, an optional extra: pip install 'lossfn[{engine}]'"):
        model.fit(np.zeros((4, 1)), np.zeros(4))
