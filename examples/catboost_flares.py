"""CatBoost: will this region of the Sun flare? A focal loss, and an objective of this library in ``catboost.CatBoost``.

The focal loss makes probabilities too timid; ``predict_proba`` undoes that. With the engine's own curvature and
steps, ``CatBoostObjective(BinaryFocal)`` grows the trees of CatBoost's ``Focal``.
"""

from pathlib import Path

import catboost
import numpy as np

import lossfn
from lossfn.boosting import BoostedClassifier, CatBoostMetric, CatBoostObjective

DATA = Path(__file__).parent / "data" / "solar_flares.csv"

rows = np.genfromtxt(DATA, delimiter=",", names=True, dtype=None, encoding="utf-8")
columns = [np.unique(rows[name], return_inverse=True)[1] for name in rows.dtype.names]
inputs, flares = np.column_stack(columns[:-1]).astype(float), columns[-1]
held_out = np.arange(len(flares)) % 4 == 0
trees = {"depth": 3, "learning_rate": 0.1, "thread_count": 1, "verbose": False, "allow_writing_files": False}

loss = lossfn.BinaryFocal(gamma=2.0, alpha=0.25)
model = BoostedClassifier(loss, engine="catboost", n_estimators=50, depth=3, thread_count=1)
probability = model.fit(inputs[~held_out], flares[~held_out]).predict_proba(inputs[held_out])[:, 1]
print(f"held-out flares expected {probability.sum():.0f}, seen {flares[held_out].sum()}")

trees |= {"iterations": 50, "leaf_estimation_method": "Newton", "leaf_estimation_iterations": 1}
pool = catboost.Pool(inputs, flares)
settings = {"loss_function": CatBoostObjective(loss, curvature="engine"), "eval_metric": CatBoostMetric(loss)}
ours = catboost.CatBoost({**trees, **settings}).fit(pool)
theirs = catboost.CatBoost({**trees, "loss_function": "Focal:focal_alpha=0.25;focal_gamma=2.0"}).fit(pool)
print(f"largest difference from Focal: {np.abs(ours.predict(inputs) - theirs.predict(inputs)).max():.3f}")
