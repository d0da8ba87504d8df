"""Parameters of an estimator one of which is a loss, whose own parameters can be set and searched, too."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from lossfn import checks
from lossfn.loss import Loss
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss


class LossParameters(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """An estimator with a parameter ``loss``: ``loss__delta`` is the parameter delta of the loss."""

    _tasks: tuple[str, ...]
    _instead: str

    loss: Loss | None

    @property
    def _trained_loss(self) -> Any:
        """The loss that the model was trained with, or before that the one to train with."""
        return getattr(self, "loss_", self.loss)

    def _scores(self, features: Any) -> NDArray[np.float64]:
        """Return raw scores, one column for each output."""
        raise NotImplementedError(f"{type(self).__name__} defines no scores")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with ``deep``, those of the loss too, as ``loss__<name>``."""
        params: dict[str, Any] = super().get_params(deep=deep)
        if deep and isinstance(self.loss, Loss):
            params |= {f"loss__{field.name}": getattr(self.loss, field.name) for field in dataclasses.fields(self.loss)}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters. A loss is immutable: ``loss__delta=2`` replaces it by one with another delta."""
        of_loss = {name.removeprefix("loss__"): params.pop(name) for name in list(params) if name.startswith("loss__")}
        super().set_params(**params)
        if not of_loss:
            return self
        loss = self._checked(self.loss)
        valid = [field.name for field in dataclasses.fields(loss)]
        for name in of_loss:
            if name not in valid:
                raise ValueError(f"Invalid parameter {name!r} for loss {loss!r}. Valid parameters are: {valid}.")
        self.loss = dataclasses.replace(loss, **of_loss)
        return self

    def _checked(self, loss: Any) -> PointwiseLoss | RowwiseLoss:
        if not isinstance(loss, PointwiseLoss | RowwiseLoss):
            or_rows = " or one of rows such as CrossEntropy()" if "multiclass" in self._tasks else ""
            checks.raise_no_loss(type(self).__name__, loss, f"a pointwise loss such as Huber(delta=1.0){or_rows}")
        return loss

    def _check_task(self, loss: PointwiseLoss | RowwiseLoss) -> None:
        """Refuse a loss for other targets than this estimator's."""
        name = type(self).__name__
        if loss.task not in self._tasks:
            raise ValueError(f"{name} cannot train {loss!r}, a loss for {loss.task} targets: use {self._instead}")
        if isinstance(loss, RowwiseLoss):
            if "multiclass" not in self._tasks:
                raise ValueError(
                    f"{name} cannot train {loss!r}: it takes a row of scores, and the model gives one number"
                )
            if not loss.one_score_a_class:
                raise ValueError(
                    f"{name} cannot train {loss!r}: its scores are not those of classes, as the model's are"
                )
