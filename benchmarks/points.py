"""Test points of a loss: the whole range of a dtype, ordinary numbers, and both sides of everything that is special."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from lossfn import PointwiseLoss, fields

FLOATS: dict[str, Any] = {"float32": np.float32, "float64": np.float64}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Points:
    """Predictions, one row of heads for each point, and targets as losses take them; all are numbers of the dtype."""

    heads: Array
    target: Any

    @property
    def pred(self) -> Array:
        """The predictions in the shape that losses take."""
        return self.heads[:, 0] if self.heads.shape[1] == 1 else self.heads

    @property
    def parts(self) -> Array:
        """The targets, one row of parts for each point."""
        return np.stack(self.target if isinstance(self.target, tuple) else [self.target], axis=1)

    def __len__(self) -> int:
        return len(self.heads)


def in_precision(loss: PointwiseLoss, dtype: str) -> PointwiseLoss:
    """Return the loss with its parameters rounded to the dtype, as every path uses them."""
    return dataclasses.replace(loss, **each_number(lambda number: float(FLOATS[dtype](number)), loss))


def each_number(function: Callable[[float], Any], loss: PointwiseLoss) -> dict[str, Any]:
    """Apply a function to every real number among the parameters; some parameters are several."""
    changed = {}
    for field in dataclasses.fields(loss):
        value = getattr(loss, field.name)
        if isinstance(value, float):
            changed[field.name] = function(value)
        elif isinstance(value, tuple):
            changed[field.name] = tuple(map(function, value))
    return changed


def features(loss: PointwiseLoss) -> list[float]:
    """Return the sizes of residual, margin or prediction at which something may happen: 0, 1 and every parameter."""
    found = {0.0, 1.0}
    each_number(found.add, loss)
    return sorted(found)


def is_margin_loss(loss: PointwiseLoss) -> bool:
    """Whether the loss is a function of prediction times label; the others with kinks are functions of the residual."""
    return loss.target == fields.SIGNED


def is_special_at_zero(loss: PointwiseLoss) -> bool:
    """Whether a prediction or a target of 0 is special by itself: as a divisor, or because its sign matters."""
    return type(loss).__name__ in ("AbsolutePercentageError", "SymmetricAbsolutePercentageError")


def has_kinks_of_several_heads(loss: PointwiseLoss) -> bool:
    """Whether each head has a kink at the target: at a tie, no difference tells what the other heads contribute."""
    return loss.smoothness < 2 and len(loss.heads) > 1 and not has_scale(loss)


def has_scale(loss: PointwiseLoss) -> bool:
    """Whether the second head is the logarithm of the scale, or of its square, of the first head's residual."""
    return loss.heads[1:2] in (("log_scale",), ("log_variance",))


def has_labels(loss: PointwiseLoss) -> bool:
    """Whether targets are labels of two classes, or probabilities between them."""
    return loss.target in (fields.BINARY, fields.SIGNED, fields.PROBABILITY)


def variable_of(loss: PointwiseLoss, heads: Array, parts: Array) -> tuple[Any, float]:
    """Return the residual or margin, exactly and as it is rounded; the first head where targets have parts."""
    head, target = mpmath.mpf(float(heads[0])), mpmath.mpf(float(parts[0]))
    if len(parts) > 1:
        return head, float(head)
    if is_margin_loss(loss):
        return head * target, float(head * target)
    if has_scale(loss) and loss.target == fields.POSITIVE:
        # The location is one of the logarithm.
        with mpmath.workdps(1000):
            return head - mpmath.log(target), float(heads[0] - np.log(parts[0]))
    with np.errstate(over="ignore"):
        return head - target, float(heads[0] - parts[0])


def continuous_parts(loss: PointwiseLoss, parts: Array) -> list[int]:
    """Return the positions of targets that are measured numbers, whose rounding counts, and not labels."""
    found = []
    for position, (domain, part) in enumerate(zip(fields.domains_of(loss.target), parts, strict=True)):
        is_label = domain.is_discrete or (domain == fields.PROBABILITY and part in (0.0, 1.0))
        if not is_label:
            found.append(len(loss.heads) + position)
    return found


def side_of(loss: PointwiseLoss, size: Any) -> list[int]:
    """Return on which side of each possible kink a residual or margin of this size lies."""
    return [(size > feature) - (size < feature) for feature in features(loss)]


def finite_points(loss: PointwiseLoss, dtype: str, size: int, seed: int = 0) -> Points:
    """Return finite points inside the domains; ``size`` is the number of points of each of a few sorts.

    The loss must already be ``in_precision`` of the dtype.
    """
    if isinstance(loss.target, fields.Parts):
        return _finite_points_of_parts(loss, loss.target, dtype, size, seed)
    info = np.finfo(FLOATS[dtype])
    rng = np.random.default_rng(2024 + seed)
    targets = _targets(loss, info, rng, size)

    def any_target(count: int) -> Array:
        return rng.choice(targets, count)

    parts = [
        (_ordinary(loss.prediction, rng, size), loss.target.sample(rng, size)),
        (_magnitudes(info, rng, size), any_target(size)),
        (_moderate(rng, size), any_target(size)),
        _near_features(loss, info, rng, targets, size),
        _special(loss, info, targets),
    ]
    if not loss.target.is_discrete:
        ordinary = loss.target.sample(rng, size)
        parts.append((_moderate(rng, size), ordinary))
        parts.append(_around_target(info, rng, targets, size))
    if loss.link == "log":
        parts.append(_around_root(info, rng, targets, size))
    with np.errstate(over="ignore"):
        first = np.concatenate([part[0] for part in parts]).astype(FLOATS[dtype])
        target = np.concatenate([part[1] for part in parts]).astype(FLOATS[dtype])
    others = [_scale_head(info, rng, len(first)).astype(FLOATS[dtype]) for _ in loss.heads[1:]]
    return _inside(loss, Points(np.stack([first, *others], axis=1), target))


def limit_points(loss: PointwiseLoss, dtype: str) -> Points:
    """Return points with infinite predictions, or on the boundary of the predictions' domain."""
    real = FLOATS[dtype]
    edges = [edge for edge in (-np.inf, np.inf, loss.prediction.low, loss.prediction.high) if edge in loss.prediction]
    inner = loss.prediction.example
    numbers = (0.0, 1.0, -1.0, 0.25, 7.0)
    targets = _members(loss, tuple(x for x in numbers if not (has_kinks_of_several_heads(loss) and x == inner)))
    rows = []
    for position in range(len(loss.heads)):
        for edge in sorted(set(edges)):
            row = [inner] * len(loss.heads)
            row[position] = edge
            rows.append(row)
    return _every_pair(loss, np.array(rows, real), targets)


def thinned(points: Points, most: int) -> Points:
    """Return at most so many of the points, drawn from all of their sorts."""
    if len(points) <= most:
        return points
    kept = np.sort(np.random.default_rng(len(points)).choice(len(points), most, replace=False))
    target = points.target
    return Points(
        points.heads[kept],
        type(target)(*(part[kept] for part in target)) if isinstance(target, tuple) else target[kept],
    )


def nan_points(loss: PointwiseLoss, dtype: str) -> Points:
    """Return points where one head is not a number."""
    real = FLOATS[dtype]
    heads = np.full((len(loss.heads),) * 2, loss.prediction.example, real)
    np.fill_diagonal(heads, np.nan)
    return _every_pair(loss, heads, _members(loss, (0.0, 1.0, -1.0)))


def _members(loss: PointwiseLoss, numbers: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Return the targets whose parts are such numbers."""
    parts = itertools.product(numbers, repeat=len(fields.domains_of(loss.target)))
    return [target for target in parts if fields.joined(loss.target, target) in loss.target]


def _every_pair(loss: PointwiseLoss, heads: Array, targets: list[tuple[float, ...]]) -> Points:
    columns = np.tile(np.array(targets, heads.dtype), (len(heads), 1)).T
    return Points(np.repeat(heads, len(targets), axis=0), fields.joined(loss.target, np.ascontiguousarray(columns)))


def _finite_points_of_parts(loss: PointwiseLoss, target: fields.Parts, dtype: str, size: int, seed: int) -> Points:
    """Return points whose first part is a target like any other, and whose other parts are near it or far from it."""
    single = copy.copy(loss)
    object.__setattr__(single, "target", target.domains[0])
    points = finite_points(single, dtype, size, seed)
    rng = np.random.default_rng(2025 + seed)
    parts = [points.target]
    for domain in target.domains[1:]:
        factor = np.exp2(rng.choice([0.0, 1.0, 3.0, 20.0], len(points)))
        with np.errstate(over="ignore"):
            scaled = parts[0] * factor.astype(parts[0].dtype)
        parts.append(np.where(rng.random(len(points)) < 0.5, scaled, domain.sample(rng, len(points))))
    ordered = np.sort(parts, axis=0) if target.ascending else np.array(parts)
    return _inside(loss, Points(points.heads, target.container(*ordered.astype(FLOATS[dtype]))))


def _inside(loss: PointwiseLoss, points: Points) -> Points:
    inside = [
        fields.joined(loss.target, [float(part) for part in parts]) in loss.target
        and all(np.isfinite(head) and _is_interior(loss, float(head)) for head in row)
        and not (has_kinks_of_several_heads(loss) and parts[0] in row)
        for row, parts in zip(points.heads, points.parts, strict=True)
    ]
    kept = np.concatenate([points.heads[inside], points.parts[inside]], axis=1)
    # 0 and -0 are different points.
    bits = kept.view(np.uint32 if kept.dtype == np.float32 else np.uint64)
    _, first = np.unique(bits, axis=0, return_index=True)
    columns = np.ascontiguousarray(kept[np.sort(first)].T)
    heads = len(loss.heads)
    return Points(np.ascontiguousarray(columns[:heads].T), fields.joined(loss.target, columns[heads:]))


def _is_interior(loss: PointwiseLoss, head: float) -> bool:
    return head in loss.prediction and head not in (loss.prediction.low, loss.prediction.high)


def _targets(loss: PointwiseLoss, info: Any, rng: np.random.Generator, size: int) -> Array:
    domain = loss.target
    if domain.is_discrete:
        return np.array(domain.members)
    if domain == fields.PROBABILITY:
        # Most labels are 0 or 1; the others lie near both ends and between.
        soft = np.concatenate([[0.5, 0.1, 0.9, float(info.eps), 1 - float(info.epsneg)], rng.uniform(0, 1, 5)])
        return np.concatenate([np.tile([0.0, 1.0], 10), soft])
    numbers = np.concatenate([_magnitudes(info, rng, size), _moderate(rng, size), np.zeros(size // 2)])
    if domain.low >= 0:
        counts = rng.poisson(3.0, size).astype(float)
        return np.concatenate([np.abs(numbers), counts, [1.0, 2.0, 1e6]])
    return np.concatenate([numbers, domain.sample(rng, size)])


def _ordinary(domain: fields.Domain, rng: np.random.Generator, size: int) -> Array:
    return domain.sample(rng, size)


def _magnitudes(info: Any, rng: np.random.Generator, size: int) -> Array:
    """Both signs, all exponents from the smallest subnormal to the largest number."""
    exponents = np.linspace(float(info.minexp - info.nmant), float(info.maxexp), size, endpoint=False)
    with np.errstate(over="ignore", under="ignore"):
        return rng.choice([-1.0, 1.0], size) * np.exp2(exponents) * rng.uniform(1.0, 2.0, size)


def _moderate(rng: np.random.Generator, size: int) -> Array:
    """Both signs, about a millionth to a thousand: where most losses bend."""
    return rng.choice([-1.0, 1.0], size) * np.exp2(rng.uniform(-20, 10, size))


def _near_features(
    loss: PointwiseLoss, info: Any, rng: np.random.Generator, targets: Array, size: int
) -> tuple[Array, Array]:
    """Residuals or margins at every feature and one or two units beside it."""
    factors = 1 + float(info.eps) * np.array([-2, -1, -0.5, 0, 1, 2])
    sizes = np.unique(np.concatenate([feature * factors for feature in features(loss)]))
    values = np.concatenate([sizes, -sizes])
    if has_labels(loss):
        labels = (-1.0, 1.0) if is_margin_loss(loss) else (0.0, 1.0)
        return np.tile(values, 2), np.repeat(labels, len(values))
    # Beside a target of 0 the residual is exact; beside others it is rounded.
    centres = [0.0, rng.choice(targets), *loss.target.sample(rng, 1 + size // 16)]
    with np.errstate(over="ignore"):
        return np.concatenate([centre + values for centre in centres]), np.repeat(centres, len(values))


def _special(loss: PointwiseLoss, info: Any, targets: Array) -> tuple[Array, Array]:
    smallest, normal = float(info.smallest_subnormal), float(info.smallest_normal)
    sizes = [0.0, smallest, 3 * smallest, normal * (1 - float(info.eps)), normal, float(info.eps), float(info.max)]
    if not has_labels(loss):
        # Where squares overflow, and where only half of them does not.
        sizes += [float(np.sqrt(info.max)), 1.2 * float(np.sqrt(info.max))]
    values = np.array([*sizes, *(-size for size in sizes)])
    ordered = np.unique(targets)
    centres = ordered[[0, len(ordered) // 2, -1]]
    return np.tile(values, len(centres)), np.repeat(centres, len(values))


def _around_target(info: Any, rng: np.random.Generator, targets: Array, size: int) -> tuple[Array, Array]:
    """Predictions a few units to a few times the target away from it."""
    centres = rng.choice(targets, size)
    relative = rng.choice([-1.0, 1.0], size) * np.exp2(rng.uniform(-info.nmant, 1, size))
    with np.errstate(over="ignore"):
        return centres * (1 + relative), centres


def _around_root(info: Any, rng: np.random.Generator, targets: Array, size: int) -> tuple[Array, Array]:
    """Log rates at and around the logarithm of the target, where the gradient vanishes."""
    centres = rng.choice(targets[targets > 0], size)
    relative = rng.choice([-1.0, 0.0, 1.0], size) * np.exp2(rng.uniform(-info.nmant, 1, size))
    return np.log(centres) * (1 + relative), centres


def _scale_head(info: Any, rng: np.random.Generator, size: int) -> Array:
    """Log-variances: 0, ordinary, of all sizes, and so that variances reach the limits of the dtype."""
    limit = float(info.maxexp) * np.log(2)
    choices = np.stack(
        [
            np.zeros(size),
            rng.normal(0, 2, size),
            _moderate(rng, size),
            rng.uniform(-limit, limit, size),
            rng.permutation(_magnitudes(info, rng, size)),
        ]
    )
    return choices[rng.choice(5, size, p=[0.1, 0.3, 0.25, 0.25, 0.1]), np.arange(size)]
