"""What estimators need from an engine, and the engines by name."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .curvature import BoostedLoss
from .objective import Objective

Array = NDArray[np.float64]


class Engine(Protocol):
    """How one engine trains on arrays; a model that it returns can be pickled and copied."""

    #: The class of its objectives, called with a loss and a curvature.
    objective: type[Objective]

    def sets_leaves(self, loss: BoostedLoss, refit_leaves: bool | None) -> bool:
        """Return whether leaves get their exact optimum, as asked for, or as the engine decides for a loss.

        Asking for what the engine cannot do is refused.
        """
        ...

    def train(
        self,
        objective: Any,
        features: Array,
        target: Array,
        weight: Array,
        start: Array,
        rounds: int,
        params: dict[str, Any],
        refit_leaves: bool | None = None,
    ) -> Any:
        """Return a model that starts from ``start`` (H,) and has so many rounds of trees.

        ``params`` are native parameters, ``learning_rate`` among them; ``refit_leaves`` as for ``sets_leaves``.
        """
        ...

    def scores(self, model: Any, features: Array) -> Array:
        """Return raw scores (N, H), the start included."""
        ...


#: The class of each engine, by module.
ENGINES = {"lightgbm": "LightGBMEngine", "xgboost": "XGBoostEngine", "catboost": "CatBoostEngine"}


def engine_of(owner: str, name: Any) -> Engine:
    """Return an engine by its name; refuse one that is unknown or not installed."""
    if name not in ENGINES:
        raise ValueError(f"{owner}: engine must be one of {', '.join(ENGINES)}; got {name!r}")
    import_engine(name)
    module = importlib.import_module(f"lossfn.boosting.{name}")
    engine: Engine = getattr(module, ENGINES[name])()
    return engine


def leaves_cannot_be_set(engine: str) -> ValueError:
    """Return what to say where leaves are to be set by an engine that does not allow it while it trains."""
    return ValueError(
        f"{engine} lets no leaves be set while it trains, so that refit_leaves=True cannot be honoured: choose "
        "engine='lightgbm', or leave refit_leaves out"
    )


def import_engine(name: str) -> Any:
    """Return the package of an engine."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"lossfn.boosting needs {name}, an optional extra: pip install 'lossfn[{name}]'") from error
