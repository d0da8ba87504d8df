"""What estimators need from an engine, and the engines by name."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lossfn.extras import needs

from .curvature import BoostedLoss
from .objective import Objective

Array = NDArray[np.float64]


class Engine(ABC):
    """How one engine trains on arrays; a model that it returns can be pickled and copied."""

    #: What messages call it.
    name: ClassVar[str]
    #: The class of its objectives, called with a loss and a curvature.
    objective: ClassVar[type[Objective]]
    #: Whether it keeps features in single precision, whatever they come in.
    is_single: ClassVar[bool] = True
    #: Its settings that are refused, and what to do instead.
    taken: ClassVar[Mapping[str, str]]

    def sets_leaves(self, loss: BoostedLoss, refit_leaves: bool | None) -> bool:  # noqa: ARG002 (some engines ask it)
        """Return whether leaves get their exact optimum, as asked for, or as the engine decides for a loss.

        Asking for what the engine cannot do is refused.
        """
        if refit_leaves:
            raise ValueError(
                f"{self.name} lets no leaves be set while it trains, so that refit_leaves=True cannot be honoured: "
                "choose engine='lightgbm', or leave refit_leaves out"
            )
        return False

    def check_settings(self, params: dict[str, Any]) -> None:
        """Refuse settings that another one decides."""
        for setting in self.taken.keys() & params.keys():
            raise ValueError(f"{self.name}'s {setting} is refused: {self.taken[setting]}")

    @abstractmethod
    def train(
        self,
        objective: Any,
        features: Array,
        target: Array,
        weight: Array,
        start: Array,
        rounds: int,
        params: dict[str, Any],
        sets_leaves: bool = False,
    ) -> Any:
        """Return a model that starts from ``start`` (H,) and has so many rounds of trees.

        ``params`` are native parameters, ``learning_rate`` among them; ``sets_leaves`` is the answer of the method.
        """

    @abstractmethod
    def scores(self, model: Any, features: Array) -> Array:
        """Return raw scores (N, H), the start included."""

    @abstractmethod
    def importances(self, model: Any, columns: int) -> Array:
        """Return how much each of so many features contributes to a model, in a unit of the engine's."""


FOLLOWS = "it follows from loss and target"
ENCODE = "encode categories, by sklearn.preprocessing.OrdinalEncoder or OneHotEncoder"


def taken(*, rounds: str, rate: str, outputs: str, validation: str, categories: str = "", cure: str) -> dict[str, str]:
    """Return what to do instead of settings, whose names are given in one text each.

    Estimators take rounds and learning rate under names of their own, know the number of outputs, and have
    neither validation data nor columns of anything but numbers, for which ``cure`` says what to use.
    """
    instead = {rounds: "use n_estimators", rate: "use learning_rate", outputs: FOLLOWS}
    instead[validation] = f"it needs validation data: use {cure}"
    instead[categories] = f"estimators take features that are numbers: {ENCODE}, or use {cure}"
    return {name: text for names, text in instead.items() for name in names.split()}


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


def import_engine(name: str) -> Any:
    """Return the package of an engine."""
    with needs("lossfn.boosting", name):
        return importlib.import_module(name)
