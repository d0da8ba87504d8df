"""What a loss is called in other libraries, and by which factor it differs there."""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import dataclass
from typing import Any

#: Libraries of functions, with the module that a call starts from.
MODULES = {
    "PyTorch": "torch",
    "Keras": "keras",
    "optax": "optax",
    "scikit-learn": "sklearn",
    "SciPy": "scipy",
}

#: Libraries of boosted trees, which take a loss as settings of a training run.
BOOSTING = ("XGBoost", "LightGBM", "CatBoost")


@dataclass(frozen=True)
class Equivalent:
    """The same loss in another library, exactly enough to be executed.

    Parameters
    ----------
    library : str
        One of ``MODULES`` or ``BOOSTING``.
    call : str
        A Python expression of ``pred``, ``target`` and the parameters of the loss. For boosted trees, the keyword
        settings of the training run.
    factor : str
        An expression of the parameters: what the other library computes is this times the mean of the loss. For
        boosted trees this holds of the gradient; many replace the Hessian by a number of their own.
    when : str
        An expression of the parameters: the settings for which this holds. Empty for all.
    constant : bool
        Whether the values also differ by terms that do not depend on the prediction.
    note : str
        What else differs: clipping, encodings of the target.

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
    constant: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        if self.library not in (*MODULES, *BOOSTING):
            raise ValueError(f"unknown library {self.library!r}; there are {', '.join((*MODULES, *BOOSTING))}")

    @property
    def is_objective(self) -> bool:
        """Whether this is a setting of a training run, not a function."""
        return self.library in BOOSTING

    def holds_for(self, loss: Any) -> bool:
        """Whether it holds for the parameters of this loss."""
        return not self.when or bool(_evaluate(self.when, _parameters(loss)))

    def factor_for(self, loss: Any) -> float:
        """Return the factor for the parameters of this loss."""
        return float(_evaluate(self.factor, _parameters(loss)))

    def compute(self, loss: Any, pred: Any, target: Any) -> Any:
        """Return what the other library computes for its own kind of arrays."""
        names = {**_parameters(loss), "pred": pred, "target": target}
        # Submodules are attributes of their package only once they are imported.
        root = MODULES[self.library]
        for name in {root, *_SUBMODULES.get(root, ())}:
            importlib.import_module(name)
        modules = {name: importlib.import_module(name) for name in (root, "numpy")}
        return _evaluate(self.call, {**names, **modules})

    def settings_for(self, loss: Any) -> dict[str, Any]:
        """Return the settings of a training run, for libraries of boosted trees.

        Examples
        --------
        >>> import lossfn
        >>> lightgbm = lossfn.Huber.equivalents[-2]
        >>> lightgbm.settings_for(lossfn.Huber(delta=2.0))
        {'objective': 'huber', 'alpha': 2.0}
        """
        settings: dict[str, Any] = _evaluate(f"dict({self.call})", _parameters(loss))
        return settings


_SUBMODULES = {"sklearn": ("sklearn.metrics",), "scipy": ("scipy.special", "scipy.stats")}


def _parameters(loss: Any) -> dict[str, Any]:
    return {field.name: getattr(loss, field.name) for field in dataclasses.fields(loss)}


def _evaluate(expression: str, names: dict[str, Any]) -> Any:
    # These expressions are the library's own.
    return eval(expression, names)
