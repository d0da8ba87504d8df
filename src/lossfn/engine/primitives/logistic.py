"""The logistic family, closed under differentiation so that no quotient rule ever cancels.

Everything is a function of e = e^(-|x|) or e^(-2|x|), which lies between 0 and 1 and cannot overflow.
"""

from __future__ import annotations

from typing import Any

from lossfn.engine.primitives.coefficients import LOG_COSH
from lossfn.engine.primitives.exponential import _exp_exactly
from lossfn.engine.primitives.forms import LOG2, horner
from lossfn.engine.primitives.primitive import Primitive


def _sigmoid(xp: Any, x: Any) -> Any:
    e = xp.exp(-xp.abs(x))
    return xp.where(x > 0, 1.0, e) / (1.0 + e)


def _sigmoid_exactly(mp: Any, x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _dsigmoid(xp: Any, x: Any) -> Any:
    e = xp.exp(-xp.abs(x))
    return e / ((1.0 + e) * (1.0 + e))


def _softplus(xp: Any, x: Any) -> Any:
    return xp.where(x > 0, x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


def _softplus_exactly(mp: Any, x: Any) -> Any:
    # Beyond the digits the logarithm is x itself.
    return x if x > mp.prec else mp.log1p(_exp_exactly(mp, x))


def _tanh_exactly(mp: Any, x: Any) -> Any:
    return mp.sign(x) if mp.isinf(x) else mp.tanh(x)


def _sech2(xp: Any, x: Any) -> Any:
    e = xp.exp(-2.0 * xp.abs(x))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


def _log_cosh(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    square = x * x
    # Near zero log(cosh x) would lose everything beside cosh x = 1; far from zero |x| - log 2 no longer cancels.
    far = (size - LOG2) + xp.log1p(xp.exp(-2.0 * size))
    return xp.where(size < 1.0, square * horner(square, LOG_COSH), far)


def _log_cosh_exactly(mp: Any, x: Any) -> Any:
    size = abs(x)
    # Here e^(-2|x|) is beyond the digits, and the hyperbolic cosine may have an exponent that cannot be stored.
    return size - mp.log(2) if size > mp.prec else mp.log(mp.cosh(x))


def _binary_entropy(xp: Any, x: Any) -> Any:
    size = xp.abs(x)
    e = xp.exp(-size)
    # Where e is subnormal and its product with |x| is not, |x|·e loses digits; e is zero beyond the bound 1000.
    half = xp.exp(-size / 2)
    product = xp.where(size < 50.0, size * e, xp.where(size > 1000.0, 1000.0, size) * half * half)
    return xp.log1p(e) + product / (1.0 + e)


def _binary_entropy_exactly(mp: Any, x: Any) -> Any:
    if mp.isinf(x):
        return mp.zero
    return _sigmoid_exactly(mp, x) * _softplus_exactly(mp, -x) + _sigmoid_exactly(mp, -x) * _softplus_exactly(mp, x)


FAMILY = (
    Primitive(
        name="sigmoid",
        derivative=lambda ops, x: (ops.dsigmoid(x),),
        array=_sigmoid,
        oracle=_sigmoid_exactly,
        latex=r"\sigma\left({0}\right)",
    ),
    # sigmoid(x)·sigmoid(-x); named, because its derivative as a product would cancel at zero
    Primitive(
        name="dsigmoid",
        derivative=lambda ops, x: (-ops.dsigmoid(x) * ops.tanh(x / 2),),
        array=_dsigmoid,
        oracle=lambda mp, x: _sigmoid_exactly(mp, x) * _sigmoid_exactly(mp, -x),
        latex=r"\sigma'\left({0}\right)",
    ),
    # log(1 + e^x)
    Primitive(
        name="softplus",
        derivative=lambda ops, x: (ops.sigmoid(x),),
        array=_softplus,
        oracle=_softplus_exactly,
        latex=r"\operatorname{{softplus}}\left({0}\right)",
    ),
    Primitive(
        name="log_sigmoid",
        derivative=lambda ops, x: (ops.sigmoid(-x),),
        array=lambda xp, x: -_softplus(xp, -x),
        oracle=lambda mp, x: -_softplus_exactly(mp, -x),
        latex=r"\log\sigma\left({0}\right)",
    ),
    Primitive(
        name="tanh",
        derivative=lambda ops, x: (ops.sech2(x),),
        array=lambda xp, x: xp.tanh(x),
        oracle=_tanh_exactly,
        latex=r"\tanh\left({0}\right)",
    ),
    # 1/cosh²
    Primitive(
        name="sech2",
        derivative=lambda ops, x: (-2 * ops.tanh(x) * ops.sech2(x),),
        array=_sech2,
        oracle=lambda mp, x: mp.zero if mp.isinf(x) else 1 / mp.cosh(x) ** 2,
        latex=r"\operatorname{{sech}}^2\left({0}\right)",
    ),
    Primitive(
        name="log_cosh",
        derivative=lambda ops, x: (ops.tanh(x),),
        array=_log_cosh,
        oracle=_log_cosh_exactly,
        latex=r"\log\cosh\left({0}\right)",
    ),
    # -p·log p - (1-p)·log(1-p) for p = sigmoid(x)
    Primitive(
        name="binary_entropy",
        derivative=lambda ops, x: (-ops.xmul(ops.dsigmoid(x), x),),
        array=_binary_entropy,
        oracle=_binary_entropy_exactly,
        latex=r"\operatorname{{H}}\left(\sigma\left({0}\right)\right)",
    ),
)
