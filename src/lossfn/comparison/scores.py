"""The common scores: what they measure, and which functional of the target each of them rewards.

A score is fair to a loss only where both aim at the same functional: the squared error rewards whoever predicts the
mean, the absolute error the median (Gneiting 2011, Making and evaluating point forecasts, Journal of the American
Statistical Association 106, 746-762, doi:10.1198/jasa.2011.r10138).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn import metrics

from lossfn import calibration

from .result import FloatArray, ScoreInfo, Task

CALIBRATION_BINS = 10


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What one fitted loss says about rows it has not seen."""

    target: FloatArray
    weight: FloatArray
    decision: FloatArray
    """The linear predictor: for two classes, class 1 where it is positive; for several, one score a class."""
    prediction: FloatArray | None
    """The value in units of the target, the probability of class 1, or one row of probabilities for several classes.

    None where the loss has no probability.
    """


@dataclass(frozen=True)
class Score:
    """A score with its description."""

    info: ScoreInfo
    measure: Callable[[HeldOut], float]
    needs_prediction: bool = True

    def __call__(self, rows: HeldOut) -> float | None:
        """Return the score, or None where the loss cannot give what it needs."""
        return None if self.needs_prediction and rows.prediction is None else float(self.measure(rows))


def scores_for(task: Task) -> tuple[Score, ...]:
    """Return the scores of a task; the first one rewards what the default loss aims at."""
    scores: dict[Task, tuple[Score, ...]] = {
        "regression": REGRESSION_SCORES,
        "binary": BINARY_SCORES,
        "multiclass": MULTICLASS_SCORES,
    }
    return scores[task]


def _rmse(rows: HeldOut) -> float:
    return float(metrics.root_mean_squared_error(rows.target, rows.prediction, sample_weight=rows.weight))


def _mae(rows: HeldOut) -> float:
    return float(metrics.mean_absolute_error(rows.target, rows.prediction, sample_weight=rows.weight))


def _median_absolute_error(rows: HeldOut) -> float:
    return float(metrics.median_absolute_error(rows.target, rows.prediction, sample_weight=rows.weight))


def _pinball(tau: float) -> Score:
    def measure(rows: HeldOut) -> float:
        return float(metrics.mean_pinball_loss(rows.target, rows.prediction, alpha=tau, sample_weight=rows.weight))

    functional = "median" if tau == 0.5 else f"quantile {tau:g}"
    meaning = (
        "Half the mean absolute error."
        if tau == 0.5
        else f"Targets above the prediction cost {tau:g} a unit, those below {1 - tau:g}."
    )
    return Score(ScoreInfo(f"pinball_{tau:g}", f"Pinball {tau:g}", functional, True, meaning, "target"), measure)


def _log_score(rows: HeldOut) -> float:
    return float(metrics.log_loss(rows.target, rows.prediction, sample_weight=rows.weight, labels=[0.0, 1.0]))


def _brier(rows: HeldOut) -> float:
    assert rows.prediction is not None
    return float(np.average((rows.prediction - rows.target) ** 2, weights=rows.weight))


def calibration_error(rows: HeldOut, bins: int = CALIBRATION_BINS) -> float:
    """Return the mean gap between the predicted probability of class 1 and its frequency, over equal bins of [0, 1].

    Every row counts, a probability of exactly 1 in the last bin. The number is positive even for a perfectly
    calibrated model, by about 0.03 for 1000 rows and 0.1 for 100.
    """
    return calibration.expected_calibration_error(rows.prediction, rows.target, bins, weight=rows.weight)


def _average_precision(rows: HeldOut) -> float:
    return float(metrics.average_precision_score(rows.target, rows.decision, sample_weight=rows.weight))


def balanced_accuracy(rows: HeldOut, decided: FloatArray) -> float:
    """Return the mean of both classes' hit rates when class 1 is decided where `decided` is positive."""
    return float(metrics.balanced_accuracy_score(rows.target, decided > 0, sample_weight=rows.weight))


def _log_score_of_classes(rows: HeldOut) -> float:
    assert rows.prediction is not None
    classes = np.arange(rows.prediction.shape[1])
    return float(metrics.log_loss(rows.target, rows.prediction, sample_weight=rows.weight, labels=classes))


def _brier_of_classes(rows: HeldOut) -> float:
    assert rows.prediction is not None
    came = rows.target[:, None] == np.arange(rows.prediction.shape[1])
    return float(np.average(((rows.prediction - came) ** 2).sum(axis=1), weights=rows.weight))


def top_label_calibration_error(rows: HeldOut, bins: int = CALIBRATION_BINS) -> float:
    """Return the mean gap between the probability of the likeliest class and how often it comes, over equal bins."""
    indices = rows.target.astype(np.intp)
    return calibration.expected_calibration_error(rows.prediction, indices, bins, kind="top_label", weight=rows.weight)


def _accuracy(rows: HeldOut) -> float:
    return float(np.average(rows.decision.argmax(axis=1) == rows.target, weights=rows.weight))


def _mean_hit_rate(rows: HeldOut) -> float:
    decided = rows.decision.argmax(axis=1)
    return float(metrics.balanced_accuracy_score(rows.target, decided, sample_weight=rows.weight))


REGRESSION_SCORES = (
    Score(
        ScoreInfo("rmse", "RMSE", "mean", True, "Root of the mean squared error; large errors dominate.", "target"),
        _rmse,
    ),
    Score(ScoreInfo("mae", "MAE", "median", True, "Mean absolute error.", "target"), _mae),
    Score(
        ScoreInfo(
            "median_absolute_error",
            "Median AE",
            "median if symmetric",
            True,
            "Half of the errors are smaller. It rewards the middle of the shortest interval that holds half of the "
            "targets: the median where the noise is symmetric.",
            "target",
        ),
        _median_absolute_error,
    ),
    _pinball(0.1),
    _pinball(0.5),
    _pinball(0.9),
)

BINARY_SCORES = (
    Score(
        ScoreInfo(
            "log_score",
            "Log score",
            "probability",
            True,
            "Mean of -log of the probability given to the class that came; confident errors dominate.",
        ),
        _log_score,
    ),
    Score(
        ScoreInfo("brier", "Brier", "probability", True, "Mean squared error of the probability of class 1."),
        _brier,
    ),
    Score(
        ScoreInfo(
            "ece",
            "ECE",
            "probability",
            True,
            f"Mean gap between predicted probability and frequency over {CALIBRATION_BINS} equal bins. It tells "
            "nothing about sharpness, and is above zero even for a calibrated model, the more so the fewer the rows.",
        ),
        calibration_error,
    ),
    Score(
        ScoreInfo(
            "average_precision",
            "Avg. precision",
            "ranking",
            False,
            "How far class 1 is ranked above class 0: the precision averaged over all thresholds.",
        ),
        _average_precision,
        needs_prediction=False,
    ),
    Score(
        ScoreInfo(
            "balanced_accuracy",
            "Balanced acc.",
            "class",
            False,
            "Mean of the two classes' hit rates when class 1 is decided where the linear predictor is positive.",
        ),
        lambda rows: balanced_accuracy(rows, rows.decision),
        needs_prediction=False,
    ),
)

MULTICLASS_SCORES = (
    Score(
        ScoreInfo(
            "log_score",
            "Log score",
            "probability",
            True,
            "Mean of -log of the probability given to the class that came; confident errors dominate.",
        ),
        _log_score_of_classes,
    ),
    Score(
        ScoreInfo(
            "brier",
            "Brier",
            "probability",
            True,
            "Mean squared distance between the probabilities and the class that came, summed over the classes: 0 to 2.",
        ),
        _brier_of_classes,
    ),
    Score(
        ScoreInfo(
            "ece",
            "ECE",
            "probability",
            True,
            f"Mean gap between the probability of the likeliest class and how often it comes, over {CALIBRATION_BINS} "
            "equal bins. It tells nothing about sharpness, and is above zero even for a calibrated model, the more so "
            "the fewer the rows.",
        ),
        top_label_calibration_error,
    ),
    Score(
        ScoreInfo("accuracy", "Accuracy", "class", False, "Share of rows whose largest score is that of their class."),
        _accuracy,
        needs_prediction=False,
    ),
    Score(
        ScoreInfo(
            "balanced_accuracy",
            "Balanced acc.",
            "class if balanced",
            False,
            "Mean of the classes' hit rates, which counts a rare class like a frequent one. It is shown and does not "
            "decide: a loss is trained on the classes as frequent as they are.",
        ),
        _mean_hit_rate,
        needs_prediction=False,
    ),
)
