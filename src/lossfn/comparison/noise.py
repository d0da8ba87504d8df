"""Which distribution the residuals follow, judged on residuals that were not used to fit it."""

from __future__ import annotations

import numpy as np
from scipy import stats
from sklearn.model_selection import KFold

from .preparation import robust_scale
from .result import FloatArray, NoiseEvidence

# The loss that is the likelihood of each noise model.
LIKELIHOOD_OF = {
    "Gaussian": "the squared error",
    "Laplace": "the absolute error",
    "logistic": "the log-cosh loss, nearly",
    "Student-t": "no convex loss; Huber's comes closest",
}
PARTS = 5

# More residuals than this make the fits slow and the answer no better.
ENOUGH = 20_000


def _fit(model: str, residuals: FloatArray) -> tuple[float, ...]:
    """Fit by maximum likelihood; the Student-t starts from robust estimates, without which its search goes astray."""
    if model == "Student-t":
        location, scale = float(np.median(residuals)), robust_scale(residuals, np.ones(len(residuals)))
        return tuple(float(value) for value in stats.t.fit(residuals, 5.0, loc=location, scale=scale))
    return tuple(float(value) for value in _family(model).fit(residuals))


def _family(model: str) -> stats.rv_continuous:
    family: stats.rv_continuous = {
        "Gaussian": stats.norm,
        "Laplace": stats.laplace,
        "logistic": stats.logistic,
        "Student-t": stats.t,
    }[model]
    return family


def _held_out_log_density(model: str, residuals: FloatArray, seed: int) -> FloatArray:
    """Return each residual's log density under the model fitted to the other parts."""
    density = np.empty(len(residuals))
    for rest, part in KFold(PARTS, shuffle=True, random_state=seed).split(residuals):
        density[part] = _family(model).logpdf(residuals[part], *_fit(model, residuals[rest]))
    return density


def judge_noise(residuals: FloatArray, seed: int) -> NoiseEvidence | None:
    """Return which noise model gives held-out residuals the highest mean log density.

    The Student-t contains the Gaussian as a limit, so it wins only where it is ahead of the best two-parameter model by
    more than one standard error of the difference. Returns None where there are too few distinct residuals to tell.
    """
    if len(residuals) > ENOUGH:
        residuals = np.random.default_rng(seed).choice(residuals, ENOUGH, replace=False)
    unit = robust_scale(residuals, np.ones(len(residuals)))
    if len(np.unique(residuals)) < 4 * PARTS:
        return None
    # Fitted in units of the residuals' own spread, so that the search works alike for euros and for cents.
    scaled = residuals / unit
    density = {model: _held_out_log_density(model, scaled, seed) for model in LIKELIHOOD_OF}
    scores = {model: float(values.mean() - np.log(unit)) for model, values in density.items()}
    simple = max((model for model in scores if model != "Student-t"), key=scores.__getitem__)
    lead = density["Student-t"] - density[simple]
    clear = lead.mean() > np.std(lead, ddof=1) / np.sqrt(len(lead))
    best = "Student-t" if clear else simple
    fits = {model: _fit(model, scaled) for model in LIKELIHOOD_OF}
    degrees = fits["Student-t"][0]
    parameters = {model: (*fit[:-2], fit[-2] * unit, fit[-1] * unit) for model, fit in fits.items()}
    name = f"{best} noise" + (f" with {degrees:.1f} degrees of freedom" if best == "Student-t" else "")
    rival = max((model for model in scores if model != best), key=scores.__getitem__)
    ahead = scores[best] - scores[rival]
    versus = f"{abs(ahead):.3f} {'ahead of' if ahead > 0 else 'behind'} {rival}"
    sentence = (
        f"{name} fits the held-out residuals best (mean log density {scores[best]:.3f}, {versus}"
        f"{'' if ahead > 0 else ', not enough for its third parameter'}); its likelihood is {LIKELIHOOD_OF[best]}."
    )
    return NoiseEvidence(scores, best, float(degrees), sentence, parameters)
