"""Likelihoods of counts and amounts, and their deviances, beside SciPy, scikit-learn and PyTorch."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
from conftest import assert_close, draw, label, raises

import lossfn
from lossfn import (
    BinaryCrossEntropy,
    Binomial,
    Gamma,
    HalfSquaredError,
    InverseGaussian,
    NegativeBinomial,
    Poisson,
    Tweedie,
    ZeroInflatedPoisson,
)
from lossfn.engine import paths

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.judge import judge
from benchmarks.measure import QUICK_PATHS

stats = pytest.importorskip("scipy.stats")
metrics = pytest.importorskip("sklearn.metrics")

COUNTS = np.array([0.0, 0.0, 1.0, 2.0, 7.0, 40.0, 1e5, 3e9])
LOG_RATES = np.array([-3.0, 1.0, 0.5, 0.7, 2.0, 3.0, 11.5, 21.8])


def without_kernels(loss, *arguments):
    with paths.forced("arrays"):
        return loss.elementwise(*arguments)


# ---- whole likelihoods -----------------------------------------------------------------------------------------------


def test_constants_make_log_mass_functions() -> None:
    rate = np.exp(LOG_RATES)
    assert_close(without_kernels(Poisson(constants=True), LOG_RATES, COUNTS), -stats.poisson.logpmf(COUNTS, rate), 1e-6)
    counts, logits = COUNTS[:-1], LOG_RATES[:-1]
    for alpha in (0.03, 1.0, 8.0):
        mass = stats.nbinom.logpmf(counts, 1 / alpha, 1 / (1 + alpha * np.exp(logits)))
        assert_close(without_kernels(NegativeBinomial(dispersion=alpha, constants=True), logits, counts), -mass, 1e-9)
    trials = COUNTS + np.array([0, 3, 0, 5, 2, 100, 7, 1e9])
    share = 1 / (1 + np.exp(-LOG_RATES / 10))
    got = without_kernels(Binomial(constants=True), LOG_RATES / 10, (COUNTS, trials))
    assert_close(got, -stats.binom.logpmf(COUNTS, trials, share), 1e-6, 1e-12)


def test_constants_make_log_densities() -> None:
    amounts, logits = np.geomspace(1e-3, 1e4, 12), np.linspace(-4, 9, 12)
    mean = np.exp(logits)
    density = stats.invgauss.logpdf(amounts, mean)
    assert_close(without_kernels(InverseGaussian(constants=True), logits, amounts), -density, 1e-9)
    # Nothing is dropped from the gamma distribution of shape 1.
    assert_close(without_kernels(Gamma(), logits, amounts), -stats.gamma.logpdf(amounts, 1.0, scale=mean), 1e-12)


def test_a_zero_inflated_count_is_a_mixture() -> None:
    pred = np.stack([LOG_RATES[:6], np.linspace(-3, 3, 6)], axis=1)
    share = 1 / (1 + np.exp(-pred[:, 1]))
    mass = share * (COUNTS[:6] == 0) + (1 - share) * stats.poisson.pmf(COUNTS[:6], np.exp(pred[:, 0]))
    assert_close(without_kernels(ZeroInflatedPoisson(constants=True), pred, COUNTS[:6]), -np.log(mass), 1e-11)
    # Without inflation it is a Poisson count.
    plain = np.stack([LOG_RATES, np.full(8, -np.inf)], axis=1)
    assert_close(without_kernels(ZeroInflatedPoisson(), plain, COUNTS), without_kernels(Poisson(), LOG_RATES, COUNTS))


@pytest.mark.parametrize("count", [3.0, 1e6, 1e12, 1e15])
def test_terms_of_the_target_do_not_cancel(count: float) -> None:
    # errata of derive.md: log C(n, k) by log-gamma functions loses 1e4 eps at 1e6, 1e11 at 1e12.
    with mpmath.workdps(60):
        k, n = mpmath.mpf(count), mpmath.mpf(2 * count + 1)
        choose = mpmath.loggamma(n + 1) - mpmath.loggamma(k + 1) - mpmath.loggamma(n - k + 1)
        shares = k / n, (n - k) / n
        exact = float(-choose - k * mpmath.log(shares[0]) - (n - k) * mpmath.log(shares[1]))
        poisson = float(mpmath.loggamma(k + 1) - k * mpmath.log(k) + k)
    best = np.array([math.log(count) - math.log(count + 1)])
    assert_close(without_kernels(Binomial(constants=True), best, (np.array([count]), np.array([2 * count + 1]))), exact)
    assert_close(without_kernels(Poisson(constants=True), np.log([count]), np.array([count])), poisson, 1e-9)


def test_pytorch_knows_the_likelihood_up_to_stirlings_error() -> None:
    # torch.nn.PoissonNLLLoss(full=True) adds Stirling's approximation for counts above 1, and nothing for 1.
    torch = pytest.importorskip("torch")
    target, pred = COUNTS[4:7], LOG_RATES[4:7]
    peer = torch.nn.PoissonNLLLoss(full=True, reduction="none")(torch.tensor(pred), torch.tensor(target)).numpy()
    assert_close(without_kernels(Poisson(constants=True), pred, target), peer, rtol=0, atol=1 / (12 * 7))
    one = np.array([1.0])
    assert_close(without_kernels(Poisson(constants=True), one, one), np.exp(one) - 1)


# ---- deviances -------------------------------------------------------------------------------------------------------


def test_tweedie_says_why_it_has_no_constants() -> None:
    assert not hasattr(Tweedie(), "constants")
    assert "There is no ``constants``" in (Tweedie.__doc__ or "")


DEVIANCES = [Poisson(), Gamma(), InverseGaussian(), *(Tweedie(power=p) for p in (-1.5, 0.0, 1.0, 1.3, 2.0, 2.4, 3.0))]


@pytest.mark.parametrize("loss", DEVIANCES, ids=label)
def test_deviances_are_those_of_scikit_learn(loss) -> None:
    pred, target = draw(loss, 200)
    weight = np.random.default_rng(0).uniform(0.5, 2, 200)
    power = {Poisson: 1, Gamma: 2, InverseGaussian: 3}.get(type(loss)) or getattr(loss, "power", None)
    expected = metrics.mean_tweedie_deviance(target, np.exp(pred), sample_weight=weight, power=power)
    assert_close(loss.deviance(pred, target, weight=weight), expected, rtol=1e-9)
    # Half of it is the loss, up to terms of the target: one gradient, one Hessian.
    assert_close(loss.deviance.gradient(pred, target), 2 * loss.gradient(pred, target), rtol=1e-12)
    assert_close(loss.deviance.hessian(pred, target), 2 * loss.hessian(pred, target), rtol=1e-12)


@pytest.mark.parametrize(
    "loss", [*DEVIANCES, NegativeBinomial(dispersion=0.3), NegativeBinomial(dispersion=20.0), Binomial()], ids=label
)
def test_a_deviance_vanishes_at_the_target_and_is_never_negative(loss) -> None:
    counts = np.geomspace(1e-3, 1e8, 300)
    near = np.log(counts) * (1 + np.linspace(-1e-14, 1e-14, 300))
    target = counts
    if isinstance(loss, Binomial):
        target = loss.Target(counts, counts + counts[::-1])
        near = np.log(counts / counts[::-1]) * (1 + np.linspace(-1e-14, 1e-14, 300))
    values = without_kernels(loss.deviance, near, target)
    assert (values >= 0).all()
    assert (values < 1e-14 * (1 + counts ** max(2.0, 2 - getattr(loss, "power", 0)))).all()
    ones = loss.Target(np.ones(1), 2 * np.ones(1)) if isinstance(loss, Binomial) else np.ones(1)
    assert without_kernels(loss.deviance, np.zeros(1), ones) == 0
    for path in ("arrays", "kernel") if type(loss) in (Poisson, Binomial) else ("arrays",):
        with paths.forced(path):
            assert loss.deviance(np.zeros(1), ones) == 0


@pytest.mark.parametrize(
    ("loss", "dtype"),
    [
        (Poisson(), "float32"),
        *((loss, "float64") for loss in (Poisson(), Gamma(), NegativeBinomial(dispersion=0.1), Tweedie())),
    ],
)
def test_deviances_keep_the_rule_of_accuracy(loss, dtype: str) -> None:
    wrong = judge(loss.deviance, dtype, 1, values=200, paths=QUICK_PATHS).wrong
    assert not wrong, "\n".join(wrong)


def test_a_deviance_is_a_loss() -> None:
    import copy
    import pickle

    deviance = NegativeBinomial(dispersion=0.5).deviance
    assert repr(deviance) == "NegativeBinomial(dispersion=0.5, constants=False).deviance"
    assert deviance == pickle.loads(pickle.dumps(deviance)) == copy.deepcopy(deviance)
    assert deviance != NegativeBinomial(dispersion=0.6).deviance
    assert deviance._definition is NegativeBinomial(dispersion=0.6).deviance._definition
    assert deviance.optimal_constant([1.0, 3.0]) == pytest.approx(math.log(2))
    assert deviance.inverse_link(np.zeros(1)) == 1
    assert Poisson().deviance.formula
    torch = pytest.importorskip("torch")
    pred, target = draw(deviance, 50)
    tensor = torch.tensor(pred, requires_grad=True)
    deviance(tensor, torch.tensor(target)).backward()
    assert_close(tensor.grad.numpy(), deviance.gradient(pred, target))
    with raises(ValueError, "Deviance: target[0] = -1.0"):
        deviance(np.zeros(1), -np.ones(1))


# ---- relations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power", "other"), [(1.0, Poisson()), (2.0, Gamma()), (3.0, InverseGaussian())], ids=["Poisson", "Gamma", "IG"]
)
def test_whole_powers_are_the_named_likelihoods_to_the_last_bit(power: float, other) -> None:
    pred, target = draw(other, 100)
    tweedie = Tweedie(power=power)
    for got, expected in (
        (tweedie.elementwise(pred, target), other.elementwise(pred, target)),
        (tweedie.gradient(pred, target), other.gradient(pred, target)),
        (tweedie.hessian(pred, target), other.hessian(pred, target)),
        (tweedie.deviance.elementwise(pred, target), other.deviance.elementwise(pred, target)),
    ):
        np.testing.assert_array_equal(got, expected)


def test_power_zero_is_the_squared_error_of_the_mean() -> None:
    pred, target = draw(Tweedie(power=0.0), 100)
    assert_close(
        Tweedie(power=0.0).elementwise(pred, target), HalfSquaredError().elementwise(np.exp(pred), target), 1e-12
    )


@pytest.mark.parametrize("power", [0.0, 1.2, 1.5, 1.9, 2.0, 2.5, 3.0])
def test_equal_to_the_private_loss_of_scikit_learn(power: float) -> None:
    peer = pytest.importorskip("sklearn._loss.loss").HalfTweedieLoss(power=power)
    loss = Tweedie(power=power)
    pred, target = draw(loss, 100)
    target = np.abs(target)
    gradient, hessian = peer.gradient_hessian(target, pred)
    # scikit-learn drops the same terms, but those of power 0.
    assert_close(loss.elementwise(pred, target), peer.loss(target, pred), 1e-10, 1e-12)
    assert_close(loss.gradient(pred, target, reduction="sum"), gradient, 1e-10, 1e-12)
    assert_close(loss.hessian(pred, target, reduction="sum"), hessian, 1e-10, 1e-12)


def test_gradients_near_a_named_power_lead_to_it() -> None:
    pred, target = draw(Gamma(), 100)
    for power in (1.0, 2.0, 3.0):
        near = Tweedie(power=power + 1e-9).gradient(pred, target)
        assert_close(near, Tweedie(power=power).gradient(pred, target), rtol=1e-6, atol=1e-9)


def test_one_trial_is_a_label_and_many_are_repeated_labels() -> None:
    pred, _ = draw(BinaryCrossEntropy(), 50)
    label_ = np.random.default_rng(0).integers(0, 2, 50)
    one = np.ones(50)
    assert_close(Binomial().elementwise(pred, (label_, one)), BinaryCrossEntropy().elementwise(pred, label_))
    both = BinaryCrossEntropy()(np.concatenate([pred, pred]), np.concatenate([one, 0 * one]), reduction="sum")
    assert_close(Binomial()(pred, (one, 2 * one), reduction="sum"), both)
    best = Binomial().optimal_constant((label_, one))
    assert Binomial().inverse_link(np.array([best]))[0] == pytest.approx(label_.mean())


def test_small_dispersion_is_poisson() -> None:
    pred, target = draw(Poisson(), 50)
    counts = target.round()
    near = NegativeBinomial(dispersion=1e-9, constants=True).elementwise(pred, counts)
    assert_close(near, Poisson(constants=True).elementwise(pred, counts), rtol=1e-5, atol=1e-6)


def test_best_constants_of_zero_inflated_counts() -> None:
    loss = ZeroInflatedPoisson()
    target = np.array([0, 0, 0, 0, 1, 2, 2, 5])
    best = loss.optimal_constant(target)
    gradient = loss.gradient(np.tile(best, (8, 1)), target)
    assert_close(gradient.sum(axis=0), 0, atol=1e-9)
    # Fewer zeros than a Poisson count has: no inflation.
    assert_close(loss.optimal_constant([0, 1, 1, 1, 2, 2]), [math.log(7 / 6), -math.inf])
    assert_close(loss.optimal_constant([1, 1, 1]), [0, -math.inf])
    assert loss(np.tile(loss.optimal_constant([0, 0]), (2, 1)), [0, 0]) == 0
    rate, share = loss.inverse_link(best)
    assert (1 - share) * rate == pytest.approx(target.mean())


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_refusals() -> None:
    with raises(ValueError, "Tweedie: power must be <= 0 or >= 1", "got 0.5"):
        Tweedie(power=0.5)
    with raises(ValueError, "NegativeBinomial: dispersion must be a finite number > 0"):
        NegativeBinomial(dispersion=0.0)
    with raises(ValueError, "Gamma: target[1] = 0.0 is not a finite number > 0"):
        Gamma()([0.0, 0.0], [1.0, 0.0])
    with raises(ValueError, "Tweedie: target[0] = -1.0 is not a finite number >= 0"):
        Tweedie(power=1.5)([0.0], [-1.0])
    with raises(ValueError, "Tweedie: target[0] = 0.0 is not a finite number > 0"):
        Tweedie(power=2.5)([0.0], [0.0])
    assert Tweedie(power=-1.0)([0.0], [-1.0]) == pytest.approx(1 / 3 + 1 / 2)
    with raises(ValueError, "target.successes[0] = 3.0 is larger than target.trials[0] = 2.0"):
        Binomial()([0.0], ([3], [2]))
    assert lossfn.parse_loss("tweedie(power=1.5)") == Tweedie()
