"""XGBoost: an objective of this library in ``xgboost.train``, beside the built-in one.

With the engine's own curvature both grow the same trees. The estimator ``BoostedRegressor`` then does what no objective
of XGBoost does: it predicts mean and variance, from two trees a round.
"""

import numpy as np
import xgboost
from sklearn.datasets import load_diabetes

import lossfn
from lossfn.boosting import BoostedRegressor, XGBoostObjective

patients, progression = load_diabetes(return_X_y=True)
data = xgboost.DMatrix(patients, label=progression)

objective = XGBoostObjective(lossfn.PseudoHuber(delta=30.0), curvature="engine")
settings = {"max_depth": 3, "learning_rate": 0.3, "nthread": 1, "base_score": objective.start(progression).item()}
ours = xgboost.train(settings, data, 30, obj=objective).predict(data)
builtin = {"objective": "reg:pseudohubererror", "huber_slope": 30.0}
theirs = xgboost.train({**settings, **builtin}, data, 30).predict(data)

model = BoostedRegressor(lossfn.GaussianNLL(), engine="xgboost", n_estimators=30, max_depth=2, nthread=1)
model.fit(patients[::2], progression[::2])
print(f"R² of the predicted mean on held-out patients {model.score(patients[1::2], progression[1::2]):.2f}")
print(f"largest difference from reg:pseudohubererror: {np.abs(ours - theirs).max():.3f}")
