"""JAX: three kinds of iris by Newton's method, with Hessians from ``jax.hessian``.

The model is that of scikit-learn's ``LogisticRegression``, and so are its probabilities.
"""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import lossfn

jax.config.update("jax_enable_x64", True)

flowers, kinds = load_iris(return_X_y=True)
flowers = (flowers - flowers.mean(axis=0)) / flowers.std(axis=0)
inputs, targets = jnp.column_stack([jnp.asarray(flowers), jnp.ones(len(kinds))]), jnp.asarray(kinds)
loss = lossfn.CrossEntropy()


@jax.jit
def objective(weights):
    """Return the penalised likelihood; the last row, the intercepts, is free."""
    penalty = jnp.sum(weights.reshape(5, 3)[:-1] ** 2) / 2
    return loss(inputs @ weights.reshape(5, 3), targets, reduction="sum") + penalty


gradient, hessian = jax.jit(jax.grad(objective)), jax.jit(jax.hessian(objective))
weights = jnp.zeros(15)
for _ in range(10):
    # Intercepts that rise together change nothing: the Hessian has no inverse.
    weights = weights - jnp.linalg.pinv(hessian(weights)) @ gradient(weights)

ours = loss.inverse_link(np.asarray(inputs @ weights.reshape(5, 3)))
theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(flowers, kinds).predict_proba(flowers)
print(f"training cross-entropy {loss(inputs @ weights.reshape(5, 3), targets):.4f}")
print(f"largest difference from scikit-learn's probabilities: {np.abs(ours - theirs).max():.4f}")
