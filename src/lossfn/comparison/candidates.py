"""The losses that compete: the default ones, those a user asks for, and the parameters that the data decide."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import lossfn
from lossfn import fields
from lossfn.combine import WeightedSum
from lossfn.loss import Loss
from lossfn.objective import refused_scores

from .data import Dataset
from .models import Model
from .problems import DataError
from .result import FloatArray, Task

# Huber's delta in units of the noise's standard deviation: 95 % efficient when the noise is Gaussian after all
# (Huber and Ronchetti 2009, Robust Statistics, doi:10.1002/9780470434697).
DELTA_IN_SIGMAS = 1.345


@dataclass(frozen=True)
class Candidate:
    """One loss in the competition."""

    key: str
    loss: Any
    """A ``PointwiseLoss`` whose scale parameters are in units of the target."""
    functional: str
    """What the loss aims at, in the words of ``ScoreInfo.functional`` where a score rewards it."""
    is_default: bool = False
    estimated: tuple[str, ...] = ()
    """Parameters set from the training part of each fold: scale parameters, or ``"pos_weight"``."""

    @property
    def needs_noise_scale(self) -> bool:
        """Whether a preliminary fit must say how large the residuals are."""
        return bool(set(self.estimated) & set(self.loss.scale_parameters))

    def with_estimates(self, noise_scale: float, odds: float) -> Any:
        """Return the loss with its estimated parameters.

        Parameters
        ----------
        noise_scale
            Robust scale of the residuals of a preliminary fit, in units of the target.
        odds
            Weight of class 0 over the weight of class 1.
        """
        scale = noise_in_scale(self.loss) * noise_scale if self.needs_noise_scale else noise_scale
        values = {name: odds if name == "pos_weight" else scale for name in self.estimated}
        return dataclasses.replace(self.loss, **values) if values else self.loss

    def training_target(self, scaled: FloatArray) -> Any:
        """Return the target in the encoding that the loss declares."""
        if self.loss.task == "multiclass":
            return scaled.astype(np.intp)
        return lossfn.to_signed(scaled) if self.loss.target == fields.SIGNED else scaled


def noise_in_scale(loss: Any) -> float:
    """Return the scale parameter of a loss in units of the noise's standard deviation.

    Losses that ignore outliers altogether need more room than Huber's for the same efficiency.
    """
    ignores_outliers = loss.even_with_decreasing_weight and not loss.convex
    return lossfn.efficient_tuning(loss) if ignores_outliers else DELTA_IN_SIGMAS


def choose_candidates(losses: Any, data: Dataset, model: Model) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Return the candidates that the model can train, the default one first, and notes on how they came about."""
    if losses is None:
        chosen = _default_candidates(data, model)
    else:
        items = [losses] if isinstance(losses, str) or not isinstance(losses, Iterable) else list(losses)
        if not items:
            raise DataError("the list of losses is empty")
        chosen = [_from_user(item, data) for item in items]
    notes: list[str] = []
    default = _default(data)
    # With an estimated weight of class 1, cross-entropy is another loss.
    is_default = [item.loss == default.loss and not item.estimated for item in chosen]
    if not any(is_default):
        chosen, is_default = [default, *chosen], [True, *is_default]
        notes.append(f"{default.key} was added: it is the default that the others are compared with.")
    chosen = [dataclasses.replace(item, is_default=is_it) for item, is_it in zip(chosen, is_default, strict=True)]
    chosen.sort(key=lambda item: not item.is_default)
    _refuse_duplicates(chosen)
    refusals = {item.key: _refused_target(item.loss, data) or model.refusal(item.loss) for item in chosen}
    notes += [f"{key} was left out: {reason}." for key, reason in refusals.items() if reason]
    kept = [candidate for candidate in chosen if not refusals[candidate.key]]
    return tuple(kept), tuple(notes)


def _default(data: Dataset) -> Candidate:
    defaults: dict[Task, Any] = {
        "regression": lossfn.SquaredError(),
        "binary": lossfn.BinaryCrossEntropy(),
        "multiclass": lossfn.CrossEntropy(),
    }
    return _candidate(defaults[data.task])


def _default_candidates(data: Dataset, model: Model) -> list[Candidate]:
    if data.task == "binary":
        balanced = Candidate(
            "BinaryCrossEntropy(balanced)", lossfn.BinaryCrossEntropy(), "probability", estimated=("pos_weight",)
        )
        losses = [lossfn.BinaryFocal(gamma=2.0), lossfn.BinaryCrossEntropy(label_smoothing=0.1), lossfn.Hinge()]
        return [_default(data), balanced, *map(_candidate, losses)]
    if data.task == "multiclass":
        rows: list[Any] = [
            lossfn.SoftmaxFocal(gamma=2.0),
            lossfn.PolyCrossEntropy(epsilon=1.0),
            lossfn.MulticlassBrier(),
            lossfn.GeneralizedCrossEntropy(q=0.7),
        ]
        # With boosted trees, the values of its leaves are found by a search, which takes a hundred times as long.
        rows += [lossfn.WestonWatkins()] if model.info.name == "linear" else []
        return [_default(data), *map(_candidate, rows)]
    losses = [
        lossfn.AbsoluteError(),
        lossfn.Huber(),
        lossfn.PseudoHuber(),
        lossfn.LogCosh(),
        lossfn.Pinball(tau=0.1),
        lossfn.Pinball(tau=0.9),
    ]
    if (data.target >= 0).all() and (data.target == data.target.round()).all():
        losses.append(lossfn.Poisson())
    return [_default(data), *(_candidate(loss, estimated=loss.scale_parameters) for loss in losses)]


def _from_user(item: Any, data: Dataset) -> Candidate:
    """Return the candidate for a loss object or its spelling.

    A scale parameter is the user's own where the spelling names it, or where an object's value is not the default of
    its class; otherwise the data decide.
    """
    loss = lossfn.parse_loss(item) if isinstance(item, str) else _checked_loss(item)
    task = data.task
    if loss.task != task:
        raise DataError(f"{loss!r} is a loss for {loss.task}, but the task is {task}")
    if isinstance(loss, lossfn.RowwiseLoss) and task != "multiclass":
        raise DataError(f"{loss!r} needs a row of scores for each prediction, not one number")
    if len(loss.heads) > 1:
        raise DataError(f"{loss!r} needs {len(loss.heads)} predictions a row ({', '.join(loss.heads)}), not one")
    domain = refused_scores(loss)
    if domain:
        raise DataError(f"the models predict any number, but {loss!r} takes {domain}")
    if task == "multiclass":
        return _of_classes(loss, data)
    given = _spelled_parameters(item) if isinstance(item, str) else _changed_parameters(loss)
    # The half-width of a tube is a tolerance, not a size at which residuals become outliers.
    is_tube = loss.convex and not loss.even_with_decreasing_weight
    names = () if is_tube else loss.scale_parameters
    return _candidate(loss, estimated=tuple(name for name in names if name not in given))


def _checked_loss(item: Any) -> Any:
    """Return a loss object, or say what it is instead."""
    if isinstance(item, type) and issubclass(item, Loss):
        raise DataError(f"{item.__name__} is a class, and a loss is an instance of it: write {item.__name__}()")
    if not isinstance(item, lossfn.PointwiseLoss | lossfn.RowwiseLoss):
        raise DataError(f"not a loss: {item!r}; losses are objects such as Huber(delta=1.0), or texts such as 'huber'")
    return item


def _of_classes(loss: Any, data: Dataset) -> Candidate:
    """Return the candidate for a loss of rows, after trying whether it takes as many classes as there are."""
    if len(loss.parts) > 1:
        raise DataError(f"{loss!r} needs targets of several parts ({', '.join(loss.parts)}), not one column")
    if not loss.one_score_a_class:
        raise DataError(f"the scores of {loss!r} are not those of classes, as those of the models are")
    classes = len(data.classes)
    try:
        loss(np.zeros((1, classes)), np.zeros(1, dtype=np.intp))
    except ValueError as error:
        raise DataError(str(error)) from None
    return _candidate(loss)


def _candidate(loss: Any, estimated: Sequence[str] = ()) -> Candidate:
    return Candidate(_label(loss, estimated), loss, functional_of(loss), estimated=tuple(estimated))


def functional_of(loss: Any) -> str:
    """Return what a loss elicits, with the level where it has one: ``"quantile 0.9"``."""
    if loss.task == "multiclass":
        # Whatever the scores are, the probabilities they imply are what is scored.
        return "probability" if loss.gives_probability else "class"
    tau = getattr(loss, "tau", None)
    # A loss that does not say: its minimiser is an M-location by definition, or else the probability it implies.
    unsaid = "M-location" if loss.task == "regression" else "probability" if loss.gives_probability else "class"
    elicits = str(loss.elicits or unsaid)
    if tau is None or elicits not in ("quantile", "expectile"):
        return elicits
    if tau == 0.5:
        return "median" if elicits == "quantile" else "mean"
    return f"{elicits} {tau:g}"


def _changed_parameters(loss: Any) -> set[str]:
    return {
        field.name
        for field in dataclasses.fields(loss)
        if field.default is not dataclasses.MISSING and getattr(loss, field.name) != field.default
    }


def _spelled_parameters(spelling: str) -> set[str]:
    """Return the parameters that a spelling such as ``"Huber(delta=2)"`` names."""
    call = ast.parse(spelling.strip(), mode="eval").body
    return {keyword.arg for keyword in call.keywords if keyword.arg} if isinstance(call, ast.Call) else set()


def _label(loss: Any, estimated: Sequence[str]) -> str:
    """Return the loss as code, without what is left at its default or to the data."""
    if isinstance(loss, WeightedSum):
        return repr(loss)
    hidden = set(estimated)
    names = [field.name for field in dataclasses.fields(loss)]
    shown = [name for name in names if name in _changed_parameters(loss) - hidden]
    # A scale parameter that the user set to the value of the default is still the user's choice.
    shown += [name for name in loss.scale_parameters if name not in hidden and name not in shown]
    arguments = ", ".join(f"{name}={_number(getattr(loss, name))}" for name in names if name in shown)
    return f"{type(loss).__name__}({arguments})" if arguments else type(loss).__name__


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _refuse_duplicates(candidates: Sequence[Candidate]) -> None:
    keys = [candidate.key for candidate in candidates]
    for key in keys:
        if keys.count(key) > 1:
            raise DataError(f"the loss {key} is given twice")


def _refused_target(loss: Any, data: Dataset) -> str:
    """Return why a loss cannot take the target; nothing where it can."""
    # Classes are encoded as the loss declares them.
    if data.task != "regression":
        return ""
    name = data.target_name
    if isinstance(loss.target, fields.Parts):
        return f"its targets have several parts ({', '.join(loss.target.names)}), and {name!r} is one number a row"
    outside = data.target[~loss.target.condition(np, data.target)]
    if not len(outside):
        return ""
    count = f"{len(outside)} of the {data.rows} values of {name!r}"
    return f"it needs targets that are {loss.target.name}, unlike {count}, such as {outside[0]:g}"


def notes_on_parameters(candidates: Sequence[Candidate]) -> list[str]:
    """Return how the parameters that the data decide were chosen."""
    scaled: dict[float, list[str]] = {}
    for candidate in candidates:
        for name in candidate.estimated:
            if name in candidate.loss.scale_parameters:
                scaled.setdefault(noise_in_scale(candidate.loss), []).append(f"{name} of {candidate.key}")
    notes = []
    for multiple, names in scaled.items():
        notes.append(
            f"{multiple:.4g} times the robust scale (1.4826 MAD) of the residuals of a preliminary robust linear fit, "
            f"inside each fold, is {', '.join(names)}; a value of your own is given as in 'Huber(delta=2)', "
            "in units of the target."
        )
    if any("pos_weight" in candidate.estimated for candidate in candidates):
        notes.append("pos_weight of the balanced cross-entropy is the ratio of the classes in the training part.")
    return notes
