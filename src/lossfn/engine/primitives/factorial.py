"""What Stirling's formula leaves of a factorial: the terms of count likelihoods that depend on the target alone.

``stirling_excess`` is log y! - (y·log y - y), ``stirling_error`` what remains of it beside ½ log(2πy). Neither cancels,
for counts of any size, as the difference of a log-factorial and its parts would. They are functions of targets: the
engine differentiates by predictions only, so they have no derivative rule.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from lossfn.engine.primitives.coefficients import Polynomial
from lossfn.engine.primitives.forms import horner, log_gamma
from lossfn.engine.primitives.primitive import Primitive

# Interpolated at Chebyshev nodes in 90-digit arithmetic. In v = 2y - 1, 1 + log(y!)/y for 0 <= y <= 1: relative error
# below 2^-55 (float64) and 2^-25 (float32).
FACTORIAL = Polynomial(
    float64=(
        0.7584355247295096,
        0.2780544492490668,
        -0.04435389911289709,
        0.009820705603144714,
        -0.0024816898010412655,
        0.0006721846827470868,
        -0.00018982580259280352,
        5.5097618587682194e-05,
        -1.6302860690112057e-05,
        4.892806608804119e-06,
        -1.4845424949435254e-06,
        4.5439574512304225e-07,
        -1.4006018775668345e-07,
        4.334208179758395e-08,
        -1.3505881995510665e-08,
        4.337563148244552e-09,
        -1.3633048185416316e-09,
        3.420492537677718e-10,
        -1.0787902927471632e-10,
        7.317199679340945e-11,
        -2.330616828896192e-11,
    ),
    float32=(
        0.7584355473518372,
        0.27805444598197937,
        -0.04435371235013008,
        0.009820648469030857,
        -0.0024831548798829317,
        0.0006726344581693411,
        -0.000185813129064627,
        5.386609700508416e-05,
        -2.0667133867391385e-05,
        6.231419774849201e-06,
    ),
)

# In v = 2/y - 1, 12y times the Stirling error for y >= 1: relative error below 2^-53 (float64) and 2^-26 (float32).
STIRLING = Polynomial(
    float64=(
        0.9921767029298231,
        -0.014760120778872537,
        -0.005821252657211839,
        0.0012092195926052905,
        -1.5145971684632985e-05,
        -7.68485118833182e-05,
        3.056839582405645e-05,
        -5.128842511462741e-06,
        -1.406089890708071e-06,
        1.559488040145418e-06,
        -7.185191882684223e-07,
        1.8597791172712545e-07,
        1.4272931734206787e-08,
        -5.3785895072634265e-08,
        3.6852963526960753e-08,
        -1.1048934222393843e-08,
        2.7001560554627693e-09,
        -5.724934209002841e-09,
        8.743947771991649e-10,
        5.316672963349001e-09,
        -2.626482136490185e-09,
        -9.102357062623943e-10,
        6.103279288009579e-10,
    ),
    float32=(
        0.9921767115592957,
        -0.014760120771825314,
        -0.005821201018989086,
        0.0012092191027477384,
        -1.5568592061754316e-05,
        -7.683764124521986e-05,
        3.18038510158658e-05,
        -5.1999263632751536e-06,
        -2.9346895189519273e-06,
        1.7401987406628905e-06,
    ),
)

# From so many bits on, Stirling's series is exact to a few thousand digits long before it diverges.
SERIES_BITS = 64

HALF_LOG_2PI = math.log(2 * math.pi) / 2


def _error_from_one(xp: Any, y: Any) -> Any:
    inverse = 1.0 / xp.where(y > 1.0, y, 1.0)
    return horner(2.0 * inverse - 1.0, STIRLING) * inverse / 12.0


def _excess_to_one(xp: Any, y: Any) -> Any:
    bounded = xp.where(y < 1.0, y, 1.0)
    return xp.where(y == 0, 0.0, bounded * (horner(2.0 * bounded - 1.0, FACTORIAL) - xp.log(bounded)))


def _stirling_excess(xp: Any, y: Any) -> Any:
    above = 0.5 * xp.log(y) + (HALF_LOG_2PI + _error_from_one(xp, y))
    return xp.where(y < 1.0, _excess_to_one(xp, y), above)


def _stirling_error(xp: Any, y: Any) -> Any:
    below = _excess_to_one(xp, y) - (0.5 * xp.log(y) + HALF_LOG_2PI)
    # NaN is not above 1 either.
    return xp.where(y >= 1.0, _error_from_one(xp, y), below)


def _excess_exactly(mp: Any, y: Any) -> Any:
    if y < 0:
        return mp.nan
    if y == 0 or mp.isinf(y):
        return y
    if mp.mag(y) > SERIES_BITS:
        return _error_exactly(mp, y) + mp.log(2 * mp.pi * y) / 2
    with mp.workprec(mp.prec + 2 * SERIES_BITS):
        return _log_factorial(mp, y, mp.prec) - y * mp.log(y) + y


@lru_cache(maxsize=64)
def _log_factorial(mp: Any, y: Any, _precision: int) -> Any:
    # Slow, and asked for many predictions beside one target.
    return log_gamma(mp, y + 1)


def _error_exactly(mp: Any, y: Any) -> Any:
    if y < 0:
        return mp.nan
    if y == 0 or mp.isinf(y):
        return mp.zero if y else mp.inf
    if mp.mag(y) > SERIES_BITS:
        terms = range(1, mp.prec // (2 * mp.mag(y)) + 2)
        return mp.fsum(mp.bernoulli(2 * k) / (2 * k * (2 * k - 1) * y ** (2 * k - 1)) for k in terms)
    with mp.workprec(mp.prec + 2 * SERIES_BITS):
        return _excess_exactly(mp, y) - mp.log(2 * mp.pi * y) / 2


FAMILY = (
    # log y! - (y log y - y)
    Primitive(
        name="stirling_excess",
        derivative=lambda _ops, _y: (None,),
        array=_stirling_excess,
        oracle=_excess_exactly,
        latex=r"\left(\log {0}! - {0} \log {0} + {0}\right)",
    ),
    # log y! - (y log y - y) - ½ log(2πy)
    Primitive(
        name="stirling_error",
        derivative=lambda _ops, _y: (None,),
        array=_stirling_error,
        oracle=_error_exactly,
        latex=r"\delta\left({0}\right)",
    ),
)
