"""Which curvature to boost with: ``python -m benchmarks.curvature [engine] [--quick]``, the table of docs/boosting.md.

Every loss is trained on real data with every curvature that it has, for equally many rounds and with the engine's
defaults otherwise, and judged by its own mean on held-out rows: the gain over its best constant, as a share of the
largest gain that any curvature reached on those data. So 1.00 is the best and 0 no better than a constant; what is
below -1 counts as -1, and data on which nothing is gained do not count. Targets that are amounts are centred and scaled
robustly first; parameters in units of the target are half of that scale.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold

import lossfn
from benchmarks.tables import short, table
from lossfn.boosting import BoostedClassifier, BoostedRegressor
from lossfn.boosting.curvature import default_curvature
from lossfn.boosting.engines import engine_of

ROUNDS = (30, 100)
FOLDS = 3
EXAMPLES = Path(__file__).parent.parent / "examples" / "data"
# Shallow trees, as one grows them on a few hundred rows.
SETTINGS: dict[str, dict[str, Any]] = {
    "lightgbm": {"num_threads": 1, "verbosity": -1, "num_leaves": 8},
    "xgboost": {"nthread": 1, "max_depth": 3},
    "catboost": {"thread_count": 1, "depth": 3},
}
# What an engine's own objective takes is documented, not a choice for all losses.
NAMES = ("exact", "majorizing", "diagonal_bound", "fitted")

AMOUNTS = (
    lossfn.Huber(delta=0.5),
    lossfn.PseudoHuber(delta=0.5),
    lossfn.LogCosh(scale=0.5),
    lossfn.Cauchy(scale=0.5),
    lossfn.StudentT(df=3.0, scale=0.5),
    lossfn.TukeyBiweight(c=2.0),
    lossfn.AbsoluteError(),
    lossfn.Pinball(tau=0.9),
    lossfn.MultiQuantile(),
    lossfn.Expectile(tau=0.9),
    lossfn.GaussianNLL(),
)
COUNTS = (lossfn.Poisson(), lossfn.Gamma(), lossfn.AbsolutePercentageError())
LABELS = (lossfn.BinaryCrossEntropy(), lossfn.BinaryFocal(gamma=2.0), lossfn.Hinge())
CLASSES = (lossfn.CrossEntropy(), lossfn.SoftmaxFocal(gamma=2.0), lossfn.MulticlassBrier())

Problem = tuple[str, Any, Any]


def amounts() -> Iterator[Problem]:
    """Name, features and target of regressions, the target with median 0 and robust scale 1."""
    features, target = datasets.load_diabetes(return_X_y=True)
    yield "diabetes", features, _scaled(target)
    # One target in twenty is a slip of the pen.
    slips = np.random.default_rng(0).random(len(target)) < 0.05
    yield "diabetes, 5 % times 20", features, _scaled(np.where(slips, 20 * target, target))
    engel = pd.read_csv(EXAMPLES / "engel.csv").to_numpy()
    yield "Engel's households", engel[:, :1], _scaled(engel[:, 1])
    for name, data, column in (
        ("wine: proline", datasets.load_wine(), 12),
        ("tumours: error of the area", datasets.load_breast_cancer(), 13),
    ):
        yield name, np.delete(data.data, column, axis=1), _scaled(data.data[:, column])


def counts() -> Iterator[Problem]:
    """Name, features and target of positive numbers."""
    features, target = datasets.load_diabetes(return_X_y=True)
    yield "diabetes", features, target
    wine = datasets.load_wine().data
    yield "wine: proline", wine[:, :12], wine[:, 12]


def labels() -> Iterator[Problem]:
    """Name, features and labels of two classes."""
    yield "tumours", *datasets.load_breast_cancer(return_X_y=True)
    flares = pd.read_csv(EXAMPLES / "solar_flares.csv")
    yield "solar flares", pd.get_dummies(flares.drop(columns="flare")).to_numpy(float), flares["flare"].to_numpy()


def classes() -> Iterator[Problem]:
    """Name, features and labels of several classes."""
    yield "iris", *datasets.load_iris(return_X_y=True)
    yield "wine", *datasets.load_wine(return_X_y=True)
    features, digits = datasets.load_digits(return_X_y=True)
    yield "digits, a third", features[::3], digits[::3]


def _scaled(target: Any) -> Any:
    middle = np.median(target)
    return (target - middle) / (1.4826 * np.median(np.abs(target - middle)))


def gains(loss: Any, curvature: str, features: Any, target: Any, rounds: int, engine: str) -> float:
    """Return by how much the held-out mean of the loss is less than that of its best constant."""
    is_regression = loss.task == "regression"
    folds = (KFold if is_regression else StratifiedKFold)(FOLDS, shuffle=True, random_state=0)
    estimator = BoostedRegressor if is_regression else BoostedClassifier
    gain = 0.0
    for train, test in folds.split(features, target):
        model = estimator(loss, engine=engine, curvature=curvature, n_estimators=rounds, **SETTINGS[engine])
        scores = model.fit(features[train], target[train])._scores(features[test])
        encoded = lossfn.to_signed(target[test]) if loss.target == lossfn.fields.SIGNED else target[test]
        constant = np.broadcast_to(model.start_, scores.shape)
        if scores.shape[1] == 1:
            scores, constant = scores[:, 0], constant[:, 0]
        gain += float(loss(constant, encoded) - loss(scores, encoded)) / FOLDS
    return gain


def curvatures_of(loss: Any, engine: str) -> list[str]:
    """Return the curvatures that an engine can train a loss with."""
    found = []
    for name in NAMES:
        if name == "diagonal_bound" and loss.task != "multiclass":
            # Of one score the bound is the majorizing curvature.
            continue
        try:
            engine_of("benchmark", engine).objective(loss, name)
        except ValueError:
            continue
        found.append(name)
    return found


def measure(engine: str, quick: bool) -> list[list[str]]:
    """Return one row for each loss and data set, the shares of the best gain after few and after many rounds."""
    rows = []
    for losses, problems in ((AMOUNTS, amounts), (COUNTS, counts), (LABELS, labels), (CLASSES, classes)):
        for loss in losses:
            names = curvatures_of(loss, engine)
            chosen = default_curvature(loss, engine_of("benchmark", engine).sets_leaves(loss, None))
            shares: dict[str, list[list[float]]] = {name: [] for name in names}
            for name, features, target in problems():
                if quick and name not in ("diabetes", "tumours", "wine"):
                    continue
                found = {
                    name: [gains(loss, name, features, target, rounds, engine) for rounds in ROUNDS] for name in names
                }
                best = max(max(values) for values in found.values())
                if best <= 0:
                    continue
                for name_of, values in found.items():
                    shares[name_of].append([max(value / best, -1.0) for value in values])
                rows.append([short(loss), name, *_cells(chosen, {key: [values[-1]] for key, values in shares.items()})])
            rows.append([short(loss), "**mean**", *_cells(chosen, shares)])
    return rows


def _cells(chosen: str, shares: dict[str, list[list[float]]]) -> list[str]:
    """Return one cell for each curvature, the default in bold type."""
    cells = []
    for name in NAMES:
        if not shares.get(name):
            cells.append("")
            continue
        text = " / ".join(f"{share:.2f}" for share in np.mean(shares[name], axis=0))
        cells.append(f"**{text}**" if name == chosen else text)
    return cells


def main() -> None:
    """Measure and print."""
    arguments = [word for word in sys.argv[1:] if not word.startswith("--")]
    engine = arguments[0] if arguments else "lightgbm"
    warnings.simplefilter("ignore")
    print(table(["loss", "data", *NAMES], measure(engine, "--quick" in sys.argv), left=2))  # noqa: T201


if __name__ == "__main__":
    main()
