"""Density of a real number as a mixture of normal distributions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from lossfn.engine.namespaces import ArrayNamespace
from lossfn.equivalents import Equivalent
from lossfn.fields import count
from lossfn.losses.interval import LOG_ROOT_TWO_PI
from lossfn.reduce import sum_classes
from lossfn.rowwise import RowwiseLoss
from lossfn.softmax import Softmax, softmax_of


class Mixture(NamedTuple):
    """Weights before and after seeing the target, standardised residuals and the reciprocals of scales."""

    prior: Softmax
    posterior: Softmax
    residual: Any
    precision: Any


class MixtureDensity(RowwiseLoss):
    """Negative log-likelihood of a mixture of normal distributions: the density of a number, with several modes.

    A row holds 3 ``components`` scores: the logits of the weights, then the means (in units of the target), then the
    logarithms of the standard deviations. The target is one real number for each row. Where a mean meets a target the
    likelihood has no bound: a component that collapses on one row sends the loss to −∞. Keep the log-scales above a
    floor of one's own (``log_scale = floor + softplus(raw)``), and prefer few components.

    Parameters
    ----------
    components : int
        How many normal distributions are mixed.

    References
    ----------
    .. [1] McLachlan and Peel (2000), "Finite mixture models", doi:10.1002/0471721182.

    See Also
    --------
    GaussianNLL : one component.

    Examples
    --------
    >>> from lossfn import MixtureDensity
    >>> print(MixtureDensity(components=2)([[0.0, 0.0, -1.0, 1.0, 0.0, 0.0]], [0.0]).round(6))
    1.418939
    """

    components: int = count(default=2, symbol="K", doc="how many normal distributions are mixed")

    elicits = "density"
    lower_bound = -math.inf
    shift_invariant = False
    accepts_distributions = False
    task = "regression"
    one_score_a_class = False
    number_parts = ("target",)
    variants = ({}, {"components": 1}, {"components": 5})
    equivalents = (
        Equivalent(
            "PyTorch",
            "-torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=pred[..., "
            ":components]), torch.distributions.Normal(pred[..., components:2 * components], "
            "torch.exp(pred[..., 2 * components:]))).log_prob(target)",
        ),
        Equivalent(
            "scoringrules",
            "scoringrules.logs_mixnorm(target, pred[..., components:2 * components], numpy.exp(pred[..., 2 * "
            "components:]), scipy.special.softmax(pred[..., :components], -1))",
            rows="abs(target - pred[:, components]) < 5 * numpy.exp(pred[:, 2 * components])",
            note="infinite where the density is below the smallest number",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weight is not None or self.ignore_index is not None:
            owner = type(self).__name__
            raise ValueError(f"{owner}: targets are numbers, not classes; use weight= and mask= for rows")

    def classes_of(self, width: int) -> int:
        """Refuse rows that do not hold three scores for each component."""
        if width != 3 * self.components:
            raise ValueError(
                f"{type(self).__name__}: pred must hold {3 * self.components} scores a row: logits, means and "
                f"log-scales of {self.components} components; got {width}"
            )
        return width

    def width_of(self, target: Any, classes: int | None = None) -> int:
        return 3 * self.components

    @property
    def formula(self) -> str:
        return r"-\log \sum_{j} p_{j} \frac{1}{\sigma_{j}} \varphi\left(\frac{y - \mu_{j}}{\sigma_{j}}\right)"

    @property
    def gradient_formula(self) -> str:
        return (
            r"\begin{pmatrix} p_{j} - r_{j} \\ - \frac{r_{j} \omega_{j}}{\sigma_{j}} \\ r_{j} (1 - \omega_{j}^{2}) "
            r"\end{pmatrix},\qquad \omega_{j} = \frac{y - \mu_{j}}{\sigma_{j}}"
            r",\qquad r_{j} = e^{L} \frac{p_{j} \varphi(\omega_{j})}{\sigma_{j}}"
        )

    @property
    def sampled_classes(self) -> int:  # type: ignore[override]  # depends on a parameter here
        return 3 * self.components

    @property
    def pictured_score(self) -> int:  # type: ignore[override]  # the first mean
        return self.components

    def _mixture(self, ops: ArrayNamespace, scores: Any, target: Any) -> Mixture:
        k = self.components
        logits, mean, log_scale = scores[..., :k], scores[..., k : 2 * k], scores[..., 2 * k :]
        prior = softmax_of(ops, logits)
        residual = ops.mulexp(target[..., None] - mean, -log_scale)
        log_density = -residual * residual / 2 - log_scale - LOG_ROOT_TWO_PI
        posterior = softmax_of(ops, prior.log_probability + log_density)
        return Mixture(prior, posterior, residual, ops.exp(-log_scale))

    def row_value(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the loss of each row."""
        return -self._mixture(ops, scores, target).posterior.total

    def row_gradient(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the gradient of each row."""
        xp = ops.xp
        prior, posterior, z, precision = self._mixture(ops, scores, target)
        p, r = prior.probability, posterior.probability
        # What two weights near 1 leave differs more clearly than the weights.
        by_logit = xp.where(p + r > 1, posterior.rest - prior.rest, p - r)
        # A component without weight adds nothing, though its residual may be infinite.
        of_means, of_scales = ops.xmul(r, ops.xmul(z, precision)), ops.xmul(r, (z - 1.0) * (z + 1.0))
        return xp.concat([by_logit, -of_means, -of_scales], axis=-1)

    def row_hessian_product(self, ops: ArrayNamespace, scores: Any, target: Any, vector: Any) -> Any:
        """Return the Hessian of each row times a vector: through how it moves the weights and the residuals."""
        xp, k = ops.xp, self.components
        prior, posterior, z, precision = self._mixture(ops, scores, target)
        r = posterior.probability
        by_logit, by_mean, by_scale = vector[..., :k], vector[..., k : 2 * k], vector[..., 2 * k :]
        slope = ops.xmul(z, precision)
        excess = (z - 1.0) * (z + 1.0)
        moved = _moved(ops, posterior, by_logit + slope * by_mean + excess * by_scale)
        residual = -(precision * by_mean + z * by_scale)
        of_means = ops.xmul(r, precision * (precision * by_mean + 2.0 * z * by_scale)) - ops.xmul(moved, slope)
        of_scales = -ops.xmul(moved, excess) - ops.xmul(r, 2.0 * z * residual)
        return xp.concat([_moved(ops, prior, by_logit) - moved, of_means, of_scales], axis=-1)

    def row_hessian_diagonal(self, ops: ArrayNamespace, scores: Any, target: Any) -> Any:
        """Return the diagonal of the Hessian of each row."""
        prior, posterior, z, precision = self._mixture(ops, scores, target)
        r, rest = posterior.probability, posterior.rest
        of_logits = prior.probability * prior.rest - r * rest
        of_means = ops.xmul(r, precision * precision * (1.0 - rest * z * z))
        excess = (z - 1.0) * (z + 1.0)
        of_scales = ops.xmul(r, 2.0 * z * z - rest * excess * excess)
        return ops.xp.concat([of_logits, of_means, of_scales], axis=-1)

    def inverse_link(self, pred: Any) -> Any:
        """Refuse: scores describe a density, not the probabilities of classes."""
        raise ValueError(f"{type(self).__name__} estimates a density; its weights are the softmax of the first scores")


def _moved(ops: ArrayNamespace, row: Softmax, change: Any) -> Any:
    """Return by how much probabilities change with their logits: p (change - p·change), without cancellation."""
    share = ops.xmul(row.probability, change)
    others = sum_classes(ops.xp, share, keepdims=True) - share
    return ops.xmul(row.probability, row.rest * change - others)
