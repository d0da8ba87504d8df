"""The whole comparison, in reading order: check, choose candidates, cross-validate, score, judge, explain."""

from __future__ import annotations

import dataclasses
import importlib
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from numbers import Integral
from typing import Any

import numpy as np

import lossfn

from .candidates import Candidate, choose_candidates, notes_on_parameters
from .curves import curves_of
from .data import Dataset, read_data
from .evidence import binary_evidence, gradient_curve, multiclass_evidence, regression_evidence
from .models import Model, model_of
from .preparation import robust_scale
from .problems import DataError, whole
from .recommendation import recommend
from .result import Comparison, Evidence, FloatArray, LossResult, ModelInfo, Predictions, ScoreResult
from .scores import HeldOut, Score, balanced_accuracy, scores_for
from .splits import INNER_FOLDS
from .validation import FoldFit, Progress, cross_validate
from .verdicts import judge, summarise


def compare(
    X: Any,
    y: Any,
    *,
    task: str | None = None,
    losses: Any = None,
    model: str = "linear",
    weight: Any = None,
    groups: Any = None,
    folds: int = 5,
    repeats: int = 3,
    l2: float | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    target_name: str | None = None,
) -> Comparison:
    r"""Find out which loss to train with, on one's own data.

    A model is trained with each candidate loss on the same folds of a repeated cross-validation and judged by the same
    scores on the same held-out rows. Each loss is compared with the default (squared error, or
    cross-entropy) by the corrected resampled t-test [1]_, with Holm's correction for the number of losses [2]_. Since
    a loss is best at what it aims at, there is one recommendation for each functional (mean, median, probability...).

    Parameters
    ----------
    X : DataFrame or array of shape (rows, columns)
        Features. Numbers are standardised, words, categories and booleans become one column a category, missing
        values are filled; all of this is fitted on the training part of each fold.
    y : Series or array of shape (rows,)
        Target: numbers, or classes. For training, numbers are brought to median 0 and robust scale 1.
    task : {"regression", "binary", "multiclass"}, optional
        Without it, a target with two distinct values is binary, one with up to 20 distinct words multiclass, and any
        numeric one regression: classes that are numbers need ``task="multiclass"``.
    losses : sequence of losses or strings, optional
        Such as ``[lossfn.Huber(delta=2.0), "absolute_error"]``; by default the usual candidates for the task.
    model : {"linear", "lightgbm", "xgboost", "catboost"}
        What to train: a linear model, or the boosted trees of an engine, of which each loss chooses as many as it needs
        by an inner cross-validation. Losses that the engine cannot train are left out.
    weight : array of shape (rows,), optional
        Importance of each row, in training and in the scores.
    groups : array of shape (rows,), optional
        Rows of one group stay together, on one side of every split.
    folds, repeats : int
        Folds of a cross-validation, and how often it is repeated with other folds.
    l2 : float, optional
        Strength of the ridge penalty of the linear model for every loss, with features and target in the units of
        training. Without it, each loss chooses its own by an inner cross-validation.
    seed : int
        The same seed gives the same numbers.
    n_jobs : int, optional
        Processes to work in, which change no number; -1 means one for each processor, and nothing one alone, or what
        ``joblib.parallel_config`` says.
    progress : callable, optional
        Called as ``progress(done, total)`` after each fit.
    target_name : str, optional
        What messages and reports call the target; by default the name of the Series.

    Returns
    -------
    Comparison
        With ``.table``, ``.recommendation``, ``.to_html(path)`` and ``.to_json(path)``.

    Raises
    ------
    DataError
        A ValueError whose message names in one line what is wrong with the data.

    References
    ----------
    .. [1] Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52, 239-281,
       doi:10.1023/A:1024068626366.
    .. [2] Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6,
       65-70.

    Examples
    --------
    >>> import lossfn
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> y = X[:, 0] + rng.laplace(size=200)
    >>> result = lossfn.compare(X, y, losses=["absolute_error"], repeats=1)
    >>> list(result.table.index)
    ['SquaredError', 'AbsoluteError']
    """
    folds, repeats, seed = (whole(n, v) for n, v in (("folds", folds), ("repeats", repeats), ("seed", seed)))
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        raise DataError(f"n_jobs must be a whole number other than 0, or None; not {n_jobs!r}")
    trained = model_of(model, l2)
    data = read_data(X, y, task=task, weight=weight, groups=groups, folds=folds, target_name=target_name)
    candidates, notes = choose_candidates(losses, data, trained)
    fits = cross_validate(
        data,
        candidates,
        folds=folds,
        repeats=repeats,
        model=trained,
        seed=seed,
        n_jobs=n_jobs,
        progress=progress,
    )

    default = candidates[0]
    method = (*notes_on_parameters(candidates), _note_on_settings(fits, trained))
    measures = scores_for(data.task)
    infos = tuple(measure.info for measure in measures)
    test_share = 1 / (folds - 1)
    scores = {
        candidate.key: {m.info.key: _score(m, candidate, fits[candidate.key], test_share, data) for m in measures}
        for candidate in candidates
    }
    verdicts = tuple(
        verdict
        for info in infos
        for verdict in judge(info, {key: results[info.key] for key, results in scores.items()}, default.key, test_share)
    )
    moved = _moved_threshold(fits[default.key], test_share, data) if data.task == "binary" else None
    predictions = {candidate.key: _average_predictions(fits[candidate.key], data.rows) for candidate in candidates}
    gradients = {key: gradient_curve(_total_gradient(of_loss, data.rows)) for key, of_loss in fits.items()}
    evidence = _evidence(data, predictions[default.key], {k: g[0] for k, g in gradients.items()}, default.key, seed)
    if evidence.balance is not None:
        balance = dataclasses.replace(evidence.balance, moved_threshold=moved)
        evidence = dataclasses.replace(evidence, balance=balance)
    return Comparison(
        task=data.task,
        target_name=data.target_name,
        rows=data.rows,
        features=data.features.count,
        seed=seed,
        folds=folds,
        repeats=repeats,
        groups=data.group_count,
        weighted=data.weighted,
        model=trained.info,
        default=default.key,
        scores=infos,
        losses=tuple(
            _loss_result(
                candidate, fits[candidate.key], scores[candidate.key], gradients[candidate.key], data, evidence
            )
            for candidate in candidates
        ),
        verdicts=verdicts,
        recommendations=recommend(infos, candidates, scores, verdicts, test_share, moved),
        evidence=evidence,
        predictions=Predictions(data.target, predictions),
        notes=(*data.notes, *notes, *_notes_on_fits(fits, trained), *method),
        method=method,
        versions=_versions(trained.info),
    )


def _score(
    measure: Score, candidate: Candidate, fits: Sequence[FoldFit], test_share: float, data: Dataset
) -> ScoreResult:
    """Return one score of one loss over all folds, or the reason why there is none."""
    if measure.needs_prediction and any(fit.held_out.prediction is None for fit in fits):
        estimated = candidate.functional
        estimate = estimated if estimated == "nothing" else f"the {estimated}, not a probability"
        return ScoreResult(None, None, None, f"{candidate.key} estimates {estimate}.")
    if not all(np.isfinite(_shown(fit.held_out)).all() for fit in fits):
        return ScoreResult(None, None, None, f"{candidate.key} predicts an infinite value for some held-out rows.")
    values = [measure(fit.held_out) for fit in fits]
    return summarise([value for value in values if value is not None], test_share, _of_a_constant(data))


def _of_a_constant(data: Dataset) -> float:
    """Return about how far the best constant forecast is from a perfect one: the spread, or the share of errors."""
    if data.task == "regression":
        return robust_scale(data.target, data.weight)
    return 1 - float(np.bincount(data.target.astype(np.intp), data.weight).max() / data.weight.sum())


def _shown(rows: HeldOut) -> FloatArray:
    return rows.decision if rows.prediction is None else rows.prediction


def _moved_threshold(fits: Sequence[FoldFit], test_share: float, data: Dataset) -> ScoreResult:
    """Return the balanced accuracy of the default loss when class 1 is decided above the base rate."""
    values = []
    for fit in fits:
        assert fit.held_out.prediction is not None
        values.append(balanced_accuracy(fit.held_out, fit.held_out.prediction - fit.base_rate))
    return summarise(values, test_share, _of_a_constant(data))


def _average_predictions(fits: Sequence[FoldFit], rows: int) -> FloatArray | None:
    """Return each row's held-out prediction, averaged over the repeats."""
    first = fits[0].held_out.prediction
    if first is None:
        return None
    total = np.zeros((rows, *first.shape[1:]))
    for fit in fits:
        assert fit.held_out.prediction is not None
        total[fit.split.test] += fit.held_out.prediction
    return total / (1 + max(fit.split.repeat for fit in fits))


def _total_gradient(fits: Sequence[FoldFit], rows: int) -> FloatArray:
    total = np.zeros(rows)
    for fit in fits:
        total[fit.split.test] += fit.gradient
    return total


def _evidence(
    data: Dataset, predictions: FloatArray | None, shares: Mapping[str, float], default: str, seed: int
) -> Evidence:
    if data.task == "binary":
        return binary_evidence(data.target, data.weight, data.classes, shares, default)
    if data.task == "multiclass":
        return multiclass_evidence(data.target, data.weight, data.classes, shares, default)
    assert predictions is not None
    return regression_evidence(predictions - data.target, predictions, shares, default, seed)


def _loss_result(
    candidate: Candidate,
    fits: Sequence[FoldFit],
    scores: Mapping[str, ScoreResult],
    gradient: tuple[float, FloatArray, FloatArray],
    data: Dataset,
    evidence: Evidence,
) -> LossResult:
    # Estimates to six digits: more would only make them hard to read.
    parameters = {
        name: float(f"{np.median([getattr(fit.loss, name) for fit in fits]):.6g}") for name in candidate.estimated
    }
    loss = dataclasses.replace(candidate.loss, **parameters) if parameters else candidate.loss
    share, rows, curve = gradient
    return LossResult(
        key=candidate.key,
        label=candidate.key,
        loss=repr(loss),
        elicits=candidate.functional,
        formula=loss.formula,
        setting=float(np.median([fit.setting for fit in fits])),
        settings=tuple(fit.setting for fit in fits),
        is_default=candidate.is_default,
        scores=scores,
        gradient_share=share,
        gradient_rows=rows,
        gradient_curve=curve,
        # A loss of several scores is no curve.
        curves=() if data.task == "multiclass" else curves_of(candidate, loss, data.target, evidence.residuals),
        parameters=parameters,
    )


def _notes_on_fits(fits: Mapping[str, Sequence[FoldFit]], model: Model) -> list[str]:
    notes = _notes_on_extremes(fits, model.info.setting)
    for key, of_loss in fits.items():
        if stopped := sum(not fit.converged for fit in of_loss):
            notes.append(f"The solver for {key} stopped before its tolerance in {stopped} of {len(of_loss)} folds.")
    return notes


def _note_on_settings(fits: Mapping[str, Sequence[FoldFit]], model: Model) -> str:
    setting = model.info.setting
    given = next(iter(fits.values()))[0].setting
    return (
        f"The {setting} was chosen for each loss by an inner {INNER_FOLDS}-fold cross-validation on that loss's own "
        "mean, in each fold of the first repeat; further repeats use the median of those choices."
        if model.chooses
        else f"The {setting} was given: {given:g}."
    )


def _notes_on_extremes(fits: Mapping[str, Sequence[FoldFit]], setting: str) -> list[str]:
    """Say of which losses the best setting may lie beyond those that were tried."""
    notes = []
    for extreme, comparative in (("smallest", "smaller"), ("largest", "larger")):
        counts = {key: sum(fit.extreme == extreme for fit in of_loss) for key, of_loss in fits.items()}
        if shown := [f"{key} ({count})" for key, count in counts.items() if count]:
            folds = len(next(iter(fits.values())))
            notes.append(
                f"The {setting} was the {extreme} of those tried, so that a {comparative} one might do better still, "
                f"for {', '.join(shown)} (folds of {folds})."
            )
    return notes


def _versions(model: ModelInfo) -> dict[str, str]:
    packages = ("numpy", "scipy", "scikit-learn", "pandas")
    installed = {name: metadata.version(name) for name in packages}
    if model.package:
        installed[model.package] = importlib.import_module(model.package).__version__
    return {"lossfn": lossfn.__version__, "python": platform.python_version(), **installed}
