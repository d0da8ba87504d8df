"""Linear models for scikit-learn, trained with any loss of one number or of one score a class; scorers and metrics."""

from lossfn.extras import needs

with needs("lossfn.sklearn", "sklearn"):
    from .estimators import LinearClassifier, LinearRegressor
    from .scorers import metric, scorer

__all__ = ["LinearClassifier", "LinearRegressor", "metric", "scorer"]
