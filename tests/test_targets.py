"""Targets made of two parts, and parameters made of several numbers, for a loss of one's own on every path."""

# ruff: noqa: D102 (expressions have the arguments that they have)

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from benchmarks.judge import judge
from benchmarks.measure import QUICK_PATHS
from conftest import assert_close, every_numpy_path, every_path, raises, through

import lossfn
from lossfn import fields
from lossfn.engine import paths
from lossfn.registry import sample


class Wins(lossfn.PointwiseLoss):
    """Negative log-likelihood of wins out of rounds, given the logit of winning."""

    class Target(NamedTuple):
        """Wins out of rounds."""

        wins: Any
        rounds: Any

    target = fields.Parts(Target, (fields.NONNEGATIVE, fields.NONNEGATIVE), ("k", "n"), ascending=True)

    def expression(self, xp, pred, target):
        lost = target.rounds - target.wins
        return xp.xmul(target.wins, xp.softplus(-pred)) + xp.xmul(lost, xp.softplus(pred))


class Levels(lossfn.PointwiseLoss):
    """Squares around several fractions of the target, one head for each."""

    fractions: tuple[float, ...] = fields.open_fractions(default=(0.25, 0.5), symbol="f", doc="fractions")

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "heads", tuple(f"level_{i}" for i, _ in enumerate(self.fractions)))

    def expression(self, xp, pred, target):  # noqa: ARG002
        squares = [(head - fraction * target) ** 2 for head, fraction in zip(pred, self.fractions, strict=True)]
        return sum(squares[1:], start=squares[0])


LOSS = Wins()
COUNTS = Wins.Target(np.array([0.0, 2.0, 3.0, 1.0, 0.0]), np.array([0.0, 2.0, 5.0, 4.0, 3.0]))
LOGITS = np.array([0.3, -1.0, 2.0, 0.0, -0.4])
WEIGHT = np.array([1.0, 0.5, 2.0, 0.0, 1.0])
MASK = np.array([True, True, True, True, False])


def textbook(pred, wins, rounds):
    share = 1 / (1 + np.exp(-pred))
    return (
        -wins * np.log(share) - (rounds - wins) * np.log(1 - share),
        rounds * share - wins,
        rounds * share * (1 - share),
    )


# ---- targets of two parts --------------------------------------------------------------------------------------------


@every_path
def test_both_parts_reach_value_and_derivatives(path):
    in_library = {"torch": lambda a: pytest.importorskip("torch").tensor(a), "jax": np.asarray}.get(path, np.asarray)
    target = Wins.Target(*map(in_library, COUNTS))
    factor = WEIGHT * MASK / (WEIGHT * MASK).sum()
    value, gradient, hessian = textbook(LOGITS, *COUNTS)
    if path in ("torch", "jax"):
        got = library_results(path, target)
    else:
        got = through(path, LOSS, LOGITS, target, WEIGHT, MASK)
    for part, wanted in zip(got, ((factor * value).sum(), factor * gradient, factor * hessian), strict=True):
        assert_close(part, wanted)


def library_results(path, target):
    if path == "torch":
        import torch

        options = {"weight": torch.tensor(WEIGHT), "mask": torch.tensor(MASK)}
        pred = torch.tensor(LOGITS, requires_grad=True)
        value = LOSS(pred, target, **options)
        (gradient,) = torch.autograd.grad(value, pred)
        return value.item(), gradient.numpy(), LOSS.hessian(pred.detach(), target, **options).numpy()
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        target = Wins.Target(*map(jax.numpy.asarray, target))
        options = {"weight": jax.numpy.asarray(WEIGHT), "mask": jax.numpy.asarray(MASK)}
        # The named tuple is a tree of arrays: it passes through jit as it is.
        traced = jax.jit(jax.value_and_grad(lambda p, t: LOSS(p, t, **options)))
        value, gradient = traced(jax.numpy.asarray(LOGITS), target)
        return value, gradient, LOSS.hessian(jax.numpy.asarray(LOGITS), target, **options)


@every_numpy_path
def test_parts_may_be_strided_lists_integers_and_many(path):
    pred, target = sample(LOSS, np.random.default_rng(0), 5001)
    expected = textbook(pred, *target)
    strided = Wins.Target(*(part.repeat(2)[::2] for part in target))
    with paths.forced(path):
        value, gradient = LOSS.value_and_gradient(pred, strided, reduction="sum")
        assert_close(value, expected[0].sum())
        assert_close(gradient, expected[1])
        assert LOSS(LOGITS.astype(np.float32), ([0, 2, 3, 1, 0], [0, 2, 5, 4, 3])).dtype == np.float32
    assert_close(LOSS(LOGITS, ([0, 2, 3, 1, 0], [0, 2, 5, 4, 3])), LOSS(LOGITS, COUNTS))


@every_path
def test_what_is_dropped_is_not_looked_at(path):
    kept = WEIGHT * MASK > 0
    spoiled = Wins.Target(np.where(kept, COUNTS.wins, np.nan), np.where(kept, COUNTS.rounds, -1))
    if path in ("torch", "jax"):
        import torch

        got = library_results(path, Wins.Target(*map(torch.tensor if path == "torch" else np.asarray, spoiled)))
        wanted = library_results(path, Wins.Target(*map(torch.tensor if path == "torch" else np.asarray, COUNTS)))
    else:
        got, wanted = (through(path, LOSS, LOGITS, target, WEIGHT, MASK) for target in (spoiled, COUNTS))
    for part, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize("path", ["arrays", "kernel"])
@pytest.mark.parametrize(
    ("target", "kind", "fragments"),
    [
        (COUNTS.wins, TypeError, ["a tuple (wins, rounds)", "got ndarray", "Wins.Target(wins, rounds)"]),
        ((COUNTS.wins,), TypeError, ["a tuple (wins, rounds)", "got a tuple of 1"]),
        ((COUNTS.wins, COUNTS.rounds[:2]), ValueError, ["target.wins and target.rounds", "(5,) and (2,)", "full_like"]),
        ((COUNTS.wins - 1, COUNTS.rounds), ValueError, ["target.wins[0] = -1.0", ">= 0"]),
        ((COUNTS.wins, np.full(5, np.nan)), ValueError, ["target.rounds[0] = nan"]),
        ((COUNTS.rounds, COUNTS.wins), ValueError, ["target.wins[2] = 5.0 is larger than target.rounds[2] = 3.0"]),
        ((COUNTS.wins, ["a"] * 5), TypeError, ["target.rounds must be real"]),
    ],
)
def test_a_refusal_names_the_part_and_its_index(path, target, kind, fragments):
    with paths.forced(path), raises(kind, "Wins: ", *fragments):
        LOSS(LOGITS, target)


def test_refusals_in_frameworks_and_of_buffers():
    torch = pytest.importorskip("torch")
    with raises(TypeError, "target.wins is from torch", "pred is from numpy"):
        LOSS(LOGITS, (torch.tensor(COUNTS.wins), torch.tensor(COUNTS.rounds)))
    with raises(ValueError, "target.wins[0] = -1.0"):
        LOSS(torch.tensor(LOGITS), (torch.tensor(COUNTS.wins - 1), torch.tensor(COUNTS.rounds)))
    for wanting in (0, 1):
        parts = [torch.tensor(part, requires_grad=position == wanting) for position, part in enumerate(COUNTS)]
        with raises(ValueError, "target requires grad"):
            LOSS(torch.tensor(LOGITS), Wins.Target(*parts))
    with raises(ValueError, "out must not share memory with target"):
        LOSS.value_and_gradient(LOGITS, COUNTS, out=COUNTS.rounds)


def test_constants_totals_checks_and_pickles():
    assert LOSS.optimal_constant(COUNTS) == pytest.approx(np.log(6 / 8), rel=1e-12)
    assert LOSS.optimal_constant(tuple(COUNTS), weight=WEIGHT) == pytest.approx(np.log(7 / 7), abs=1e-12)
    assert LOSS.total(LOGITS, COUNTS).mean() == LOSS(LOGITS, COUNTS)
    with raises(ValueError, "target.wins[1]"):
        lossfn.check(LOSS, LOGITS, Wins.Target(COUNTS.wins + np.array([0, 1, 0, 0, 0]), COUNTS.rounds))
    twin = pickle.loads(pickle.dumps((LOSS, COUNTS)))
    assert twin[0] == LOSS
    assert_close(twin[0](LOGITS, twin[1]), LOSS(LOGITS, COUNTS))
    assert LOSS.formula.startswith("k ")
    assert (2.0 * LOSS)(LOGITS, COUNTS) == pytest.approx(2 * LOSS(LOGITS, COUNTS))
    assert (1.0, 2.0) in LOSS.target
    assert (2.0, 1.0) not in LOSS.target
    assert 1.0 not in LOSS.target


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parts_are_judged_like_other_targets(dtype):
    assert judge(LOSS, dtype, 2, paths=QUICK_PATHS).wrong == []


def test_linear_models_refuse_targets_of_parts():
    sklearn = pytest.importorskip("lossfn.sklearn")
    with raises(ValueError, "its targets are wins and rounds, and y is a single number a row"):
        sklearn.LinearRegressor(loss=LOSS).fit(np.ones((3, 1)), np.ones(3))


# ---- parameters of several numbers -----------------------------------------------------------------------------------


@every_path
def test_the_number_of_heads_follows_from_the_parameter(path):
    target = np.array([1.0, 4.0])
    for fractions in ((0.25, 0.5), (0.1, 0.2, 0.9)):
        loss = Levels(fractions=fractions)
        pred = np.arange(2.0 * len(fractions)).reshape(2, -1)
        result = through(path, loss, pred, target, reduction="sum")
        residual = pred - target[:, None] * fractions
        assert_close(result.value, (residual**2).sum())
        assert_close(result.gradient, 2 * residual)
        with raises(ValueError, f"a last axis of {len(fractions)} heads"):
            loss(pred[:, :-1], target)


def test_several_numbers_are_symbols_of_one_definition():
    loss = Levels(fractions=[0.25, np.float64(0.5)])
    assert loss == Levels(fractions=(0.25, 0.5)) == eval(repr(loss)) == pickle.loads(pickle.dumps(loss))
    assert hash(loss) == hash(Levels(fractions=(0.25, 0.5)))
    assert loss._definition is Levels(fractions=(0.1, 0.2))._definition
    assert "f_{2}" in loss.formula
    assert "{f_{2}}_{1}" in (loss + loss).formula


@pytest.mark.parametrize(
    ("fractions", "kind", "fragments"),
    [
        (0.5, TypeError, ["tuple of two or more numbers", "got 0.5"]),
        ((0.5,), TypeError, ["tuple of two or more numbers"]),
        ((0.5, 0.5), ValueError, ["must ascend, without repetition"]),
        ((0.5, 1.0), ValueError, ["fractions[1]", "strictly between 0 and 1", "got 1.0"]),
        ((0.5, "a"), TypeError, ["fractions[1] must be a number"]),
    ],
)
def test_several_numbers_are_checked_one_by_one(fractions, kind, fragments):
    with raises(kind, "Levels: ", *fragments):
        Levels(fractions=fractions)
