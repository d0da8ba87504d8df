"""The index of lossfn.boosting: every public name and where it lives."""

from .catboost import CatBoostMetric as CatBoostMetric, CatBoostObjective as CatBoostObjective
from .estimators import BoostedClassifier as BoostedClassifier, BoostedRegressor as BoostedRegressor
from .lightgbm import LightGBMMetric as LightGBMMetric, LightGBMObjective as LightGBMObjective
from .objective import Metric as Metric, Objective as Objective
from .xgboost import XGBoostMetric as XGBoostMetric, XGBoostObjective as XGBoostObjective
