"""What the tests of the core share: the losses, data for them, and every path that computes them."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

import lossfn
from lossfn import fields
from lossfn.engine import paths
from lossfn.engine.cache import engine_version
from lossfn.registry import sample

hypothesis.settings.register_profile("lossfn", deadline=None, max_examples=30, derandomize=True, database=None)
hypothesis.settings.load_profile("lossfn")


def pytest_configure(config: pytest.Config) -> None:
    """Set what all workers, and the processes that tests start, have in common.

    That is one cache folder, kept until the engine changes, because compiling kernels takes a third of the time;
    ``pytest --cache-clear`` compiles them anew.
    """
    # Nothing of what is being imported and collected is garbage, which a seventh of the time would go into looking for.
    gc.disable()
    # Known to pytest-xdist, which need not be there.
    config.addinivalue_line("markers", "xdist_group(name): tests that one process runs")
    if hasattr(config, "workerinput"):
        return
    # JAX compiles for each test anew. What is tested are the operations that it is given, not how it optimises them.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
    if config.getoption("numprocesses", None):
        # Each worker has a processor to itself: threads that wait by spinning would take it from the other worker.
        os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    if getattr(config, "cache", None) is None:
        folder = Path(tempfile.mkdtemp(prefix="lossfn-tests-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    else:
        folder = config.cache.mkdir(f"lossfn-{engine_version()}")
        for other in folder.parent.glob("lossfn-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
    # What others may write to is not executed.
    folder.chmod(0o700)
    os.environ["LOSSFN_CACHE_DIR"] = str(folder)


def pytest_collection_finish() -> None:
    """Leave out of every later collection of garbage what lives to the end: the libraries, and thousands of tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    gc.enable()


# ---- losses -------------------------------------------------------------------------------------------------------


def label(loss: Any) -> str:
    """Return a short name: the class and the parameters that are not the defaults."""
    default = type(loss)()
    named = {name: getattr(loss, name) for name in fields.parameters_of(type(loss))}
    changed = [f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
               for name, value in named.items() if value != getattr(default, name)]  # fmt: skip
    return f"{type(loss).__name__}({', '.join(changed)})" if changed else type(loss).__name__


ENTRIES = list(lossfn.catalogue())
# Losses of rows have tests of their own.
CATALOGUE = [entry for entry in ENTRIES if isinstance(entry.loss, lossfn.PointwiseLoss)]
VARIANTS = [loss for entry in CATALOGUE for loss in entry.variants]
DEFAULTS = [entry.loss for entry in CATALOGUE]


def distinct(losses: list[Any]) -> list[Any]:
    """Return one loss for each definition: parameters that are not structural share kernels and source."""
    chosen = {}
    for loss in losses:
        values = [(field, getattr(loss, name)) for name, field in fields.parameters_of(type(loss)).items()]
        structure = [value for field, value in values if not field.is_symbolic(value)]
        chosen.setdefault((type(loss), len(loss.heads), *structure), loss)
    return list(chosen.values())


DEFINITIONS = distinct(VARIANTS)


def covering(losses: list[Any]) -> list[Any]:
    """Return few losses whose formulas hold all primitives that those of all hold."""
    used = {}
    for loss in losses:
        functions = loss._definition.functions
        lines = [
            line
            for name in ("value", "gradient", "hessian")
            for line in (*functions[name].lines, *functions[name].results)
        ]
        used[loss] = set(re.findall(r"ops\.(\w+)", " ".join(lines)))
    chosen, missing = [], set().union(*used.values())
    while missing:
        chosen.append(max(losses, key=lambda loss: len(used[loss] & missing)))
        missing -= used[chosen[-1]]
    return chosen


# Whose kernels the tests compile, which takes the time: in double precision those of each loss; of other settings, and
# in single precision, those that hold each primitive, because array code has the same formulas.
COMPILED = {
    "float32": covering(DEFAULTS),
    "float64": distinct([*DEFAULTS, *covering(DEFINITIONS)]),
}

every_variant = pytest.mark.parametrize("loss", VARIANTS, ids=label)
every_loss = pytest.mark.parametrize("loss", DEFAULTS, ids=label)
every_definition = pytest.mark.parametrize("loss", DEFINITIONS, ids=label)

# One residual loss, one with several heads, one with labels: for what does not depend on the formula.
FEW = [lossfn.Huber(delta=0.7), lossfn.GaussianNLL(), lossfn.BinaryFocal(gamma=2.0, alpha=0.25)]
a_few_losses = pytest.mark.parametrize("loss", FEW, ids=label)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one loss in one process, where it is derived, compiled and traced once; others by file."""
    for item in items:
        loss = item.callspec.params.get("loss") if hasattr(item, "callspec") else None
        group = type(loss).__name__ if isinstance(loss, lossfn.Loss) else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def array_code() -> Iterator[None]:
    """Compute without kernels, which are compared elsewhere, and tensors as accelerators do: by their operations."""
    with paths.forced("arrays"):
        yield


# ---- data ---------------------------------------------------------------------------------------------------------


def each_part(function: Callable[[Any], Any], target: Any) -> Any:
    """Apply a function to a target, or to every part of one that has parts."""
    return type(target)(*map(function, target)) if isinstance(target, tuple) else function(target)


def parts_of(target: Any) -> tuple[Any, ...]:
    """Return the arrays that a target consists of."""
    return tuple(target) if isinstance(target, tuple) else (target,)


def take(data: Any, chosen: Any) -> Any:
    """Return the chosen rows of predictions or targets."""
    return each_part(lambda part: part[chosen], data)


def repeat(data: Any, times: Any) -> Any:
    """Return predictions or targets with each row as often as ``times`` says."""
    return each_part(lambda part: part.repeat(times, axis=0), data)


def draw(loss: Any, *shape: int, seed: int = 0, dtype: Any = np.float64) -> tuple[np.ndarray, Any]:
    """Draw predictions and targets from the declared domains; ``shape`` is that of the elements."""
    pred, target = sample(loss, np.random.default_rng(seed), int(np.prod(shape)), dtype)
    return pred.reshape(shape + pred.shape[1:]), each_part(lambda part: part.reshape(shape + part.shape[1:]), target)


def spoil(pred: np.ndarray, target: Any, dropped: np.ndarray) -> tuple[np.ndarray, Any]:
    """Put NaN, -100 and infinity where ``dropped``: values that no loss may look at."""
    rubbish = np.resize([np.nan, -100.0, np.inf], np.count_nonzero(dropped))

    def spoiled(part: np.ndarray) -> np.ndarray:
        part = part.copy()
        part[dropped] = rubbish.reshape(-1, *[1] * (part[dropped].ndim - rubbish.ndim))
        return part

    pred = pred.copy()
    pred[dropped] = np.nan
    return pred, each_part(spoiled, target)


def special(loss: Any) -> tuple[np.ndarray, Any, dict[str, np.ndarray]]:
    """Draw rows with NaN, infinities, kinks and zeros in each head, weights, a mask, and rubbish where they drop.

    On such data every path must give the elements, gradients and Hessians of the expressions.
    """
    numbers = [np.nan, *(x for x in (-np.inf, np.inf, 0.0, 1.0, -1.0, 0.5) if x in loss.prediction)]
    heads = len(loss.heads)
    pred, target = draw(loss, 6 + len(numbers) * heads)
    for position in range(heads):
        pred.reshape(len(pred), heads)[6 + len(numbers) * position :, position][: len(numbers)] = numbers
    weight = np.resize([0.5, 1.0, 0.0, 2.0, 1.0], len(pred))
    mask = np.resize([True, True, True, False, True, True, True], len(pred))
    # What would drop a special number drops another row instead.
    weight[6:], mask[6:] = np.maximum(weight[6:], 0.25), True
    return *spoil(pred, target, ~mask | (weight == 0)), {"weight": weight, "mask": mask}


# ---- paths --------------------------------------------------------------------------------------------------------

NUMPY_PATHS = ["arrays", "kernel", "threads"]
PATHS = [*NUMPY_PATHS, "torch", "jax"]
# By expressions every loss in every setting. What compiles or traces them is compared with them, on data with all that
# weights, masks and special numbers do (test_kernels.py, test_frameworks.py): there a few losses do.
every_variant_and_path = pytest.mark.parametrize(
    ("loss", "path"),
    [pytest.param(loss, path, id=f"{label(loss)}-{path}")
     for path in PATHS for loss in (VARIANTS if path == "arrays" else FEW)],
)  # fmt: skip
every_path = pytest.mark.parametrize("path", PATHS)
every_numpy_path = pytest.mark.parametrize("path", NUMPY_PATHS)


@dataclass
class Result:
    """Value, gradient and Hessian of one call, as NumPy arrays."""

    value: Any
    gradient: Any
    hessian: Any

    def __iter__(self) -> Iterator[Any]:
        """Yield the three."""
        return iter((self.value, self.gradient, self.hessian))


def through(
    path: str, loss: Any, pred: Any, target: Any, weight: Any = None, mask: Any = None, **options: Any
) -> Result:
    """Compute value, gradient and Hessian through one path, in float64."""
    options |= {"weight": weight, "mask": mask}
    if path == "torch":
        return _through_torch(loss, pred, target, options)
    if path == "jax":
        return _through_jax(loss, pred, target, options)
    if path != "arrays":
        # One kernel each serves all laws: the one that reads weights and a mask.
        shape = pred.shape[: pred.ndim - (len(loss.heads) > 1)][:1]
        options["weight"] = np.ones(shape) if weight is None else weight
        options["mask"] = np.ones(shape, bool) if mask is None else mask
        if loss not in FEW:
            with paths.forced(path):
                return Result(*loss.value_gradient_and_hessian(pred, target, **options))
    with paths.forced(path):
        value, gradient = loss.value_and_gradient(pred, target, **options)
        again, hessian = loss.gradient_and_hessian(pred, target, **options)
    np.testing.assert_array_equal(again, gradient)
    return Result(value, gradient, hessian)


def _through_torch(loss: Any, pred: Any, target: Any, options: dict[str, Any]) -> Result:
    import torch

    options = {
        key: in_library("torch", item) if isinstance(item, np.ndarray) else item for key, item in options.items()
    }
    pred, target = torch.tensor(pred, requires_grad=True), in_library("torch", target)
    value = loss(pred, target, **options)
    (gradient,) = torch.autograd.grad(value.sum(), pred)
    return Result(*(part.detach().numpy() for part in (value, gradient, loss.hessian(pred, target, **options))))


def _through_jax(loss: Any, pred: Any, target: Any, options: dict[str, Any]) -> Result:
    import jax

    with jax.enable_x64(True):
        options = {
            key: in_library("jax", item) if isinstance(item, np.ndarray) else item for key, item in options.items()
        }
        pred, target = in_library("jax", pred), in_library("jax", target)
        value, back = jax.vjp(lambda p: loss(p, target, **options), pred)
        (gradient,) = back(jax.numpy.ones_like(value))
        return Result(*map(np.asarray, (value, gradient, loss.hessian(pred, target, **options))))


def in_library(library: str, data: Any) -> Any:
    """Return predictions or targets as arrays of PyTorch, of JAX or, for the other paths, of NumPy."""
    if library == "torch":
        import torch

        return each_part(torch.tensor, data)
    if library == "jax":
        import jax

        return each_part(jax.numpy.asarray, data)
    return each_part(np.asarray, data)


def assert_close(got: Any, expected: Any, rtol: float = 1e-12, atol: float = 1e-14) -> None:
    """Compare numbers or results part by part."""
    if isinstance(got, Result):
        for part, wanted in zip(got, expected, strict=True):
            np.testing.assert_allclose(part, wanted, rtol, atol)
    else:
        np.testing.assert_allclose(got, expected, rtol, atol)


# ---- processes ----------------------------------------------------------------------------------------------------


def run_python(code: str, *arguments: str, fails: bool = False, **environment: str) -> str:
    """Run code in a new interpreter with the same cache folder; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
        check=False,
    )
    assert (result.returncode != 0) == fails, result.stderr
    return result.stderr if fails else result.stdout


@contextlib.contextmanager
def raises(kind: type[Exception], *fragments: str) -> Iterator[None]:
    """Expect an error whose message contains every fragment: what came in, what was expected, the cure."""
    with pytest.raises(kind) as caught:
        yield
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message, f"{fragment!r} is missing in: {message}"
