"""scikit-learn: which loss predicts the median progression of diabetes best? A search over losses and their parameters.

The candidates are judged by the absolute error on held-out folds. The last line compares the quantile model with
scikit-learn's own.
"""

from sklearn.datasets import load_diabetes
from sklearn.linear_model import QuantileRegressor
from sklearn.model_selection import GridSearchCV

import lossfn
from lossfn.sklearn import LinearRegressor, scorer

patients, progression = load_diabetes(return_X_y=True)
patients = patients / patients.std(axis=0)

search = GridSearchCV(
    LinearRegressor(loss=lossfn.Huber(), l2=0.0),
    [
        {"loss": [lossfn.SquaredError(), lossfn.AbsoluteError()]},
        {"loss": [lossfn.Huber()], "loss__delta": [10.0, 30.0, 100.0]},
    ],
    scoring=scorer(lossfn.AbsoluteError()),
    cv=5,
).fit(patients, progression)
for loss, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    print(f"{loss}: mean absolute error {-score:.2f}")

ours = LinearRegressor(loss=lossfn.Pinball(tau=0.9), l2=0.0).fit(patients, progression).predict(patients)
theirs = QuantileRegressor(quantile=0.9, alpha=0.0).fit(patients, progression).predict(patients)
both = [lossfn.Pinball(tau=0.9)(pred, progression) for pred in (ours, theirs)]
print(f"pinball loss of the 0.9-quantile: {both[0]:.3f} (scikit-learn: {both[1]:.3f})")
