"""Scalars that write LLVM instructions while Python operators are applied to them.

The kernels of the primitives are ordinary Python functions of :class:`Scalar`. Numba calls them once per use with
symbolic arguments, and every ``+``, comparison or ``select`` appends one instruction to the loop being compiled. Numba
therefore has nothing to type inside a primitive, which makes compilation several times faster than nested ``njit``
functions; constants take the format of the scalar they meet, so that a bare ``0.5`` cannot promote a float32 loop; and
``for`` over coefficients is unrolled by construction. No instruction carries a fast-math flag: what is written here is
what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from lossfn.engine.primitives.coefficients import Polynomial


@dataclass(frozen=True)
class Format:
    """A binary floating-point format and the constants that depend on it."""

    name: str
    real: Any
    integer: Any
    bits: int
    precision: int
    exponent_bias: int
    smallest_normal: float
    largest: float
    # e^x overflows above the first and rounds to zero below the second.
    exp_overflow: float
    exp_underflow: float

    @property
    def mantissa_bits(self) -> int:
        """Number of stored fraction bits."""
        return self.precision - 1

    @property
    def magic(self) -> float:
        """1.5·2^(precision-1): adding it rounds to an integer and leaves that integer in the low bits.

        ``fptosi`` would do the same, but has no packed form for float64 on AVX2 and is undefined for NaN.
        """
        return 1.5 * 2.0**self.mantissa_bits


FLOAT32 = Format(
    name="float32",
    real=ir.FloatType(),
    integer=ir.IntType(32),
    bits=32,
    precision=24,
    exponent_bias=127,
    smallest_normal=2.0**-126,
    largest=(2.0 - 2.0**-23) * 2.0**127,
    exp_overflow=89.0,
    exp_underflow=-105.0,
)
FLOAT64 = Format(
    name="float64",
    real=ir.DoubleType(),
    integer=ir.IntType(64),
    bits=64,
    precision=53,
    exponent_bias=1023,
    smallest_normal=2.0**-1022,
    largest=(2.0 - 2.0**-52) * 2.0**1023,
    exp_overflow=710.0,
    exp_underflow=-746.0,
)


class Mask:
    """A truth value inside a kernel; combine with ``&``, ``|`` and ``~``."""

    __slots__ = ("builder", "format", "value")

    def __init__(self, builder: Any, form: Format, value: Any) -> None:
        self.builder = builder
        self.format = form
        self.value = value

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.builder, self.format, self.builder.and_(self.value, other.value))

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.builder, self.format, self.builder.or_(self.value, other.value))

    def __invert__(self) -> Mask:
        return Mask(self.builder, self.format, self.builder.not_(self.value))


class Bits:
    """The bit pattern of a scalar as an unsigned integer."""

    __slots__ = ("builder", "format", "value")

    def __init__(self, builder: Any, form: Format, value: Any) -> None:
        self.builder = builder
        self.format = form
        self.value = value

    def _integer(self, other: Bits | int) -> Any:
        if isinstance(other, Bits):
            return other.value
        return ir.Constant(self.format.integer, other & (2**self.format.bits - 1))

    def __add__(self, other: Bits | int) -> Bits:
        return Bits(self.builder, self.format, self.builder.add(self.value, self._integer(other)))

    def __sub__(self, other: Bits | int) -> Bits:
        return Bits(self.builder, self.format, self.builder.sub(self.value, self._integer(other)))

    def __rsub__(self, other: int) -> Bits:
        return Bits(self.builder, self.format, self.builder.sub(self._integer(other), self.value))

    def __or__(self, other: Bits | int) -> Bits:
        return Bits(self.builder, self.format, self.builder.or_(self.value, self._integer(other)))

    def __lshift__(self, count: int) -> Bits:
        return Bits(self.builder, self.format, self.builder.shl(self.value, self._integer(count)))

    def __rshift__(self, count: int) -> Bits:
        # Logical, not arithmetic: AVX2 has no packed arithmetic shift of 64-bit integers.
        return Bits(self.builder, self.format, self.builder.lshr(self.value, self._integer(count)))

    def as_scalar(self) -> Scalar:
        """Return the number with this bit pattern."""
        return Scalar(self.builder, self.format, self.builder.bitcast(self.value, self.format.real))


class Scalar:
    """A floating-point number inside a kernel."""

    __slots__ = ("builder", "format", "value")

    def __init__(self, builder: Any, form: Format, value: Any) -> None:
        self.builder = builder
        self.format = form
        self.value = value

    def constant(self, number: float) -> Scalar:
        """Return ``number`` in the format of this scalar."""
        return Scalar(self.builder, self.format, ir.Constant(self.format.real, number))

    def coerce(self, other: Scalar | float) -> Scalar:
        """Return ``other`` as a scalar of this format."""
        return other if isinstance(other, Scalar) else self.constant(other)

    def as_bits(self) -> Bits:
        """Return the bit pattern of this number."""
        return Bits(self.builder, self.format, self.builder.bitcast(self.value, self.format.integer))

    def _wrap(self, value: Any) -> Scalar:
        return Scalar(self.builder, self.format, value)

    def __add__(self, other: Scalar | float) -> Scalar:
        return self._wrap(self.builder.fadd(self.value, self.coerce(other).value))

    def __radd__(self, other: float) -> Scalar:
        return self.constant(other) + self

    def __sub__(self, other: Scalar | float) -> Scalar:
        return self._wrap(self.builder.fsub(self.value, self.coerce(other).value))

    def __rsub__(self, other: float) -> Scalar:
        return self.constant(other) - self

    def __mul__(self, other: Scalar | float) -> Scalar:
        return self._wrap(self.builder.fmul(self.value, self.coerce(other).value))

    def __rmul__(self, other: float) -> Scalar:
        return self.constant(other) * self

    def __truediv__(self, other: Scalar | float) -> Scalar:
        return self._wrap(self.builder.fdiv(self.value, self.coerce(other).value))

    def __rtruediv__(self, other: float) -> Scalar:
        return self.constant(other) / self

    def __neg__(self) -> Scalar:
        return self._wrap(self.builder.fneg(self.value))

    def _compare(self, relation: str, other: Scalar | float) -> Mask:
        # Ordered: a comparison with NaN is false, as in Python.
        return Mask(
            self.builder, self.format, self.builder.fcmp_ordered(relation, self.value, self.coerce(other).value)
        )

    def __lt__(self, other: Scalar | float) -> Mask:
        return self._compare("<", other)

    def __le__(self, other: Scalar | float) -> Mask:
        return self._compare("<=", other)

    def __gt__(self, other: Scalar | float) -> Mask:
        return self._compare(">", other)

    def __ge__(self, other: Scalar | float) -> Mask:
        return self._compare(">=", other)

    def equals(self, other: Scalar | float) -> Mask:
        """Return whether both are the same number (``==`` is kept for Python objects)."""
        return self._compare("==", other)

    def has_sign(self) -> Mask:
        """Return whether the sign bit is set: a selection by it needs no comparison."""
        bits = self.as_bits().value
        return Mask(self.builder, self.format, self.builder.icmp_signed("<", bits, ir.Constant(self.format.integer, 0)))

    def is_ordered_with(self, other: Scalar) -> Mask:
        """Return whether neither of the two is NaN."""
        return self._compare("ord", other)


Kernel = Callable[..., Scalar | Mask]


def select(condition: Mask, chosen: Scalar | float, otherwise: Scalar | float) -> Scalar:
    """Return ``chosen`` where the condition holds; both are computed, and a NaN in the other one has no effect."""
    builder, form = condition.builder, condition.format
    operands = [
        side.value if isinstance(side, Scalar) else ir.Constant(form.real, side) for side in (chosen, otherwise)
    ]
    return Scalar(builder, form, builder.select(condition.value, *operands))


def _llvm(name: str, x: Scalar, *others: Scalar) -> Scalar:
    operands = [x.value, *(other.value for other in others)]
    signature = ir.FunctionType(x.format.real, [x.format.real] * len(operands))
    function = x.builder.module.declare_intrinsic(f"llvm.{name}", [x.format.real], signature)
    return x._wrap(x.builder.call(function, operands))


def fma(x: Scalar, y: Scalar | float, z: Scalar | float) -> Scalar:
    """Return x·y + z with one rounding."""
    return x._wrap(x.builder.fma(x.value, x.coerce(y).value, x.coerce(z).value))


def fabs(x: Scalar) -> Scalar:
    """Return the absolute value."""
    return _llvm("fabs", x)


def sqrt(x: Scalar) -> Scalar:
    """Return the correctly rounded square root."""
    return _llvm("sqrt", x)


def copysign(magnitude: Scalar, sign: Scalar) -> Scalar:
    """Return ``magnitude`` with the sign of ``sign``."""
    return _llvm("copysign", magnitude, sign)


def clamp(x: Scalar, low: float, high: float) -> Scalar:
    """Return ``x`` limited to the interval; NaN stays NaN."""
    x = select(x > high, high, x)
    return select(x < low, low, x)


def cap(x: Scalar, high: float) -> Scalar:
    """Return ``x``, at most ``high``; NaN stays NaN."""
    return select(x > high, high, x)


def polynomial(x: Scalar, table: Polynomial) -> Scalar:
    """Evaluate a polynomial by Horner's rule, one fused multiply-add per coefficient."""
    return _horner(x, _coefficients(x, table))


def polynomial_in_halves(x: Scalar, table: Polynomial) -> Scalar:
    """Evaluate a polynomial whose higher terms are small: even and odd powers do not wait for each other."""
    coefficients = _coefficients(x, table)
    square = x * x
    return fma(_horner(square, coefficients[1::2]), x, _horner(square, coefficients[::2]))


def _coefficients(x: Scalar, table: Polynomial) -> Sequence[float]:
    return table.float32 if x.format is FLOAT32 else table.float64


def _horner(x: Scalar, coefficients: Sequence[float]) -> Scalar:
    total = x.constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = fma(total, x, coefficient)
    return total
