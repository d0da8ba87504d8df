"""Time one round of boosting beside the engine's own objective: ``python -m benchmarks.boosting [--quick]``.

Cross-entropy of two classes on 10⁶ rows of 20 features, two threads for everybody. Both models grow on the same binned
data, a round each in turns, and medians are compared after rounds to warm up.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

# First: it sets the number of threads before the libraries look.
from benchmarks.two_threads import THREADS  # isort: skip

import numpy as np

from benchmarks.tables import report, table
from benchmarks.turns import time_in_turns
from lossfn import BinaryCrossEntropy

ROWS, FEATURES = 10**6, 20
#: Turns to warm up and rounds, of two trees each: the first twenty trees of a model.
WARM_UP, ROUNDS = 1, 9
Round = Callable[[], Any]

TITLE = "## A round of boosting"
WORDS = f"""\
One round of cross-entropy of two classes on {ROWS:,} rows of {FEATURES} features with our objective, beside one with
the engine's own, among the first twenty of a model; later ones are quicker on both sides. Wanted is a ratio of at most
1.3. `python -m benchmarks.boosting` measures this section alone."""


def problem(rows: int) -> tuple[Any, Any]:
    """Return features and labels that depend on some of them."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, FEATURES), dtype=np.float32)
    score = features[:, 0] + features[:, 1] * features[:, 2] + rng.logistic(size=rows)
    return features, (score > 0).astype(np.float32)


def xgboost(features: Any, target: Any) -> tuple[Round, Round]:
    """Return a round with our objective and one with XGBoost's."""
    import xgboost

    from lossfn.boosting import XGBoostObjective

    data = xgboost.QuantileDMatrix(features, label=target)
    objective = XGBoostObjective(BinaryCrossEntropy())
    ours = xgboost.Booster({"nthread": THREADS, "base_score": 0.0}, [data])
    theirs = xgboost.Booster({"nthread": THREADS, "base_score": 0.5, "objective": "binary:logistic"}, [data])
    return (
        lambda: ours.update(data, ours.num_boosted_rounds(), fobj=objective),
        lambda: theirs.update(data, theirs.num_boosted_rounds()),
    )


def lightgbm(features: Any, target: Any) -> tuple[Round, Round]:
    """Return a round with our objective and one with LightGBM's."""
    import lightgbm

    from lossfn.boosting import LightGBMObjective

    settings = {"num_threads": THREADS, "boost_from_average": False, "verbosity": -1}
    data = lightgbm.Dataset(features, label=target, params=settings).construct()
    objective = LightGBMObjective(BinaryCrossEntropy())
    ours = lightgbm.Booster({**settings, "objective": "none"}, data)
    theirs = lightgbm.Booster({**settings, "objective": "binary"}, data)
    return lambda: ours.update(fobj=objective), theirs.update


#: What returns both rounds, by package.
ENGINES: dict[str, Callable[[Any, Any], tuple[Round, Round]]] = {"xgboost": xgboost, "lightgbm": lightgbm}


def main() -> None:
    """Measure, print and write."""
    quick = "--quick" in sys.argv
    features, target = problem(ROWS // 100 if quick else ROWS)
    installed = [name for name in ENGINES if importlib.util.find_spec(name)]
    cells = []
    for name in installed:
        runs = dict(zip(("ours", "theirs"), ENGINES[name](features, target), strict=True))
        seconds, _ = time_in_turns(runs, warm_up=WARM_UP, least=ROUNDS, enough=0.0)
        ratio = f"{seconds['ours'] / seconds['theirs']:.2f}"
        cells.append([name, *(f"{1e3 * each:.0f} ms" for each in seconds.values()), ratio])
    report(TITLE, WORDS, table(["engine", "lossfn", "built in", "ratio"], cells), quick=quick)


if __name__ == "__main__":
    main()
