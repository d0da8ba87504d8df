"""The page about losses of one's own, with what an expression may use: ``make docs`` writes it from the primitives."""

from __future__ import annotations

import inspect

from lossfn.engine.primitives import FAMILIES
from lossfn.engine.primitives.primitive import Primitive

INTRODUCTION = '''\
# A loss of your own

An expression is enough; derivatives, kernel, formulas and the best constant follow from it.

```python
>>> import lossfn
>>> Cauchy = lossfn.define("Cauchy", lambda xp, pred, target, c: xp.log1psq((pred - target) / c), c=1.0)
>>> loss = Cauchy(c=2.0)
>>> print(loss([1.0, 9.0], [0.0, 0.0]).round(4), loss.gradient([1.0, 9.0], [0.0, 0.0], reduction="sum").round(4))
1.6398 [0.4    0.2118]

```

As a class it has a docstring, declared parameters and declared properties, and can be pickled:

```python
>>> from lossfn import fields
>>> class Cauchy(lossfn.PointwiseLoss):
...     """Logarithmic in the tails: outliers hardly pull."""
...
...     c: float = fields.positive(default=1.0, symbol="c", doc="residual size of the largest influence")
...
...     def expression(self, xp, pred, target):
...         return xp.log1psq((pred - target) / self.c)
>>> print(Cauchy(c=2.0).optimal_constant([0.0, 1.0, 2.0, 60.0]).round(3))
1.035

```

With several predictions for each target (`heads = ("mean", "log_variance")`) `pred` is their tuple. With labels, say
so: `target=fields.BINARY` is for 0 and 1, `fields.SIGNED` for −1 and +1, and `fields` has more domains.

## What an expression may use

`+ - * /`, powers `a**b`, `abs(a)`, the comparisons `< <= > >=`, numbers, and the functions of `xp` below. No `if`, no
`==`, no methods and no functions of `math` or `numpy`: they are refused with what to write instead. Take the function
that is the whole term, such as `xp.softplus(z)` for log(1 + e^z): it is accurate where its parts would overflow or
cancel. A loss loses digits, or overflows, where a formula does so on the way; `define` warns of it and names an
input.'''

#: When to use each of them.
USES = {
    "exp": "Rates and scales from their logarithms. For a product with it, `mulexp`.",
    "expm1": "Instead of `exp(x) - 1`, which loses all digits near 0.",
    "expm1mx": "Instead of `exp(x) - 1 - x`: what an exponential has beyond its tangent, as in `LinEx`.",
    "mulexp": "Instead of `a * exp(b)`, where the exponential alone may overflow or the factor be 0.",
    "bose": "Instead of `1 / expm1(-x)`: shares of counts above zero.",
    "log": "Likelihoods of positive numbers. A factor in front: `xlogy`.",
    "log1p": "Instead of `log(1 + x)`, which loses the digits of small x.",
    "log1pmx": "Instead of `log1p(x) - x`: deviances next to their minimum.",
    "squash": "Instead of `x / (1 + x)`, which is NaN at infinity: bounded losses of squares.",
    "log1psq": "Instead of `log(1 + u * u)`, whose square overflows: Cauchy and Student's t.",
    "log1mexp": "From a log-probability x ≤ 0 to that of the opposite.",
    "sigmoid": "The probability of a logit.",
    "dsigmoid": "Its derivative: p (1 − p) for a logit.",
    "softplus": "log(1 + e^x): cross-entropy of a logit, smooth hinges, positive sizes.",
    "log_sigmoid": "The logarithm of `sigmoid(x)`, where that has become 0.",
    "tanh": "Slopes that saturate.",
    "sech2": "The derivative of `tanh`.",
    "log_cosh": "Instead of `log(cosh(x))`, which overflows: squares that turn linear.",
    "binary_entropy": "The entropy of the probability of a logit, as penalty.",
    "sqrt": "Square roots. With 1 + u² below it, the next ones.",
    "sqrt1psq": "Instead of `sqrt(1 + u * u)`, whose square overflows.",
    "sqrt1psqm1": "Instead of `sqrt(1 + u * u) - 1`, which cancels: `PseudoHuber`.",
    "unit": "The derivative of `sqrt1psq`: slopes that saturate.",
    "rh": "One over `sqrt1psq`: weights of residuals.",
    "xmul": "A label times a term that may be infinite: the label 0 drops it.",
    "xlogy": "A label or count times a logarithm: 0 where the label is 0.",
    "xlog1py": "The same with log(1 + y), as in y log p + (1 − y) log(1 − p).",
    "xdivy": "A label divided by a prediction that may be 0: 0 where the label is 0.",
    "power": "Powers of x ≥ 0 by a parameter.",
    "normpdf": "The density of the standard normal distribution.",
    "scaled_tail": "Its upper tail, where that itself vanishes: twice the tail divided by e^(−x²/2), for x ≥ 0.",
    "centred_ndtr": "Its distribution function Φ; twice it minus 1, so that values near 0 keep their digits.",
    "gamma_step": "The factor that normalises Student's t, by the logarithm of its degrees of freedom.",
    "gamma_step_slope": "The derivative of `gamma_step`.",
    "gamma_step_curvature": "The second derivative of `gamma_step`.",
    "abs": "Sizes of residuals; a kink with slope 0 at 0. `abs(x)` without `xp` is the same.",
    "sign": "The side of a residual; it jumps, and its derivative counts as 0.",
    "relu": "Hinges; slope 0 at the kink.",
    "step": "1 above 0, else 0; it jumps, and its derivative counts as 0.",
    "maximum": "The larger one; where they are equal, the slope is that of the second.",
    "minimum": "The smaller one; where they are equal, the slope is that of the second.",
    "where": "Cases. What is not chosen has no effect, even if it is NaN.",
    "equal": "Instead of `a == b`: a condition.",
    "greater": "The comparison `a > b` as a function.",
    "logical_and": "Instead of `a and b` and `a & b`: two conditions together.",
    "logical_or": "Instead of `a or b` and `a \\| b`: one of two conditions.",
    "logical_not": "Instead of `not a` and `~a`: the opposite of a condition.",
    "stop_gradient": "x, as a constant for derivatives: weights that must not be learned. Declare `surrogate = True`.",
    "centred_t": "The distribution function F of Student's t with ν degrees of freedom; twice it minus 1.",
    "t_centre_density": "The density of that distribution at 0.",
    "t_centre_score": "The continuous ranked probability score of that distribution for a target at its centre.",
    "tempered_tail": "A power s of the smaller of two tempered softmax probabilities, as in `BiTempered`.",
    "stirling_excess": "log y! − y log y + y of a target y: constants of count likelihoods.",
    "stirling_error": "What of it is left beside ½ log(2πy).",
}

#: LaTeX of arguments with longer names.
SYMBOLS = {"df": r"\nu", "log_df": r"\log\nu", "condition": "c"}

HEADINGS = (
    "Exponentials",
    "Logarithms",
    "Logistic functions",
    "Roots",
    "Products, quotients and powers in which 0 wins",
    "The normal distribution",
    "Student's t: its factor",
    "Kinks, cases and conditions",
    "Student's t: its distribution function",
    "Tempered softmax",
    "Factorials of the target",
)


def page() -> str:
    """Return the page: how to write a loss, and a table of primitives for each of their families."""
    parts = [INTRODUCTION]
    for heading, family in zip(HEADINGS, FAMILIES, strict=True):
        rows = [f"| `{_call(each)}` | {_formula(each)} | {USES[each.name]} |" for each in family]
        parts += [f"### {heading}", "\n".join(["| function | computes | when to use it |", "|---|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def _arguments(primitive: Primitive) -> list[str]:
    return list(inspect.signature(primitive.array).parameters)[1:]


def _call(primitive: Primitive) -> str:
    return f"xp.{primitive.name}({', '.join(_arguments(primitive))})"


def _formula(primitive: Primitive) -> str:
    symbols = [name if len(name) == 1 else SYMBOLS[name] for name in _arguments(primitive)]
    latex = primitive.latex.format(*symbols)
    # GitHub refuses \operatorname, and a bar would end the cell of a table.
    for written, shown in ((r"\operatorname", r"\mathrm"), (r"\left|", r"\lvert "), (r"\right|", r" \rvert")):
        latex = latex.replace(written, shown)
    return f"$`{latex}`$"
