"""Linear models for scikit-learn, trained with any pointwise loss."""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("lossfn.sklearn needs scikit-learn, an optional extra: pip install 'lossfn[sklearn]'") from error

from .estimators import LinearClassifier, LinearRegressor

__all__ = ["LinearClassifier", "LinearRegressor"]
