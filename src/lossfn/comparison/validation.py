"""The cross-validation: every candidate is trained and scored on the same rows, nothing fitted outside the fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import product
from statistics import median_low
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

import lossfn
from lossfn.engine.paths import kernels_only_if
from lossfn.engine.threads import linear_algebra

from .candidates import DELTA_IN_SIGMAS, Candidate
from .data import Dataset
from .models import TOL_TO_CHOOSE, Linear, Model
from .preparation import TargetScale, lower_quantile, prepare, robust_scale
from .result import FloatArray, IntArray
from .scores import HeldOut
from .splits import Split, inner_splits, outer_splits
from .units import in_units, training_units

# The penalty of the preliminary robust fit: enough for a unique answer, too little to matter.
PRELIMINARY = Linear(l2=1e-3)

# Fits to fewer rows are done before the kernels of all losses would be compiled.
COMPILED_FROM = 4000

Progress = Callable[[int, int], object]


@dataclass(frozen=True, eq=False)
class FoldFit:
    """One candidate in one fold."""

    split: Split
    held_out: HeldOut
    loss: Any
    """The loss it was trained for, its parameters in units of the target."""
    place: int
    """Which of the settings the model had, counted from the simplest model."""
    setting: float
    """Strength of the penalty, or number of trees."""
    extreme: str
    """``"smallest"`` or ``"largest"`` where no smaller or larger setting could be chosen; else nothing."""
    gradient: FloatArray
    """Absolute gradient of each held-out row, summed over its scores, times its weight."""
    base_rate: float
    """Weighted mean of the training target: of two classes, the share of class 1."""
    converged: bool


@dataclass(frozen=True, eq=False)
class Part:
    """Rows to learn from and rows to predict, their features prepared by the first."""

    train: IntArray
    test: IntArray
    train_features: FloatArray
    test_features: FloatArray


@dataclass(frozen=True, eq=False)
class Fold:
    """What all candidates share in one fold."""

    split: Split
    part: Part
    inner: Sequence[Part]
    """The training part, split once more for the choice of a setting; nothing where none is chosen."""
    noise_scale: float
    """Robust scale of the training residuals, 1 where no candidate asks for it."""


def cross_validate(
    data: Dataset,
    candidates: Sequence[Candidate],
    *,
    folds: int,
    repeats: int,
    model: Model,
    seed: int,
    n_jobs: int | None = None,
    progress: Progress | None,
) -> dict[str, list[FoldFit]]:
    """Train and predict with every candidate in every fold.

    Parameters
    ----------
    data, candidates
        The rows and the losses.
    folds, repeats, seed
        The design of the cross-validation.
    model
        What is trained. Where it has several settings, each loss chooses its own by an inner cross-validation on that
        loss's own mean, in each fold of the first repeat; the other repeats, for which it would cost as much again,
        take the median of those choices.
    n_jobs
        Processes to work in, as scikit-learn counts them.
    progress
        Called with the number of fits done and to do.

    Returns
    -------
    dict
        Candidate key to its fits, in the order of the folds.
    """
    splits = outer_splits(data, folds, repeats, seed)
    fits: dict[str, list[FoldFit]] = {candidate.key: [] for candidate in candidates}
    done = 0
    # The first fold tells where the other choices begin, and the first repeat what the other repeats take.
    for stage in (splits[:1], splits[1:folds], splits[folds:]):
        earlier = {key: [fit.place for fit in found] for key, found in fits.items()}
        tasks = (
            delayed(_fit_fold)(data, candidate, fold, model, earlier[candidate.key])
            for fold in _prepared(data, candidates, stage, model, seed)
            for candidate in candidates
        )
        for (_, candidate), fit in zip(product(stage, candidates), _done(tasks, n_jobs), strict=True):
            fits[candidate.key].append(fit)
            done += 1
            if progress is not None:
                progress(done, len(splits) * len(candidates))
    return fits


def _done(tasks: Iterator[Any], n_jobs: int | None) -> Iterator[Any]:
    """Give the results of tasks, in their order."""
    try:
        yield from Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    except BrokenProcessPool:
        cause = "most likely because memory ran out; use fewer"
        raise MemoryError(f"one of the processes was ended from outside, {cause}") from None


def _prepared(
    data: Dataset, candidates: Sequence[Candidate], splits: Sequence[Split], model: Model, seed: int
) -> Iterator[Fold]:
    """Prepare fold after fold, so that few of them are held in memory."""
    needs_scale = any(candidate.needs_noise_scale for candidate in candidates)
    for split in splits:
        part = _prepare(data, split.train, split.test)
        chooses = model.chooses and split.repeat == 0
        inner = [_prepare(data, *rows) for rows in inner_splits(data, split.train, seed)] if chooses else []
        with _suited_to(data.rows):
            noise_scale = _noise_scale(data, part) if needs_scale else 1.0
        yield Fold(split, part, inner, noise_scale)


def _prepare(data: Dataset, train: IntArray, test: IntArray) -> Part:
    return Part(train, test, *prepare(data.features, data.weight, train, test))


@contextmanager
def _suited_to(rows: int) -> Iterator[None]:
    """Compute as small problems are computed quickest."""
    # The matrices are small: linear algebra on several threads would spend its time waiting for the other threads.
    with linear_algebra().limit(limits=1), kernels_only_if(rows >= COMPILED_FROM):
        yield


def _fit_fold(data: Dataset, candidate: Candidate, fold: Fold, model: Model, earlier: Sequence[int]) -> FoldFit:
    """Train a candidate in one fold; `earlier` holds the places of the settings that it chose in folds before."""
    with _suited_to(data.rows):
        part, split = fold.part, fold.split
        target, weight = data.target[part.train], data.weight[part.train]
        base_rate = float(np.average(target, weights=weight))
        odds = (1 - base_rate) / base_rate if data.task == "binary" else 1.0
        wanted = candidate.with_estimates(fold.noise_scale, odds)
        scale = training_units(wanted, target, weight)
        loss = in_units(wanted, scale.scale)
        scaled = scale.apply(data.target)
        settings = model.settings(loss, scaled[part.train], weight)
        if split.repeat == 0:
            place = _choose(candidate, loss, model, settings, scaled, data.weight, fold.inner, earlier)
        else:
            place = median_low(earlier)
        fitted = model.train(loss, settings[place], part.train_features, scaled[part.train], weight)
        decision = fitted.decision(part.test_features)
        held_weight = data.weight[part.test]
        encoded = candidate.training_target(scaled[part.test])
        gradient = np.abs(loss.gradient(decision, encoded, weight=held_weight, reduction="none"))
        return FoldFit(
            split=split,
            held_out=HeldOut(data.target[part.test], held_weight, decision, _natural(loss, scale, decision)),
            loss=wanted,
            place=place,
            setting=settings[place],
            extreme=_extreme(settings[place], settings),
            gradient=gradient.reshape(len(gradient), -1).sum(axis=1),
            base_rate=base_rate,
            converged=fitted.converged,
        )


def _choose(
    candidate: Candidate,
    loss: Any,
    model: Model,
    settings: Sequence[float],
    scaled: FloatArray,
    weight: FloatArray,
    inner: Sequence[Part],
    earlier: Sequence[int],
) -> int:
    """Return the place of the setting under which the loss itself is smallest on rows held out of the training part.

    As a function of the setting that sum has one valley, so a walk downhill finds its bottom with a fraction of the
    fits that the whole list would take. It begins where the walk of the first fold ended, whose rows are nearly the
    same: `earlier` holds the places found so far.
    """
    if not model.chooses:
        return 0

    @cache
    def held_out_loss(place: int) -> float:
        total = 0.0
        for part in inner:
            features, target = part.train_features, scaled[part.train]
            fitted = model.train(loss, settings[place], features, target, weight[part.train], tol=TOL_TO_CHOOSE)
            encoded = candidate.training_target(scaled[part.test])
            with np.errstate(over="ignore"):
                total += loss.total(fitted.decision(part.test_features), encoded, weight=weight[part.test]).sum
        return np.inf if np.isnan(total) else float(total)

    start, steps = model.search
    lowest = earlier[-1] if earlier else min(start, len(settings) - 1)
    for step in steps[-1:] if earlier else steps:
        place = -1
        while place != lowest:
            place = lowest
            nearby = min((max(place - step, 0), min(place + step, len(settings) - 1)), key=held_out_loss)
            # Fits are only so accurate. A floor that is flat would be walked to its end.
            if held_out_loss(nearby) < held_out_loss(place) - TOL_TO_CHOOSE * abs(held_out_loss(place)):
                lowest = nearby
    return lowest


def _extreme(setting: float, settings: Sequence[float]) -> str:
    if len(settings) == 1:
        return ""
    return {min(settings): "smallest", max(settings): "largest"}.get(setting, "")


def _natural(loss: Any, scale: TargetScale, decision: FloatArray) -> FloatArray | None:
    """Return the prediction in units of the target, or the probability where the loss has one."""
    if loss.task != "regression" and not loss.gives_probability:
        return None
    with np.errstate(over="ignore"):
        return scale.undo(loss.inverse_link(decision))


def _noise_scale(data: Dataset, part: Part) -> float:
    """Return the robust scale of the training residuals of a linear Huber fit, in units of the target.

    The first fit takes the spread of the target for that of the noise, which is far too much where the features
    explain the target; each further fit uses the residuals of the one before, until the scale settles.
    """
    target, weight = data.target[part.train], data.weight[part.train]
    units = TargetScale(lower_quantile(target, 0.5, weight), robust_scale(target, weight) or 1.0)
    scaled = units.apply(target)
    scale = 1.0
    for _ in range(5):
        loss = lossfn.Huber(delta=DELTA_IN_SIGMAS * scale)
        (l2,) = PRELIMINARY.settings(loss, scaled, weight)
        fitted = PRELIMINARY.train(loss, l2, part.train_features, scaled, weight, tol=TOL_TO_CHOOSE)
        previous = scale
        scale = robust_scale(fitted.decision(part.train_features) - scaled, weight)
        # Residuals of zero leave nothing to measure; any positive delta fits them.
        if scale <= 1e-9:
            return units.scale * 1e-9
        if abs(scale - previous) <= 0.05 * previous:
            break
    return units.scale * scale
