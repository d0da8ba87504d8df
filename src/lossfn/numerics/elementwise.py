"""Functions of one number: the primitives of the engine, differentiable in PyTorch and JAX."""

from __future__ import annotations

import importlib
from typing import Any

from lossfn.engine.primitives import PRIMITIVES
from lossfn.numerics.arrays import prepare

# How a library comes to know the derivatives.
DIFFERENTIABLE = {"torch": "lossfn.numerics.in_torch", "jax": "lossfn.numerics.in_jax"}


def _evaluate(name: str, **arguments: Any) -> Any:
    inputs = prepare(name, **arguments)
    if inputs.library in DIFFERENTIABLE:
        function = importlib.import_module(DIFFERENTIABLE[inputs.library]).primitive(name)
        return inputs.finish(function(*inputs.arrays))
    with inputs.silently():
        return inputs.finish(PRIMITIVES[name].array(inputs.xp, *inputs.arrays))


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^(−x)), the probability whose log-odds are ``x``; 0 at −∞ and 1 at +∞.

    See Also
    --------
    log_sigmoid : its logarithm, without loss where the sigmoid rounds to 0 or 1.

    Examples
    --------
    >>> from lossfn.numerics import sigmoid
    >>> print(sigmoid([-1000.0, 0.0, 1000.0]))
    [0.  0.5 1. ]
    """
    return _evaluate("sigmoid", x=x)


def log_sigmoid(x: Any) -> Any:
    """Return the logarithm of the sigmoid; ``x`` itself far below zero.

    Examples
    --------
    >>> from lossfn.numerics import log_sigmoid
    >>> print(log_sigmoid([-50.0, 0.0, 50.0]))
    [-5.00000000e+01 -6.93147181e-01 -1.92874985e-22]
    """
    return _evaluate("log_sigmoid", x=x)


def softplus(x: Any) -> Any:
    """Return log(1 + e^x), a smooth max(x, 0); 0 at −∞ and +∞ at +∞. Its slope at zero is ½.

    Examples
    --------
    >>> from lossfn.numerics import softplus
    >>> print(softplus([-50.0, 0.0, 50.0]))
    [1.92874985e-22 6.93147181e-01 5.00000000e+01]
    """
    return _evaluate("softplus", x=x)


def log1mexp(x: Any) -> Any:
    """Return log(1 − e^x) for ``x`` ≤ 0: from a log-probability that of the opposite. NaN for positive ``x``.

    References
    ----------
    .. [1] Mächler (2012), "Accurately computing log(1 − exp(−|a|))",
       https://cran.r-project.org/package=Rmpfr/vignettes/log1mexp-note.pdf.

    Examples
    --------
    >>> from lossfn.numerics import log1mexp
    >>> print(log1mexp([0.0, -1e-20, -50.0]))
    [           -inf -4.60517019e+01 -1.92874985e-22]
    """
    return _evaluate("log1mexp", x=x)


def xlogy(x: Any, y: Any) -> Any:
    """Return x·log(y), and 0 where ``x`` is 0, whatever ``y`` is (except NaN).

    The derivative in ``y`` is 0 too where ``x`` is 0; that in ``x`` is log(y), −∞ at ``y`` = 0.
    JAX multiplies an infinite slope even by 0, so that there the arguments must be masked and not the result.

    Examples
    --------
    >>> from lossfn.numerics import xlogy
    >>> print(xlogy([0.0, 2.0], [0.0, 1.0]))
    [0. 0.]
    """
    return _evaluate("xlogy", x=x, y=y)
