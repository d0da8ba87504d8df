"""The page about what there is besides losses: ``make docs`` writes it from the docstrings."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

INTRODUCTION = """\
# Beyond the losses

What there is besides [losses](losses/README.md), with one example of each kind. `help(lossfn.robust_scale)`, and so on,
says more. Everything takes arrays of NumPy; numerics, the losses themselves and the scores of normal, Laplace and
logistic distributions take those of PyTorch and JAX, too."""

SCORING = """\
Scores of forecasts: probabilities, ensembles, quantiles, intervals, moments. Lower is better, and an honest forecast
scores best on average; `is_proper` searches for a counter-example to that.

```python
>>> import numpy as np
>>> from lossfn.scoring import crps_ensemble, crps_normal, is_proper
>>> members = np.random.default_rng(0).normal(size=(1, 10_000))
>>> print(crps_ensemble(members, [0.5]).round(2), crps_normal([0.0], [1.0], [0.5]).round(2))
0.33 [0.33]
>>> import lossfn
>>> found = is_proper(lossfn.BinaryFocal(gamma=2.0))
>>> print(found.verdict, [round(p, 2) for p in found.truth], [round(p, 2) for p in found.forecast])
improper [0.12, 0.89] [0.32, 0.68]

```"""

CALIBRATION = """\
Whether probabilities come true as often as they say: in bins, chunk by chunk, or without bins; and estimators that mend
them. `reliability(...).plot()` and `decompose(...).plot()` draw it.

```python
>>> from lossfn.calibration import TemperatureScaling, decompose, expected_calibration_error
>>> rng = np.random.default_rng(0)
>>> logit = rng.normal(size=2000)
>>> event = rng.random(2000) < 1 / (1 + np.exp(-logit))
>>> overconfident = 1 / (1 + np.exp(-3 * logit))
>>> print(round(expected_calibration_error(overconfident, event, bins=10), 3))
0.15
>>> found = decompose(lossfn.SquaredError(), overconfident, event)
>>> print(f"{found.score:.3f} = {found.miscalibration:.3f} - {found.discrimination:.3f} + {found.uncertainty:.3f}")
0.232 = 0.030 - 0.048 + 0.250
>>> print(round(TemperatureScaling().fit(3 * logit, event).temperature_, 1))
3.0

```"""

NUMERICS = """\
The functions that losses are made of, exact at their limits and differentiable there, for arrays of NumPy, PyTorch and
JAX; labels, clipping of gradients, and scaling of losses in half precision.

```python
>>> from lossfn.numerics import log_softmax, softplus
>>> print(softplus([-50.0, 0.0, 1000.0]), log_softmax([0.0, 50.0]))
[1.92874985e-22 6.93147181e-01 1.00000000e+03] [-5.00000000e+01 -1.92874985e-22]

```"""

LINEAR = """\
Cross-entropy of many classes, as the words of a language model, from features and a projection: the logits of all rows
never exist together. NumPy, and PyTorch with derivatives.

```python
>>> features, projection = rng.normal(size=(6, 4)), rng.normal(size=(1000, 4))
>>> target = [3, 141, 592, 653, 589, 793]
>>> print(lossfn.linear_cross_entropy(features, projection, target).round(6))
8.627745
>>> print(lossfn.CrossEntropy()(features @ projection.T, target).round(6))
8.627745

```"""

ROBUST = """\
Robust losses act relative to the size of ordinary residuals: `robust_scale` measures it, `efficient_tuning` says which
multiple of it costs how much where there are no outliers. Quantiles that were predicted apart may cross.

```python
>>> residual = np.array([-1.2, 0.3, 0.8, -0.4, 900.0])
>>> print(round(lossfn.robust_scale(residual), 3))
1.038
>>> print(round(lossfn.efficient_tuning(lossfn.Huber, 0.95), 3))
1.345
>>> print(lossfn.crossing_rate([[1.0, 2.0, 3.0], [1.0, 0.5, 3.0]]), lossfn.rearrange([1.0, 0.5, 3.0]))
0.5 [0.5 1.  3. ]

```"""

OTHERS = """\
Names of `lossfn` itself: to compare losses, to make and to find them, to optimise them with SciPy, and what all losses
share."""

#: Sections: title, the module whose names are listed, what is said of it, and the names that stand there.
SECTIONS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("Scores of forecasts", "lossfn.scoring", SCORING, ()),
    ("Calibration", "lossfn.calibration", CALIBRATION, ()),
    ("Numerics", "lossfn.numerics", NUMERICS, ()),
    (
        "Cross-entropy of a linear map",
        "lossfn",
        LINEAR,
        ("linear_cross_entropy", "linear_cross_entropy_value_and_gradient"),
    ),
    (
        "Scales and quantiles",
        "lossfn",
        ROBUST,
        ("robust_scale", "efficient_tuning", "gaussian_efficiency", "crossing_rate", "rearrange"),
    ),
    (
        "The rest",
        "lossfn",
        OTHERS,
        (
            "compare",
            "define",
            "scipy_objective",
            "check",
            "to_signed",
            "catalogue",
            "parse_loss",
            "Total",
            "Loss",
            "PointwiseLoss",
            "RowwiseLoss",
            "SoftmaxLoss",
            "AccuracyWarning",
        ),
    ),
)


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for title, module, text, names in SECTIONS:
        listed = names or _of(module).__all__
        rows = [f"| `{module}.{name}` | {_summary(getattr(_of(module), name))} |" for name in listed]
        parts += [f"## {title}", text, "\n".join(["| name | what it is |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def full_name(name: str) -> str:
    """Return where a name that is no loss lives, or an empty text.

    Examples
    --------
    >>> from lossfn.reference.beyond import full_name
    >>> full_name("crps_normal"), full_name("huber")
    ('lossfn.scoring.crps_normal', '')
    """
    last = name.strip().rpartition(".")[2]
    for _, module, _, names in SECTIONS:
        if f"lossfn.{last}" == module:
            return module
        if last in (names or _of(module).__all__):
            return f"{module}.{last}"
    return ""


def _of(module: str) -> Any:
    return importlib.import_module(module)


def _summary(documented: Any) -> str:
    text = " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())
    parts = re.split(r"``(.+?)``", text)
    return "".join(
        f"`{part}`" if position % 2 else re.sub(r"([*_<>|])", r"\\\1", part) for position, part in enumerate(parts)
    )
