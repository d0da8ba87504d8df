"""The logistic family. All share e^(-|x|) or e^(-2|x|), which LLVM computes once when several meet in a loop."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossfn.engine.primitives.coefficients import LOG_COSH, TANH
from lossfn.engine.primitives.kernels.exponential import exp_of_negative, times_exp_of_negative
from lossfn.engine.primitives.kernels.logarithmic import log1p_of_fraction
from lossfn.engine.primitives.kernels.scalar import Kernel, Scalar, cap, copysign, fabs, fma, polynomial, select


def sigmoid(x: Scalar) -> Scalar:
    """Return 1/(1 + e^(-x)). One division serves x and -x: it is the slowest instruction of most losses here."""
    e = exp_of_negative(-fabs(x))
    inverse = 1.0 / (1.0 + e)
    return select(x.has_sign(), e, 1.0) * inverse


def dsigmoid(x: Scalar) -> Scalar:
    """Return the derivative of the sigmoid, e^(-|x|)/(1 + e^(-|x|))²."""
    e = exp_of_negative(-fabs(x))
    return e / square_of_one_plus(e)


def softplus(x: Scalar) -> Scalar:
    """Return log(1 + e^x)."""
    return select(x > 0.0, x, 0.0) + log1p_of_fraction(exp_of_negative(-fabs(x)))


def log_sigmoid(x: Scalar) -> Scalar:
    """Return log(sigmoid(x))."""
    return -softplus(-x)


def tanh(x: Scalar) -> Scalar:
    """Return the hyperbolic tangent; its gradient companions need e^(-2|x|) as well."""
    w = x * x
    near = fma(x * w, polynomial(w, TANH), x)
    e = exp_of_negative(-2.0 * fabs(x))
    far = copysign((1.0 - e) / (1.0 + e), x)
    return select(fabs(x) < 0.55, near, far)


def sech2(x: Scalar) -> Scalar:
    """Return 1/cosh(x)², the derivative of tanh."""
    e = exp_of_negative(-2.0 * fabs(x))
    return 4.0 * e / square_of_one_plus(e)


def square_of_one_plus(e: Scalar) -> Scalar:
    """Return (1 + e)² for 0 ≤ e ≤ 1, including what 1 + e loses by rounding."""
    once = 1.0 + e
    rest = e - (once - 1.0)
    return fma(once, once, 2.0 * once * rest)


def log_cosh(x: Scalar) -> Scalar:
    """Return log(cosh(x)); far from zero, log cosh x = |x| - log 2 + log(1 + e^(-2|x|)) no longer cancels."""
    a = fabs(x)
    w = x * x
    near = w * polynomial(w, LOG_COSH)
    far = (a - math.log(2.0)) + log1p_of_fraction(exp_of_negative(-2.0 * a))
    return select(a < 1.0, near, far)


def binary_entropy(x: Scalar) -> Scalar:
    """Return the entropy, in nats, of a coin with log-odds x: log(1 + e) + |x|·e/(1 + e), a sum of positive terms."""
    a = fabs(x)
    e = exp_of_negative(-a)
    # e^(-a) vanishes long before the cap, which avoids inf·0.
    product = times_exp_of_negative(cap(a, -x.format.exp_underflow), -a)
    return log1p_of_fraction(e) + product / (1.0 + e)


KERNELS: Mapping[str, Kernel] = {
    "sigmoid": sigmoid,
    "dsigmoid": dsigmoid,
    "softplus": softplus,
    "log_sigmoid": log_sigmoid,
    "tanh": tanh,
    "sech2": sech2,
    "log_cosh": log_cosh,
    "binary_entropy": binary_entropy,
}
