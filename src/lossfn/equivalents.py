"""What a loss is called in other libraries, and by which factor it differs there."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Libraries of functions, with the module that a call starts from.
MODULES = {
    "PyTorch": "torch",
    "Keras": "keras",
    "optax": "optax",
    "scikit-learn": "sklearn",
    "SciPy": "scipy",
    "torchmetrics": "torchmetrics",
    "scoringrules": "scoringrules",
}

#: Libraries of boosted trees, which take a loss as settings of a training run.
BOOSTING = ("XGBoost", "LightGBM", "CatBoost")

#: What takes a loss as settings of a training run: these, and linear models by stochastic gradient descent.
TRAINING = ("scikit-learn SGD", *BOOSTING)


@dataclass(frozen=True)
class Equivalent:
    """The same loss in another library, exactly enough to be executed.

    Parameters
    ----------
    library : str
        One of ``MODULES`` or ``TRAINING``.
    call : str
        A Python expression of ``pred``, ``target`` and the parameters of the loss. For what trains, the keyword
        settings of the training run.
    factor : str
        An expression of the parameters: what the other library computes is this times the mean of the loss. For
        what trains this holds of the gradient.
    when : str
        An expression of the parameters: the settings for which this holds. Empty for all.
    rows : str
        An expression of ``pred``, ``target`` and the parameters: the rows for which this holds. Empty for all.
    constant : bool
        Whether the values also differ by terms that do not depend on the prediction.
    note : str
        What else differs: clipping, encodings of the target.
    labels : str
        Of boosted trees: an expression for the target that they take. Empty where it is the same.
    curvature : str
        Of boosted trees: an expression for what takes the place of the Hessian, in terms of ``pred``, ``target``, the
        parameters and the ``hessian`` of the loss; like the gradient it is multiplied by ``factor`` there. Empty where
        it is the Hessian, or its diagonal where a row has several scores.
    exact_leaves : bool
        Of boosted trees: whether the values of the leaves are replaced by the best constants of their rows (quantiles,
        which engines interpolate in ways of their own), so that the curvature only chooses where to split.

    Examples
    --------
    >>> import lossfn
    >>> from lossfn.equivalents import Equivalent
    >>> there = Equivalent("PyTorch", "torch.nn.functional.huber_loss(pred, target, delta=beta)", factor="beta")
    >>> there.factor_for(lossfn.SmoothL1(beta=2.0))
    2.0
    """

    library: str
    call: str
    factor: str = "1"
    when: str = ""
    rows: str = ""
    constant: bool = False
    note: str = ""
    labels: str = ""
    curvature: str = ""
    exact_leaves: bool = False

    def __post_init__(self) -> None:
        if self.library not in (*MODULES, *TRAINING):
            raise ValueError(f"unknown library {self.library!r}; there are {', '.join((*MODULES, *TRAINING))}")

    @property
    def is_objective(self) -> bool:
        """Whether this is a setting of a training run, not a function."""
        return self.library in TRAINING

    @property
    def remarks(self) -> list[str]:
        """What a reader must know besides call and factor, code in double backticks."""
        return [
            *["up to terms without the prediction"] * self.constant,
            *[self.note] * bool(self.note),
            *[f"takes the target ``{self.labels}``"] * bool(self.labels),
            *[f"for rows with ``{self.rows}``"] * bool(self.rows),
            *[f"takes ``{self.curvature}`` for the Hessian"] * bool(self.curvature),
            *["leaves get the best constants of their rows, up to interpolation"] * self.exact_leaves,
        ]

    def holds_for(self, loss: Any) -> bool:
        """Whether it holds for the parameters of this loss."""
        return not self.when or bool(_evaluate(self.when, _parameters(loss)))

    def rows_for(self, loss: Any, pred: Any, target: Any) -> Any:
        """Return for which rows of NumPy arrays it holds."""
        names = {**_parameters(loss), "pred": pred, "target": target}
        return np.broadcast_to(_evaluate(self.rows or "True", names), np.shape(pred)[:1])

    def factor_for(self, loss: Any) -> float:
        """Return the factor for the parameters of this loss."""
        return float(_evaluate(self.factor, _parameters(loss)))

    def compute(self, loss: Any, pred: Any, target: Any) -> Any:
        """Return what the other library computes for its own kind of arrays."""
        root = MODULES[self.library]
        names = {**_parameters(loss), "pred": pred, "target": target, root: importlib.import_module(root)}
        for name in _HELPERS.get(root, ()):
            # Submodules are attributes of their package only once they are imported.
            importlib.import_module(name)
            package = name.partition(".")[0]
            names[package] = importlib.import_module(package)
        return _evaluate(self.call, names)

    def settings_for(self, loss: Any) -> dict[str, Any]:
        """Return the settings of a training run.

        Examples
        --------
        >>> import lossfn
        >>> lightgbm = lossfn.Huber.equivalents[-2]
        >>> lightgbm.settings_for(lossfn.Huber(delta=2.0))
        {'objective': 'huber', 'alpha': 2.0}
        """
        settings: dict[str, Any] = _evaluate(f"dict({self.call})", _parameters(loss))
        return settings

    def labels_for(self, loss: Any, target: Any) -> Any:
        """Return the target that a library of boosted trees takes."""
        return _evaluate(self.labels or "target", {**_parameters(loss), "target": target})

    def curvature_for(self, loss: Any, pred: Any, target: Any, hessian: Any) -> Any:
        """Return what boosted trees use for each score in place of ``hessian``, the exact one or blocks over heads.

        Examples
        --------
        >>> import lossfn
        >>> lightgbm = lossfn.Huber.equivalents[-2]
        >>> lightgbm.curvature_for(lossfn.Huber(), pred=[0.5, 7.0], target=[0.0, 0.0], hessian=[1.0, 0.0])
        array([1., 1.])
        """
        if np.ndim(hessian) > np.ndim(pred):
            hessian = np.diagonal(hessian, axis1=-2, axis2=-1)
        names = {**_parameters(loss), "pred": pred, "target": target, "hessian": hessian}
        curvature = np.empty(np.shape(pred))
        curvature[...] = _evaluate(self.curvature or "hessian", names)
        return curvature


# What the calls of a library need besides it.
_HELPERS = {
    "keras": ("scipy.special",),
    "optax": ("jax.nn",),
    "sklearn": ("sklearn.metrics", "scipy.special"),
    "scipy": ("scipy.optimize", "scipy.special", "scipy.stats"),
    "torchmetrics": ("torchmetrics.functional", "torch"),
    "scoringrules": ("scipy.special",),
}


def _parameters(loss: Any) -> dict[str, Any]:
    return {field.name: getattr(loss, field.name) for field in dataclasses.fields(loss)}


def _evaluate(expression: str, names: dict[str, Any]) -> Any:
    # These expressions are the library's own.
    return eval(expression, {**names, "numpy": np})
