"""Scores of probability forecasts: lower is better, and an honest forecast scores best on average."""

from lossfn.losses.probability import Brier, LogScore, Spherical
from lossfn.losses.ranked import RankedProbabilityScore
from lossfn.scoring.closed_form import (
    crps_laplace,
    crps_logistic,
    crps_lognormal,
    crps_mixture_normal,
    crps_normal,
    crps_student_t,
)
from lossfn.scoring.convex import SavageScore, savage
from lossfn.scoring.ensemble import crps_ensemble, energy_score, variogram_score
from lossfn.scoring.moments import dawid_sebastiani, dawid_sebastiani_ensemble
from lossfn.scoring.ordered import ranked_probability_score
from lossfn.scoring.propriety import Propriety, is_proper
from lossfn.scoring.quantiles import crps_quantiles, weighted_interval_score

__all__ = [
    "Brier",
    "LogScore",
    "Propriety",
    "RankedProbabilityScore",
    "SavageScore",
    "Spherical",
    "crps_ensemble",
    "crps_laplace",
    "crps_logistic",
    "crps_lognormal",
    "crps_mixture_normal",
    "crps_normal",
    "crps_quantiles",
    "crps_student_t",
    "dawid_sebastiani",
    "dawid_sebastiani_ensemble",
    "energy_score",
    "is_proper",
    "ranked_probability_score",
    "savage",
    "variogram_score",
    "weighted_interval_score",
]
