"""What the tests of the core share: the losses, data for them, and every path that computes them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
import pytest

import lossfn
from lossfn import fields
from lossfn.catalogue import sample
from lossfn.engine import dispatch

hypothesis.settings.register_profile("lossfn", deadline=None, max_examples=30, derandomize=True, database=None)
hypothesis.settings.load_profile("lossfn")


def pytest_configure(config: pytest.Config) -> None:
    """Give all workers, and the processes that tests start, one empty cache folder."""
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="lossfn-tests-")
        os.environ["LOSSFN_CACHE_DIR"] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


# ---- losses -------------------------------------------------------------------------------------------------------


def label(loss: Any) -> str:
    """Return a short name: the class and the parameters that are not the defaults."""
    default = type(loss)()
    named = {name: getattr(loss, name) for name in fields.parameters_of(type(loss))}
    changed = [f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
               for name, value in named.items() if value != getattr(default, name)]  # fmt: skip
    return f"{type(loss).__name__}({', '.join(changed)})" if changed else type(loss).__name__


CATALOGUE = list(lossfn.catalogue())
VARIANTS = [loss for entry in CATALOGUE for loss in entry.variants]
DEFAULTS = [entry.loss for entry in CATALOGUE]


def distinct(losses: list[Any]) -> list[Any]:
    """Return one loss for each definition: parameters that are not structural share kernels and source."""
    chosen = {}
    for loss in losses:
        parameters = fields.parameters_of(type(loss)).items()
        structure = [getattr(loss, name) for name, field in parameters if not field.is_symbolic(getattr(loss, name))]
        chosen.setdefault((type(loss), *structure), loss)
    return list(chosen.values())


every_variant = pytest.mark.parametrize("loss", VARIANTS, ids=label)
every_loss = pytest.mark.parametrize("loss", DEFAULTS, ids=label)

# One residual loss, one with several heads, one with labels: for what does not depend on the formula.
FEW = [lossfn.Huber(delta=0.7), lossfn.GaussianNLL(), lossfn.BinaryFocal(gamma=2.0, alpha=0.25)]
a_few_losses = pytest.mark.parametrize("loss", FEW, ids=label)


# ---- data ---------------------------------------------------------------------------------------------------------


def draw(loss: Any, *shape: int, seed: int = 0, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Draw predictions and targets from the declared domains; ``shape`` is that of the elements."""
    pred, target = sample(loss, np.random.default_rng(seed), int(np.prod(shape)), dtype)
    return pred.reshape(shape + pred.shape[1:]), target.reshape(shape)


def spoil(pred: np.ndarray, target: np.ndarray, dropped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put NaN, -100 and infinity where ``dropped``: values that no loss may look at."""
    pred, target = pred.copy(), target.copy()
    rubbish = np.array([np.nan, -100.0, np.inf])
    pred[dropped] = np.nan
    target[dropped] = np.resize(rubbish, target[dropped].shape)
    return pred, target


# ---- paths --------------------------------------------------------------------------------------------------------

NUMPY_PATHS = ["arrays", "kernel", "threads"]
PATHS = [*NUMPY_PATHS, "torch", "jax"]
# Every loss on every path: in every setting by expressions, once per definition by what compiles it.
LOSSES_OF_PATH = {"arrays": VARIANTS, "kernel": distinct(VARIANTS), "threads": distinct(VARIANTS),
                  "torch": distinct(VARIANTS), "jax": DEFAULTS}  # fmt: skip
every_loss_on_every_path = pytest.mark.parametrize(
    ("loss", "path"),
    [pytest.param(loss, path, id=f"{label(loss)}-{path}") for path in PATHS for loss in LOSSES_OF_PATH[path]],
)
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
        rows = np.shape(target)[:1]
        options["weight"] = np.ones(rows) if weight is None else weight
        options["mask"] = np.ones(rows, bool) if mask is None else mask
    with dispatch.forced(path):
        value, gradient = loss.value_and_gradient(pred, target, **options)
        again, hessian = loss.gradient_and_hessian(pred, target, **options)
    np.testing.assert_array_equal(again, gradient)
    return Result(value, gradient, hessian)


def _through_torch(loss: Any, pred: Any, target: Any, options: dict[str, Any]) -> Result:
    import torch

    options = {
        key: in_library("torch", item) if isinstance(item, np.ndarray) else item for key, item in options.items()
    }
    pred, target = torch.tensor(pred, requires_grad=True), torch.tensor(target)
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


def in_library(library: str, array: Any) -> Any:
    """Return an array of PyTorch, of JAX or, for the other paths, of NumPy."""
    if library == "torch":
        import torch

        return torch.tensor(array)
    if library == "jax":
        import jax

        return jax.numpy.asarray(array)
    return np.asarray(array)


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
