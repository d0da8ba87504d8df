"""Keras: a network trained by ``fit`` with a loss of this library, beside the same network with Keras's own.

Keras's Huber loss is the same function, so both learn the same. Run it with KERAS_BACKEND=torch or KERAS_BACKEND=jax.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from sklearn.datasets import load_diabetes

import lossfn
from lossfn.keras import as_loss

patients, progression = load_diabetes(return_X_y=True)
patients, progression = patients / patients.std(axis=0), progression / 100


def trained(loss):
    """Return predictions of a small network that was trained with a loss."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss)
    model.fit(patients, progression, epochs=20, batch_size=64, verbose=0)
    return model.predict(patients, verbose=0)[:, 0]


ours = trained(as_loss(lossfn.Huber(delta=0.5)))
theirs = trained(keras.losses.Huber(delta=0.5))
print(f"correlation with progression {np.corrcoef(ours, progression)[0, 1]:.2f}")
print(f"largest difference from a network trained with keras.losses.Huber: {np.abs(ours - theirs).max():.3f}")
