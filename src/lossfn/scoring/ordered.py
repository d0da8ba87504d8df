"""The score of probabilities of ordered classes."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from lossfn import checks, fields
from lossfn.fields import Domain
from lossfn.scoring.cases import Reduction, as_arrays, check_shape, prepare


def ranked_probability_score(probabilities: Any, target: Any, **options: Unpack[Reduction]) -> Any:
    """Return the ranked probability score of K ordered classes: Σₖ (P(class ≤ k) − 1{y ≤ k})².

    The sum of the Brier scores of the K − 1 events "at most class k", so that a near miss costs less than a far one.
    Between 0 and K − 1 (some authors divide by K − 1); lower is better; strictly proper. For two classes it is the
    Brier score, and for classes at equal distances the continuous ranked probability score.

    Parameters
    ----------
    probabilities : array (..., K)
        Forecast probabilities of the classes in their order; rows sum to 1 within 0.01. NaN gives NaN.
    target : array (...)
        Index of the class that happened, 0 to K − 1.
    **options
        ``weight``, ``mask``, ``reduction`` and ``denominator``, as in every loss.

    References
    ----------
    .. [1] Epstein (1969), "A scoring system for probability forecasts of ranked categories",
       doi:10.1175/1520-0450(1969)008<0985:ASSFPF>2.0.CO;2.
    .. [2] Murphy (1971), "A note on the ranked probability score",
       doi:10.1175/1520-0450(1971)010<0155:ANOTRP>2.0.CO;2.

    See Also
    --------
    lossfn.Brier : two classes.

    Examples
    --------
    >>> from lossfn.scoring import ranked_probability_score
    >>> print(ranked_probability_score([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]], [1, 0], reduction="none").round(4))
    [0.13 0.73]
    """
    owner = "ranked_probability_score"
    forecast, truth = as_arrays(owner, probabilities=probabilities, target=target)
    cases = prepare(owner, "probabilities", forecast, truth.shape, options)
    expected = (*truth.shape, *forecast.shape[-1:])
    check_shape(owner, "probabilities", forecast.shape, expected, "the shape of target and a last axis of classes")
    classes = expected[-1] if forecast.ndim else 0
    if classes < 2:
        raise ValueError(f"{owner}: at least two classes are needed; got probabilities of shape {forecast.shape}")
    index = Domain(f"a class index 0 to {classes - 1}")
    cases.check("target", truth, (truth >= 0) & (truth < classes) & (truth == np.floor(truth)), index)
    rows = forecast.astype(float)
    unknown = np.isnan(rows)
    cases.check("probabilities", forecast, unknown | ((rows >= 0) & (rows <= 1)), fields.PROBABILITY)
    total = rows.sum(axis=-1)
    inside = np.isnan(total) | (np.abs(total - 1) <= checks.SUM_TOLERANCE)
    cases.check("sum of probabilities", total, inside, SUM)
    # Each tail is summed from its own end: 1 minus the other would lose its digits.
    at_most = rows.cumsum(axis=-1)[..., :-1]
    above = rows[..., ::-1].cumsum(axis=-1)[..., -2::-1]
    missed = np.where(np.arange(classes - 1) < truth[..., None], at_most, above)
    return cases.finish(np.where(unknown.any(axis=-1), np.nan, (missed**2).sum(axis=-1)))


SUM = Domain("1", cure="apply a softmax to logits, or divide each row by its sum")
