"""SciPy: a robust line with coefficients that may not be negative, by ``scipy.optimize.minimize`` with bounds.

With the squared error this is what ``scipy.optimize.nnls`` solves; with another loss nothing else changes.
"""

import numpy as np
from scipy.optimize import minimize, nnls
from sklearn.datasets import load_diabetes

import lossfn

patients, progression = load_diabetes(return_X_y=True)
patients = np.column_stack([patients / patients.std(axis=0), np.ones(len(progression))])


def nonnegative(loss):
    """Return the best coefficients of which none is negative."""
    objective = lossfn.scipy_objective(loss, patients, progression, fit_intercept=False)
    found = minimize(
        objective.value_and_gradient,
        objective.start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * patients.shape[1],
        options={"ftol": 1e-15, "gtol": 1e-8, "maxiter": 1000},
    )
    return found.x


with np.printoptions(precision=1, suppress=True):
    print("Huber:  ", nonnegative(lossfn.Huber(delta=30.0)))
    print("squares:", nonnegative(lossfn.HalfSquaredError()))
difference = np.abs(nonnegative(lossfn.HalfSquaredError()) - nnls(patients, progression)[0]).max()
print(f"largest difference from scipy.optimize.nnls: {difference:.4f}")
