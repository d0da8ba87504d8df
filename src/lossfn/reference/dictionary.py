"""From the names of other libraries to the losses here, and the page that lists both."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from lossfn.equivalents import MODULES, TRAINING, Equivalent
from lossfn.registry import catalogue

_OF_TREES = (
    "The gradient of a row is `factor` times that of the loss; so is its second derivative, the Hessian or what stands "
    "here in its place."
)

#: How each library is called, for readers who write the calls themselves.
LIBRARIES = {
    "PyTorch": "Predictions first. Functions and modules take the mean over all elements (`reduction='mean'`); "
    "`torch.distributions` are likelihoods of each row.",
    "Keras": "Targets first. Functions take the mean over the last axis, classes such as `keras.losses.Huber()` also "
    "the mean over rows (`'sum_over_batch_size'`), and with weights divide by the number of rows, not by their weight.",
    "optax": "Predictions first. Nothing is reduced: take the mean yourself.",
    "scikit-learn": "Targets first; means over rows, which divide by the sum of the weights, as here.",
    "scikit-learn SGD": "The setting `loss` of `SGDClassifier` and `SGDRegressor`. The factor is that of the gradient, "
    "one step of which is executed.",
    "SciPy": "Elements, without a mean, except for `least_squares`, whose cost is the sum.",
    "torchmetrics": "Predictions first; means over all rows.",
    "scoringrules": "Observations first; elements, without a mean.",
    "XGBoost": f"Settings of `xgboost.train`. {_OF_TREES}",
    "LightGBM": f"Settings of `lightgbm.train`. {_OF_TREES}",
    "CatBoost": f"Settings of `catboost.CatBoost`, which negates both derivatives. {_OF_TREES}",
}


def name_there(there: Equivalent) -> str:
    """Return what a reader looks for: the function that is called, or the setting that names the loss.

    Examples
    --------
    >>> import lossfn
    >>> [name_there(there) for there in lossfn.PseudoHuber.equivalents]
    ['scipy.special.pseudo_huber', 'scipy.optimize.least_squares', 'reg:pseudohubererror']
    """
    if there.library in TRAINING:
        # CatBoost has parameters behind the name.
        found = re.search(r"='([\w:]+?)(?:'|:\w+=)", there.call.replace("=f'", "='"))
    else:
        found = re.search(rf"\b({MODULES[there.library]}(?:\.\w+)+)", there.call)
    if found is None:
        raise ValueError(f"no name is called in {there.call!r}")
    return re.sub(r"\.log[pm][dm]f$", "", found[1])


def find(name: str) -> list[Any]:
    """Return the losses that some library calls by a name; first those that are the same without a factor.

    Upper and lower case, underscores and the word loss do not matter. Where libraries mean different losses by one
    name, the library that its first module is of comes first, then the order of ``LIBRARIES``.

    Examples
    --------
    >>> find("torch.nn.SmoothL1Loss")
    [SmoothL1(beta=1.0)]
    >>> find("mean_pinball_loss"), find("no such loss")
    ([Pinball(tau=0.5)], [])
    """
    wanted = _key(name)
    module, order = name.partition(".")[0].strip().lower(), list(LIBRARIES)
    stated = [
        (_nearest_default(loss, there), there, entry)
        for entry in catalogue()
        for there in entry.loss.equivalents
        if _key(name_there(there)) == wanted
        for loss in entry.variants
        if there.holds_for(loss)
    ]
    found = [
        (
            (
                MODULES.get(there.library, there.library).lower() != module,
                there.constant or there.factor != "1" or loss != entry.loss,
                order.index(there.library),
            ),
            loss,
        )
        for loss, there, entry in stated
    ]
    nearest: dict[type, Any] = {}
    for _, loss in sorted(found, key=lambda pair: pair[0]):
        nearest.setdefault(type(loss), loss)
    return list(nearest.values())


def _nearest_default(loss: Any, there: Equivalent) -> Any:
    """Return the loss with the default of every parameter for which the statement still holds."""
    for parameter in dataclasses.fields(loss):
        other = dataclasses.replace(loss, **{parameter.name: parameter.default})
        loss = other if there.holds_for(other) else loss
    return loss


def _key(name: str) -> str:
    last = name.partition("(")[0].strip().rpartition(".")[2]
    return last.lower().replace("_", "").removesuffix("loss")


def listed() -> Iterator[tuple[str, list[tuple[Any, Equivalent]]]]:
    """Yield the libraries, each with losses and what they are called there, in the order of the names there."""
    everything = [(entry.loss, there) for entry in catalogue() for there in entry.loss.equivalents]
    for library in LIBRARIES:
        here = [(loss, there) for loss, there in everything if there.library == library]
        yield library, sorted(here, key=lambda pair: name_there(pair[1]).lower())


def strangers() -> list[Any]:
    """Return the losses for which no equivalent is known."""
    return [entry.loss for entry in catalogue() if not entry.loss.equivalents]
