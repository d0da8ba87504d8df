"""NumPy: the median line of Engel's food expenditure, by Newton's method and nothing else.

The smoothed pinball loss has a curvature where the pinball loss has none; as its width shrinks, the line becomes that
of Koenker and Bassett (1982): R's ``rq(foodexp ~ income)`` gives 81.482 + 0.560 · income.
"""

from pathlib import Path

import numpy as np

import lossfn

DATA = Path(__file__).parent / "data" / "engel.csv"

income, food = np.loadtxt(DATA, delimiter=",", skiprows=1, unpack=True)
inputs = np.column_stack([np.ones_like(income), income])
line, *_ = np.linalg.lstsq(inputs, food)

for width in (100.0, 30.0, 10.0, 3.0, 1.0, 0.1):
    loss = lossfn.SmoothedPinball(tau=0.5, width=width)
    for _ in range(30):
        gradient, curvature = loss.gradient_and_hessian(inputs @ line, food)
        # The curvature of few households may be 0, of all of them not.
        curvature = curvature + 1e-3 * curvature.mean() + 1e-12
        step = np.linalg.solve(inputs.T @ (curvature[:, None] * inputs), inputs.T @ gradient)
        while loss(inputs @ (line - step), food) > loss(inputs @ line, food):
            step = step / 2
        line = line - step

print(f"mean pinball loss {lossfn.Pinball(tau=0.5)(inputs @ line, food):.3f}")
print(f"median of food expenditure: {line[0]:.2f} + {line[1]:.3f} · income (R: 81.48 + 0.560 · income)")
