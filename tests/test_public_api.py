"""The package as its users meet it: names, documentation, imports, and objects that behave like values."""

from __future__ import annotations

import ast
import copy
import dataclasses
import doctest
import importlib
import inspect
import math
import pickle
import pkgutil
import re
from pathlib import Path

import pytest
from conftest import CATALOGUE, ENTRIES, VARIANTS, draw, every_variant, label, raises, run_python

import lossfn

SOURCE = Path(lossfn.__file__).parent
PUBLIC = [getattr(lossfn, name) for name in lossfn.__all__ if name != "compare"]
# Adapters need their framework, comparison its extra; they have tests of their own.
ELSEWHERE = ("torch", "jax", "keras", "sklearn", "boosting", "comparison", "cli", "commands")
MODULES = [
    info.name for info in pkgutil.walk_packages(lossfn.__path__, "lossfn.") if info.name.split(".")[1] not in ELSEWHERE
]


def test_public_names_are_sorted_and_exist() -> None:
    assert list(lossfn.__all__) == sorted(lossfn.__all__)
    assert {type(entry.loss).__name__ for entry in CATALOGUE} <= set(lossfn.__all__)
    for name in lossfn.__all__:
        assert hasattr(lossfn, name)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_documentation_of_a_loss(entry) -> None:
    text = inspect.getdoc(type(entry.loss))
    assert text is not None
    assert re.search(r"doi:10\.\d{4}", text)
    assert ">>>" in text
    for field in dataclasses.fields(entry.loss):
        assert re.search(rf"^{field.name} : ", text, flags=re.MULTILINE), f"{field.name} is not documented"
    assert entry.loss.elicits


def test_parameters_of_base_classes_are_documented_where_they_are_used() -> None:
    class Own(lossfn.SoftmaxLoss):
        """A loss of one's own.

        Parameters
        ----------
        temperature : float
            Of this class.

        See Also
        --------
        CrossEntropy
        """

    text = Own.__doc__
    assert text is not None
    names = re.findall(r"^(\w+) : ", text, flags=re.MULTILINE)
    assert names == ["temperature", "inputs", "label_smoothing", "z_loss", "class_weight", "ignore_index"]
    assert "temperature : float\n    Of this class.\ninputs : " in text
    assert text.endswith("See Also\n--------\nCrossEntropy\n")


def test_public_objects_are_documented() -> None:
    undocumented = [item.__name__ for item in PUBLIC if not inspect.getdoc(item)]
    assert undocumented == []


def test_source_files_are_short() -> None:
    paths = [*SOURCE.rglob("*.py"), *(Path(__file__).parents[1] / "benchmarks").glob("*.py")]
    long = [path.name for path in paths if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert long == []


# From the commands down to the declarations; modules of one line may import each other.
LAYERS = (
    "cli commands",
    "comparison reference",
    "boosting calibration keras scoring",
    "sklearn",
    "combine custom linear objective registry robustness verify",
    "linear_rows losses numerics",
    "softmax",
    "jax pointwise rowwise torch",
    "constant",
    "loss",
    "class_fields docstrings engine equivalents extras reduce terminal",
    "checks",
    "fields",
    "parameters",
)


def test_imports_point_downwards() -> None:
    layer_of = {name: layer for layer, names in enumerate(LAYERS) for name in names.split()}
    for path in SOURCE.rglob("*.py"):
        module = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if module == "__init__":
            continue
        for imported in modules_imported(ast.parse(path.read_text())):
            assert layer_of[imported] >= layer_of[module], f"{path} imports {imported}"


def modules_imported(tree: ast.Module) -> set[str]:
    """Return the modules of the package that a file imports when it is imported."""
    statements = [inner for node in tree.body for inner in (node.body if isinstance(node, ast.With) else [node])]
    found = set()
    for statement in statements:
        if isinstance(statement, ast.ImportFrom) and not statement.level and statement.module is not None:
            package, _, module = statement.module.partition(".")
            if package == "lossfn":
                found |= {module.partition(".")[0]} if module else {alias.name for alias in statement.names}
        elif isinstance(statement, ast.Import):
            found |= {alias.name.split(".")[1] for alias in statement.names if alias.name.startswith("lossfn.")}
    return found


def test_losses_import_no_framework() -> None:
    for path in (SOURCE / "losses").glob("*.py"):
        framework = r"^\s*(?:import|from)\s+(?:torch|jax|sklearn|sympy|numba)\b"
        assert not re.search(framework, path.read_text(), re.MULTILINE)


def test_importing_is_light() -> None:
    code = "import sys, lossfn; print(sorted(m for m in sys.modules if m.split('.')[0] in sys.argv[1].split(',')))"
    heavy = "torch,jax,sympy,numba,sklearn,pandas,matplotlib,scipy,mpmath"
    assert run_python(code, heavy).strip() == "[]"


@every_variant
def test_losses_behave_like_values(loss) -> None:
    namespace = {"inf": math.inf} | {name: getattr(lossfn, name) for name in lossfn.__all__ if name != "compare"}
    for twin in (
        pickle.loads(pickle.dumps(loss)),
        copy.copy(loss),
        copy.deepcopy(loss),
        dataclasses.replace(loss),
        eval(repr(loss), namespace),
    ):
        assert twin == loss
        assert hash(twin) == hash(loss)
        assert type(twin) is type(loss)
        pred, target = draw(loss, 5)
        assert twin(pred, target) == loss(pred, target)
    with pytest.raises(dataclasses.FrozenInstanceError):
        loss.anything = 1


def test_different_losses_differ() -> None:
    assert len(set(VARIANTS)) == len(VARIANTS)
    assert lossfn.Huber(delta=1.0) != lossfn.PseudoHuber(delta=1.0)


@pytest.mark.parametrize("loss", VARIANTS, ids=label)
def test_names_lead_back_to_losses(loss) -> None:
    assert lossfn.parse_loss(repr(loss)) == loss


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("hubber", ["unknown loss 'hubber'", "did you mean huber"]),
        ("Huber(gamma=2)", ["Huber has no parameter 'gamma'", "it has delta"]),
        ("Huber(2)", ["name the parameters"]),
        ("Huber(delta=-2)", ["delta must be a finite number > 0", "-2"]),
        ("Huber(delta=__import__('os'))", ["plain numbers"]),
        ("Huber(", ["cannot read"]),
    ],
)
def test_misspelt_losses(text: str, fragments: list[str]) -> None:
    with raises(ValueError, *fragments):
        lossfn.parse_loss(text)
