"""Linear models for scikit-learn, trained with any loss of one number or of one score a class; scorers and metrics."""

try:
    import sklearn as _sklearn  # noqa: F401 (for the message)
except ImportError as error:
    raise ImportError("lossfn.sklearn needs scikit-learn, an optional extra: pip install 'lossfn[sklearn]'") from error

from .estimators import LinearClassifier, LinearRegressor
from .scorers import metric, scorer

__all__ = ["LinearClassifier", "LinearRegressor", "metric", "scorer"]
