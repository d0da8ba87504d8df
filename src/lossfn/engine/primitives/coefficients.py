"""Minimax polynomials used by the kernels and by the array forms, lowest power first.

Each was computed for this library with the Remez exchange in 50-digit arithmetic, minimising the relative error, and
rounded to the format that it serves; the tests evaluate the stated bounds again.
"""

from __future__ import annotations

from typing import NamedTuple


class Polynomial(NamedTuple):
    """Coefficients of one polynomial for each floating-point format."""

    float64: tuple[float, ...]
    float32: tuple[float, ...]


# (e^r - 1 - r) / r² on |r| ≤ ½ log 2. Relative error below 2^-51 (float64) and 2^-22 (float32), which the factor
# r² / e^r reduces sixteenfold in e^r.
EXP = Polynomial(
    float64=(
        0.5000000000000001,
        0.16666666666666644,
        0.041666666666624004,
        0.008333333333356358,
        0.001388888891729088,
        0.00019841269784376026,
        2.4801521159050562e-05,
        2.7557355622280295e-06,
        2.7620159579986307e-07,
        2.5068203105464216e-08,
    ),
    float32=(
        0.5,
        0.16666576266288757,
        0.04166685417294502,
        0.008363200351595879,
        0.001390131306834519,
    ),
)

# (2 atanh(s)/s - 2) / s², in z = s², for s = f/(2+f) and √½ ≤ 1+f ≤ √2. Relative error below 2^-50 (float64) and
# 2^-21 (float32), which the factor z/3 < 0.01 reduces in the logarithm.
LOG = Polynomial(
    float64=(
        0.666666666666667,
        0.3999999999989794,
        0.2857142862666531,
        0.22222211024718097,
        0.18182896996630463,
        0.15331464039030615,
        0.14619590788814532,
    ),
    float32=(
        0.6666668653488159,
        0.39988717436790466,
        0.29582586884498596,
    ),
)

# ((2 atanh(s)/s - 2) / s² - ⅔) / s², in z = s², on the same interval: what is left when the leading ⅔ is kept to twice
# the precision. Relative error below 2^-53 (float64) and 2^-21 (float32); it enters the logarithm times z²/5 < 2^-12.
LOG_TAIL = Polynomial(
    float64=(
        0.4,
        0.2857142857142938,
        0.2222222222164827,
        0.18181818337094868,
        0.15384594782854288,
        0.133348143643204,
        0.11705979698955384,
        0.11725841182998942,
    ),
    float32=(
        0.4000001549720764,
        0.28562191128730774,
        0.23050132393836975,
    ),
)

# (2 atanh(s)/s - 2) / s², in z = s², for |s| ≤ ⅓, that is -½ ≤ f ≤ 1. Relative error below 2^-52 (float64) and
# 2^-24 (float32).
LOG_WIDE = Polynomial(
    float64=(
        0.6666666666666666,
        0.40000000000014957,
        0.28571428567015106,
        0.22222222726427057,
        0.1818178900381692,
        0.15385581711036428,
        0.1331396019900153,
        0.12002764980839627,
        0.08792357195300626,
        0.16181323115216584,
    ),
    float32=(
        0.6666666865348816,
        0.3999970257282257,
        0.2859256863594055,
        0.2170337736606598,
        0.23239512741565704,
    ),
)

# (log(1 + x) - x) / x² on [0, 1]. Relative error below 2^-21 (float32), which the factor x² / log(1 + x) reduces to
# 2^-26 in log(1 + x). In float64 it would take twenty coefficients, and a division is quicker.
LOG1P = Polynomial(
    float64=(),
    float32=(
        -0.5,
        0.3333227038383484,
        -0.24975387752056122,
        0.19776003062725067,
        -0.155746191740036,
        0.11033892631530762,
        -0.061008255928754807,
        0.021921431645751,
        -0.003687591990455985,
    ),
)

# log(cosh x) / x², in w = x², for |x| ≤ 1. Relative error below 2^-55 (float64) and 2^-26 (float32).
LOG_COSH = Polynomial(
    float64=(
        0.5,
        -0.08333333333333123,
        0.022222222222063326,
        -0.006746031741268905,
        0.0021869487786538677,
        -0.0007386022478759608,
        0.0002565761279150746,
        -9.097051604287196e-05,
        3.27205989251523e-05,
        -1.1825404444518152e-05,
        4.189936544751973e-06,
        -1.3750153179629013e-06,
        3.769749803995665e-07,
        -7.309816193934666e-08,
        7.20038801821777e-09,
    ),
    float32=(
        0.5,
        -0.08333299309015274,
        0.02221657522022724,
        -0.00671043898910284,
        0.0020773489959537983,
        -0.0005562273436225951,
        8.657151192892343e-05,
    ),
)

# (tanh x - x) / x³, in w = x², for |x| ≤ 0.55. Relative error below 2^-50 (float64) and 2^-23 (float32), which the
# factor w/3 ≤ 0.1 reduces.
TANH = Polynomial(
    float64=(
        -0.3333333333333331,
        0.13333333333315658,
        -0.05396825394890873,
        0.021869487712687034,
        -0.008863217668754737,
        0.003591904465418004,
        -0.0014541183358134137,
        0.0005817733939152061,
        -0.00021454389796628077,
        5.390764997540891e-05,
    ),
    float32=(
        -0.3333333134651184,
        0.13333113491535187,
        -0.05390944704413414,
        0.02130948007106781,
        -0.006610378623008728,
    ),
)

# (e^x - 1 - x) / x² for |x| ≤ 1. Relative error below 2^-54 (float64) and 2^-26 (float32).
EXPM1MX = Polynomial(
    float64=(
        0.5,
        0.16666666666666666,
        0.041666666666666116,
        0.008333333333333878,
        0.0013888888888978512,
        0.0001984126984085833,
        2.480158724733487e-05,
        2.7557319351856858e-06,
        2.755733482955287e-07,
        2.5052090849923845e-08,
        2.0874456897574945e-09,
        1.6059833876315324e-10,
        1.1638482223218657e-11,
        7.679724950310839e-13,
    ),
    float32=(
        0.5,
        0.1666666716337204,
        0.04166673496365547,
        0.00833331048488617,
        0.001388545148074627,
        0.0001984402333619073,
        2.5354831450385973e-05,
        2.7722855975298444e-06,
    ),
)
