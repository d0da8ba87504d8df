"""LightGBM: a high quantile of food expenditure, and an objective of this library in ``lightgbm.train``.

``BoostedRegressor`` gives leaves the best constants of their rows where a loss has kinks, as LightGBM does for its own
``quantile``. With the engine's own curvature and start, ``LightGBMObjective(Huber)`` grows the trees of its ``huber``.
"""

from pathlib import Path

import lightgbm
import numpy as np

import lossfn
from lossfn.boosting import BoostedRegressor, LightGBMObjective

DATA = Path(__file__).parent / "data" / "engel.csv"

income, food = np.loadtxt(DATA, delimiter=",", skiprows=1, unpack=True)
inputs, held_out = income[:, None], np.arange(len(food)) % 4 == 0
trees = {"num_leaves": 4, "num_threads": 1, "verbosity": -1}

loss = lossfn.Pinball(tau=0.9)
model = BoostedRegressor(loss, engine="lightgbm", n_estimators=50, **trees).fit(inputs[~held_out], food[~held_out])
builtin = lightgbm.LGBMRegressor(objective="quantile", alpha=0.9, n_estimators=50, **trees)
builtin.fit(inputs[~held_out], food[~held_out])
for name, pred in (
    ("BoostedRegressor", model.predict(inputs[held_out])),
    ("quantile", builtin.predict(inputs[held_out])),
):
    below = np.mean(food[held_out] <= pred)
    print(f"{name}: held-out pinball loss {loss(pred, food[held_out]):.1f}, {below:.0%} of 90 % lie below")

objective = LightGBMObjective(lossfn.Huber(delta=50.0), curvature="engine")
data = lightgbm.Dataset(inputs, food, init_score=np.full(len(food), objective.start(food)[0]), params=trees)
ours = lightgbm.train({**trees, "objective": objective}, data, 50).predict(inputs)
theirs = lightgbm.train({**trees, "objective": "huber", "alpha": 50.0}, data, 50).predict(inputs)
print(f"largest difference from LightGBM's huber: {np.abs(ours - theirs).max():.3f}")
