"""Losses for boosted trees: objectives and metrics of XGBoost, LightGBM and CatBoost, and estimators for scikit-learn.

The index of names is ``__init__.pyi``. Importing ``lossfn.boosting`` imports no engine.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
