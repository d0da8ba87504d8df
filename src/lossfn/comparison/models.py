"""What is trained with each loss: a linear model, or boosted trees.

Either has one number that keeps it from following the noise, the strength of its penalty or how many trees it has, and
each loss chooses its own: one number would not be fair to losses in different units.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from lossfn.boosting import BoostedClassifier, BoostedRegressor
from lossfn.boosting.engines import ENGINES, engine_of
from lossfn.sklearn import LinearClassifier, LinearRegressor

from .problems import DataError
from .result import FloatArray, ModelInfo
from .units import penalty_unit

# Strengths of the ridge penalty to choose from, two a decade. They mean the same on any data: features are standardised
# and the target has spread 1. Losses differ in the strength that suits them by factors such as three, and separable
# classes or targets without noise want next to none, so a coarser or shorter list would decide which loss wins.
L2_GRID = tuple(10.0 ** (place / 2) for place in range(4, -17, -1))

# Numbers of trees to choose from; like the strengths, from the simplest model to the most flexible one.
TREES = (4, 8, 16, 32, 64, 128)

# Relative accuracy of the objective: of the fits that are scored, and of those that only choose a setting or a scale.
TOL = 1e-6
TOL_TO_CHOOSE = 1e-4


class Fitted(NamedTuple):
    """A trained model."""

    decision: Callable[[FloatArray], FloatArray]
    """From features to scores on the link scale, on which losses are defined: one number a row, or one a class."""
    converged: bool
    """Whether the solver reached its tolerance."""


class Search(NamedTuple):
    """A walk through a list of settings."""

    start: int
    """The place where it begins."""
    steps: tuple[int, ...]
    """By how many places it goes on until that helps no more, one length of step after the other."""


class Model(Protocol):
    """A kind of model."""

    @property
    def info(self) -> ModelInfo:
        """What the report says of the model."""
        ...

    def refusal(self, loss: Any) -> str:
        """Return why the model cannot be trained with a loss; nothing where it can."""
        ...

    @property
    def chooses(self) -> bool:
        """Whether there are several settings to choose from."""
        ...

    @property
    def search(self) -> Search:
        """How the best of the settings is looked for."""
        ...

    def settings(self, loss: Any, target: FloatArray, weight: FloatArray) -> list[float]:
        """Return the settings that a loss chooses from, the simplest model first."""
        ...

    def train(
        self,
        loss: Any,
        setting: float,
        features: FloatArray,
        target: FloatArray,
        weight: FloatArray,
        tol: float = TOL,
    ) -> Fitted:
        """Fit to prepared data; classes are 0 and 1, or indices."""
        ...


@dataclass(frozen=True)
class Linear:
    """A linear model with a ridge penalty, whose strength may be given."""

    l2: float | None = None
    info = ModelInfo("linear", "linear model", "penalty l2", "The model is linear, with a ridge penalty.")
    search = Search(L2_GRID.index(1e-2), (2, 1))

    def __post_init__(self) -> None:
        known = self.l2 is None or (isinstance(self.l2, Real) and 0 <= self.l2 < np.inf)
        if not known:
            raise DataError(f"l2 must be a finite number >= 0, not {self.l2!r}")

    def refusal(self, loss: Any) -> str:  # noqa: ARG002 (a linear model is trained with any)
        """Return nothing: candidates are losses that a linear model can be trained with."""
        return ""

    @property
    def chooses(self) -> bool:
        """Whether no strength is given."""
        return self.l2 is None

    def settings(self, loss: Any, target: FloatArray, weight: FloatArray) -> list[float]:
        """Return the strengths, in the units of a loss."""
        if self.l2 is not None:
            return [self.l2]
        unit = penalty_unit(loss, target, weight)
        return [strength * unit for strength in L2_GRID]

    def train(
        self,
        loss: Any,
        setting: float,
        features: FloatArray,
        target: FloatArray,
        weight: FloatArray,
        tol: float = TOL,
    ) -> Fitted:
        """Fit a linear map, or one for each class."""
        estimator = LinearRegressor if loss.task == "regression" else LinearClassifier
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model = estimator(loss=loss, l2=setting, tol=tol).fit(features, target, sample_weight=weight)
        coef, intercept = np.atleast_2d(model.coef_), model.intercept_

        def decision(features: FloatArray) -> FloatArray:
            scores: FloatArray = features @ coef.T + intercept
            return scores[:, 0] if scores.shape[1] == 1 else scores

        return Fitted(decision, not any(issubclass(warning.category, ConvergenceWarning) for warning in caught))


LEARNING_RATE = 0.2

# Shallow trees, which few rows can fill. The engines' own regularisation stays as it is.
SHALLOW: dict[str, dict[str, Any]] = {
    "lightgbm": {"num_leaves": 8, "verbosity": -1},
    "xgboost": {"max_depth": 3},
    "catboost": {"depth": 3},
}

# On small data, several threads would spend their time waiting for each other.
THREADS = {"lightgbm": "num_threads", "xgboost": "nthread", "catboost": "thread_count"}
FEW_ROWS = 10_000


@dataclass(frozen=True)
class Boosted:
    """Boosted trees of one engine, as many as a loss asks for."""

    engine: str
    chooses = True
    search = Search(len(TREES) // 2, (1,))

    def __post_init__(self) -> None:
        # Whether the engine is there should be known before any work.
        engine_of("lossfn.compare", self.engine)

    @property
    def info(self) -> ModelInfo:
        """What the report says of the model."""
        name = engine_of("lossfn.compare", self.engine).name
        meaning = (
            f"The model is an ensemble of shallow trees, boosted by {name} from the best constant of each loss with "
            f"learning rate {LEARNING_RATE:g}."
        )
        return ModelInfo(self.engine, f"boosted trees of {name}", "number of trees", meaning, package=self.engine)

    def refusal(self, loss: Any) -> str:
        """Return why the engine cannot train a loss."""
        try:
            engine_of("lossfn.compare", self.engine).objective(loss)
        except ValueError as error:
            return str(error)
        return ""

    def settings(self, loss: Any, target: FloatArray, weight: FloatArray) -> list[float]:  # noqa: ARG002 (linear models use it)
        """Return the numbers of trees, the same for every loss."""
        return list(TREES)

    def train(
        self,
        loss: Any,
        setting: float,
        features: FloatArray,
        target: FloatArray,
        weight: FloatArray,
        tol: float = TOL,  # noqa: ARG002 (linear models use it)
    ) -> Fitted:
        """Grow so many rounds of trees."""
        estimator = BoostedRegressor if loss.task == "regression" else BoostedClassifier
        threads: dict[str, Any] = {THREADS[self.engine]: 1} if len(target) < FEW_ROWS else {}
        model = estimator(
            loss,
            engine=self.engine,
            n_estimators=int(setting),
            learning_rate=LEARNING_RATE,
            random_state=0,
            **SHALLOW[self.engine],
            **threads,
        ).fit(features, target, sample_weight=weight)

        def decision(features: FloatArray) -> FloatArray:
            scores = model._scores(features)
            return scores[:, 0] if scores.shape[1] == 1 else scores

        return Fitted(decision, True)


def model_of(name: str, l2: float | None) -> Model:
    """Return a kind of model by its name, with the strength of its penalty where it has one."""
    if name == "linear":
        return Linear(l2)
    if name not in ENGINES:
        raise DataError(f"model must be one of {', '.join(('linear', *ENGINES))}, not {name!r}")
    if l2 is not None:
        raise DataError(f"l2 is the penalty of the linear model, and the model is {name}: leave it out")
    return Boosted(name)
