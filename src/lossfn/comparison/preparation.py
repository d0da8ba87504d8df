"""Features and target in the form that a linear model learns from, fitted on training rows only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lossfn.robustness import MAD_TO_SIGMA

from .features import MAX_CATEGORIES, Features
from .result import FloatArray, IntArray

# sqrt(pi / 2) times the mean absolute deviation estimates the standard deviation of Gaussian noise.
MEAN_DEVIATION_TO_SIGMA = 1.2533141373155003


def feature_pipeline(features: Features) -> ColumnTransformer:
    """Return the unfitted preparation: standardised numbers, one-hot categories, missing values filled.

    A category that training never saw is counted among the pooled rare ones, or is no category at all. The weights of
    the rows enter the standardisation, so that a row of weight 2 is penalised like two rows.
    """
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), scaler)
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent", keep_empty_features=True),
        OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False),
    )
    return ColumnTransformer(
        [
            ("numbers", numbers, list(features.numeric)),
            ("categories", categories, list(features.categorical)),
        ]
    )


def prepare(features: Features, weight: FloatArray, train: IntArray, test: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the matrices of training and test rows, prepared by what the training rows say."""
    pipeline = feature_pipeline(features)
    with config_context(enable_metadata_routing=True):
        fitted = pipeline.fit_transform(features.frame.iloc[train], sample_weight=weight[train])
        return fitted, pipeline.transform(features.frame.iloc[test])


def lower_quantile(values: FloatArray, level: float, weight: FloatArray) -> float:
    """Return the smallest value at or below which the share `level` of the weight lies.

    With this definition a row of weight 2 counts exactly like two rows, and the quantile is one of the values: unlike
    ``lossfn.constant.weighted_quantile``, which takes the middle where two values would do.
    """
    return float(np.quantile(values, level, weights=weight, method="inverted_cdf"))


def robust_scale(values: FloatArray, weight: FloatArray) -> float:
    """Return an estimate of the spread of `values` in units of a Gaussian standard deviation.

    It is 1.4826 times the median absolute deviation from the median; where more than half of the values agree, so
    that this is zero, the mean absolute deviation takes its place. It is zero only when all values agree.
    """
    deviation = np.abs(values - lower_quantile(values, 0.5, weight))
    scale = MAD_TO_SIGMA * lower_quantile(deviation, 0.5, weight)
    return scale if scale > 0 else MEAN_DEVIATION_TO_SIGMA * float(np.average(deviation, weights=weight))


@dataclass(frozen=True)
class TargetScale:
    """The change of units ``scaled = (target - location) / scale``."""

    location: float = 0.0
    scale: float = 1.0

    def apply(self, target: FloatArray) -> FloatArray:
        """Return `target` in the scaled units."""
        return (target - self.location) / self.scale

    def undo(self, prediction: FloatArray) -> FloatArray:
        """Return a prediction in units of the target."""
        return self.location + self.scale * prediction
