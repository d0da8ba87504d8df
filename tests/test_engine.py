"""From an expression to source: what can be recorded, what is derived from it, and how it is kept."""

from __future__ import annotations

import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import draw, every_variant, raises, run_python

import lossfn
from lossfn import AbsolutePercentageError, BinaryCrossEntropy, BinaryFocal, Brier, Hinge, Huber, fields
from lossfn.engine import cache, definition, kernels
from lossfn.engine.libraries import compatible, library_of_namespace
from lossfn.engine.trace import ExpressionError, Recorder, symbol, text_of
from lossfn.reference.definitions import pointwise_losses

# ---- recording ------------------------------------------------------------------------------------------------------

REFUSED = {
    "==": (lambda xp, p, y: xp.where(p == y, 0, 1), "xp.equal"),
    "!=": (lambda xp, p, y: xp.where(p != y, 0, 1), "xp.equal"),
    "if": (lambda _xp, p, y: p if p > y else y, "xp.where"),
    "and": (lambda xp, p, y: xp.where(p > y and p > 0, 0, 1), "xp.logical_and"),
    "not": (lambda xp, p, y: xp.where(not p > y, 0, 1), "xp.logical_and"),
    "max": (lambda _xp, p, y: max(p, y), "xp.where"),
    "a method": (lambda _xp, p, y: (p - y).abs(), "xp.abs(...), not methods"),
    "an attribute": (lambda _xp, p, _y: p.T, "not methods"),
    "a function of numpy": (lambda _xp, p, y: np.exp(p - y), "write xp.exp(...)"),
    "numpy.maximum": (lambda _xp, p, y: np.maximum(p, y), "write xp.maximum(...)"),
    "numpy.where": (lambda _xp, p, y: np.where(p > y, p, y), "xp.where"),
    "numpy.sum": (lambda _xp, p, y: np.sum(p - y), "functions of xp"),
    "an array": (lambda _xp, p, _y: np.array([1.0, 2.0]) * p, "got ndarray"),
    "a function of math": (lambda _xp, p, _y: __import__("math").exp(p), "write xp.exp(...)"),
    "an unknown primitive": (lambda xp, p, _y: xp.expp(p), "xp.expp is not a primitive; there are abs, "),
    "a root": (lambda _xp, p, y: (p - y) ** 0.5, "xp.power(x, p)"),
    "a power": (lambda _xp, p, _y: 2**p, "xp.exp(x * math.log(2))"),
    "unpacking": (lambda _xp, p, _y: sum(p), "declare heads"),
    "&": (lambda xp, p, y: xp.where((p > y) & (p > 0), 0, 1), "xp.logical_and"),
    "~": (lambda xp, p, y: xp.where(~(p > y), 0, 1), "xp.logical_not"),
    "a remainder": (lambda _xp, p, y: p % y, "without them"),
    "too few arguments": (lambda xp, p, y: xp.where(p > y, 1), "the number of arguments of xp.where is 3; got 2"),
    "no result": (lambda _xp, _p, _y: None, "got NoneType"),
    "text": (lambda _xp, p, _y: p + "1", "got str"),
}


@pytest.mark.parametrize(("expression", "cure"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_recorded_is_refused_with_the_cure(expression, cure):
    with raises(ExpressionError, cure):
        lossfn.define("Mine", expression)


def test_an_expression_that_is_missing_is_named():
    class Empty(lossfn.PointwiseLoss):
        pass

    with raises(NotImplementedError, "Empty defines no expression"):
        Empty()([1.0], [0.0])


def test_numbers_of_numpy_are_numbers():
    two = np.float64(2.0)
    plain = lossfn.define("Plain", lambda xp, p, y: xp.where(p - y > 2.0, 2.0 * (p - y) - 1.0, (y - p) / 2.0))
    numpy = lossfn.define("Numpy", lambda xp, p, y: xp.where(two < p - y, two * (p - y) - np.int8(1), (y - p) / two))
    pred, target = np.linspace(-5, 5, 21), np.zeros(21)
    np.testing.assert_array_equal(numpy().elementwise(pred, target), plain().elementwise(pred, target))


def test_shared_parts_are_recorded_once():
    xp, x = Recorder(), symbol("x")
    part = xp.exp(x)
    assert text_of(part + part).count("exp") == 1
    assert text_of(xp.exp(x) + xp.exp(x)) == text_of(part + part)
    assert text_of(x - 1) != text_of(1 - x)


# ---- deriving -------------------------------------------------------------------------------------------------------


def lines_of(loss, name="value"):
    return "\n".join(loss._definition.functions[name].lines)


def is_a_function_of_the_residual(loss):
    """Whether moving prediction and target alike changes nothing."""
    pred, target = draw(loss, 20)
    moved = pred + 0.25 * np.eye(len(loss.heads))[0] if len(loss.heads) > 1 else pred + 0.25
    return np.allclose(loss.elementwise(moved, target + 0.25), loss.elementwise(pred, target))


@every_variant
def test_derivatives_are_taken_in_the_variable_that_shortens_them(loss):
    source = lines_of(loss, "gradient")
    is_number = loss.task == "regression" and loss.link == "identity"
    # Of several quantiles each has a residual of its own, and a relative error is a residual by the target.
    by_residual_alone = loss.elicits != "quantiles" and is_number and is_a_function_of_the_residual(loss)
    has_residual = by_residual_alone or loss.elicits == "quantiles" or isinstance(loss, Brier | AbsolutePercentageError)
    assert ("_residual = (" in source) == has_residual
    if by_residual_alone or isinstance(loss, Brier):
        # The target enters through the residual alone.
        assert source.count("target") == 1
    if isinstance(loss, (Hinge, BinaryFocal)):
        assert "_margin = (" in source


@every_variant
def test_generated_source_is_small_and_complete(loss):
    functions = loss._definition.functions
    assert {"value", "gradient", "hessian", "value_and_gradient", "gradient_and_hessian"} <= set(functions)
    for function in functions.values():
        # Nothing of SymPy is left, and every number has the data's dtype.
        text = "\n".join([*function.lines, *function.results])
        assert "Derivative" not in text
        assert "Piecewise" not in text
        assert len(function.lines) < 45


@every_variant
def test_formulas_are_readable_latex(loss):
    for formula in (loss.formula, loss.gradient_formula, loss.hessian_formula):
        assert formula.count("{") == formula.count("}")
        assert formula.count(r"\left") == formula.count(r"\right")
        # Names of primitives, parameters and variables would mean that something was not translated.
        for name in ("p_", "h_", "_residual", "_margin", "xmul", "log1psq", "sqrt1psq", "softplus", "infinity"):
            assert name not in formula


DERIVED_AGAIN = """
from lossfn.engine import definition

definition.SHIPPED = "nothing"
from lossfn.reference.definitions import text

print(text(), end="")
"""


def test_shipped_definitions_are_those_that_are_derived_whatever_the_hash_seed(tmp_path):
    derived = run_python(DERIVED_AGAIN, PYTHONHASHSEED="random", LOSSFN_CACHE_DIR=str(tmp_path))
    path = Path(definition.__file__).with_name(definition.SHIPPED)
    assert path.read_text(encoding="utf-8") == derived, f"{path.name} is stale: make docs"


def test_every_loss_of_the_library_is_shipped_derived():
    code = "import sys, lossfn; lossfn.GaussianNLL()([[0.0, 0.0]], [0.0]); print('sympy' in sys.modules)"
    assert run_python(code).strip() == "False"
    for loss in pointwise_losses():
        assert loss._recorded.key in definition.shipped(), "stale: make docs"


def test_structural_parameters_give_definitions_of_their_own_and_others_share_one():
    assert Huber(delta=1.0)._definition is Huber(delta=7.0)._definition
    assert BinaryFocal(gamma=1.5)._definition is BinaryFocal(gamma=4.7)._definition
    keys = {BinaryFocal(gamma=gamma)._definition.key for gamma in (0.0, 1.0, 2.0, 3.0, 4.0)}
    assert len(keys) == 5
    assert BinaryFocal(alpha=0.25)._definition is BinaryFocal(alpha=0.75)._definition
    assert BinaryFocal(alpha=0.25)._definition is not BinaryFocal()._definition
    assert len({BinaryCrossEntropy(inputs=inputs)._definition.key for inputs in ("logits", "probabilities")}) == 2


def test_labels_of_a_loss_change_its_definition():
    def make(target):
        return lossfn.define("Mine", lambda _xp, p, y: p * y, target=target)()._recorded

    assert make(fields.REAL).key != make(fields.BINARY).key


def test_derivatives_of_its_own_change_the_definition_of_a_loss():
    class Plain(lossfn.PointwiseLoss):
        def expression(self, _xp, pred, target):
            return (pred - target) * (pred - target)

    class Overridden(Plain):
        factor = 2.0

        def gradient_expression(self, _xp, pred, target):
            return 2 * (pred - target)

        def hessian_expression(self, _xp, _pred, _target):
            return self.factor

    class Other(Overridden):
        factor = 3.0

    assert len({loss()._recorded.key for loss in (Plain, Overridden, Other)}) == 3


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_a_namespace_tells_its_library(library):
    pytest.importorskip(library)
    assert library_of_namespace(compatible(library)) == library
    assert library_of_namespace(np) == "numpy"


# ---- keeping --------------------------------------------------------------------------------------------------------

# The same class name, file and line; the size takes the compiled kernel.
DEFINITION = """
import numpy as np
import lossfn


def helper(xp, r):
    return {body}


class Mine(lossfn.PointwiseLoss):
    def expression(self, xp, pred, target):
        return helper(xp, pred - target)


answer = float(Mine()(np.full(600, 3.0), np.zeros(600))), float(Mine()(np.full(5, 3.0), np.zeros(5)))
"""


def test_a_changed_helper_gives_new_numbers_in_the_same_process():
    answers = []
    for body in ("r * r", "xp.abs(r)", "r * r"):
        namespace: dict[str, object] = {"__name__": "mine"}
        exec(DEFINITION.format(body=body), namespace)
        answers.append(namespace["answer"])
    assert answers == [(9.0, 9.0), (3.0, 3.0), (9.0, 9.0)]


def test_a_changed_helper_gives_new_numbers_in_a_new_process():
    code = DEFINITION + "print(answer)"
    answers = [run_python(code.format(body=body)).strip() for body in ("r * r", "xp.abs(r)", "r * r")]
    assert answers == ["(9.0, 9.0)", "(3.0, 3.0)", "(9.0, 9.0)"]


@pytest.mark.parametrize("version", [cache.engine_version, cache.derivation_version], ids=["engine", "derivation"])
def test_changed_source_of_the_engine_gives_another_version(version, tmp_path, monkeypatch):
    source = tmp_path / "primitives" / "exponential.py"
    source.parent.mkdir()
    source.write_text("one")
    for name in cache.DERIVING:
        (tmp_path / name).touch()
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    first = version.__wrapped__()
    assert version.__wrapped__() == first
    source.write_text("two")
    assert version.__wrapped__() != first


def test_versions_are_part_of_the_names_of_what_is_kept(monkeypatch):
    loss, names = Huber(delta=0.123), []
    monkeypatch.setattr(cache, "write", lambda name, _text: names.append(name))
    key = loss._recorded.key
    monkeypatch.setattr(cache, "derivation_version", lambda: "another")
    assert Huber(delta=0.123)._recorded.key != key
    # Kernels depend on NumPy and Numba, derived source on SymPy.
    installed = cache.engine_version()
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"another {name}")
    changed = cache.engine_version.__wrapped__()
    assert changed != installed
    monkeypatch.setattr(cache, "engine_version", lambda: changed)
    kernels._load(loss._definition, kernels.Variant("value", "float64", weighted=False, masked=False))
    assert changed in names[-1]
    monkeypatch.undo()
    before = definition._file_of(key)
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"another {name}")
    assert definition._file_of(key) != before


NUMBERS = """
import numpy as np, lossfn
loss = lossfn.define("Mine", lambda xp, p, y: xp.sqrt1psq(p - y))()
pred, target = np.random.default_rng(0).normal(size=(2, 1000))
value, gradient = loss.value_and_gradient(pred, target)
print(float(value).hex(), gradient.sum().hex())
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a new cache folder after a process has filled it, and what that process printed."""
    folder = tmp_path_factory.mktemp("cache") / "new" / "folder"
    return folder, run_python(NUMBERS, LOSSFN_CACHE_DIR=str(folder))


@pytest.fixture
def kept(filled, tmp_path):
    """Return a copy of the folder, which a test may damage."""
    return shutil.copytree(filled[0], tmp_path / "kept")


@pytest.fixture
def numbers(filled):
    return filled[1]


def test_a_damaged_cache_is_derived_again(kept, numbers):
    (stored,) = kept.glob("*.json")
    intact = stored.read_text()
    stored.write_text(intact[:100])
    assert run_python(NUMBERS, LOSSFN_CACHE_DIR=str(kept)) == numbers
    assert stored.read_text() == intact


class _Recorded:
    """Stands for a recorded loss where only its key matters."""

    def __init__(self, key):
        self.key = key


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "7", '{"key": "x"}', '{"functions": {"value": 3}}'])
def test_any_damage_counts_as_absent(monkeypatch, damage):
    monkeypatch.setattr(cache, "read", lambda _name: damage)
    assert definition.known(_Recorded("a key that nobody has")) is None


def test_damaged_source_of_a_kernel_is_written_again(kept, numbers):
    (kernel,) = kept.glob("lossfn_*.py")
    kernel.write_text("raise SystemExit")
    assert run_python(NUMBERS, LOSSFN_CACHE_DIR=str(kept)) == numbers


def test_without_a_usable_folder_kernels_live_in_memory(tmp_path, numbers):
    occupied = tmp_path / "a file"
    occupied.write_text("not a folder")
    open_to_all = tmp_path / "open to all"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    for folder in (occupied, open_to_all):
        assert run_python(NUMBERS, LOSSFN_CACHE_DIR=str(folder)) == numbers
    assert list(open_to_all.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="ownership is a matter of POSIX systems")
def test_a_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSSFN_CACHE_DIR", str(tmp_path))
    owner = os.getuid()
    try:
        cache.folder.cache_clear()
        assert cache.folder() == tmp_path
        cache.folder.cache_clear()
        monkeypatch.setattr(os, "getuid", lambda: owner + 1)
        assert cache.folder() is None
    finally:
        cache.folder.cache_clear()


def test_a_new_folder_is_private(filled):
    assert stat.S_IMODE(filled[0].stat().st_mode) & 0o077 == 0


def test_processes_that_start_on_an_empty_cache_agree(tmp_path, numbers):
    with ThreadPoolExecutor(3) as pool:
        printed = list(pool.map(lambda _: run_python(NUMBERS, LOSSFN_CACHE_DIR=str(tmp_path)), range(3)))
    assert set(printed) == {numbers}
    # Writes are atomic: nothing half-written is left.
    assert not list(tmp_path.glob("*.part"))


def test_a_cached_definition_needs_no_sympy():
    code = """
import sys, numpy as np, lossfn
print(lossfn.Huber(delta=0.7)(np.ones(3), np.zeros(3)), "sympy" in sys.modules, "numba" in sys.modules)
"""
    run_python(code)
    assert run_python(code).split()[1:] == ["False", "False"]
