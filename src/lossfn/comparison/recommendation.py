"""Which loss to train with, for each thing one may want to predict: the default, unless another is clearly better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .candidates import Candidate
from .result import Recommendation, ScoreInfo, ScoreResult, Verdict
from .verdicts import SIGNIFICANCE, PairedTest, compare_scores

# The score that decides for each functional. Brier and calibration error reward probabilities as well, and the median
# absolute error rewards the median only where the noise is symmetric: they are shown but do not decide.
DECIDING_SCORES = (
    "rmse",
    "mae",
    "pinball_0.1",
    "pinball_0.9",
    "log_score",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
)

# A forecast of one of these is a forecast of the other too: probabilities rank the rows, and decide their classes.
SERVES = {"ranking": ("probability",), "class": ("class", "probability")}


def recommend(
    infos: Sequence[ScoreInfo],
    candidates: Sequence[Candidate],
    scores: Mapping[str, Mapping[str, ScoreResult]],
    verdicts: Sequence[Verdict],
    test_share: float,
    moved_threshold: ScoreResult | None,
) -> tuple[Recommendation, ...]:
    """Return one recommendation for each functional that some candidate aims at.

    Parameters
    ----------
    infos
        The scores.
    candidates
        The losses, the default one first.
    scores
        Loss key to score key to result.
    verdicts
        Of all losses under all scores.
    test_share
        Rows scored per row trained on.
    moved_threshold
        Balanced accuracy of the default loss with its threshold at the base rate, for two classes.
    """
    recommendations = []
    for info in infos:
        eligible = [candidate for candidate in candidates if _may_serve(candidate, info.functional)]
        aimed_at = any(_aims_at(candidate, info.functional) for candidate in candidates)
        if info.key not in DECIDING_SCORES or not aimed_at:
            continue
        column = {candidate.key: scores[candidate.key][info.key] for candidate in candidates}
        ours = {verdict.loss: verdict for verdict in verdicts if verdict.score == info.key}
        chosen = _choose(info, candidates[0], eligible, column, ours, test_share)
        if info.functional == "class" and moved_threshold is not None:
            moved = _moved_threshold_instead(info, candidates[0], chosen, column, moved_threshold, test_share)
            if moved is not None:
                recommendations.append(moved)
                continue
        sentence = (
            _keep_sentence(info, chosen, eligible, column, ours)
            if chosen.is_default
            else _change_sentence(info, candidates[0], chosen, column, ours[chosen.key])
        )
        recommendations.append(
            Recommendation(info.functional, info.key, chosen.key, chosen.key, not chosen.is_default, sentence)
        )
    return tuple(recommendations)


def _aims_at(candidate: Candidate, functional: str) -> bool:
    return candidate.functional == functional or candidate.functional in SERVES.get(functional, ())


def _may_serve(candidate: Candidate, functional: str) -> bool:
    """Whether a loss may be recommended for a functional.

    A quantile or an expectile serves itself alone, and a quantile other than the median is served by nothing else:
    a loss that aims at the centre and comes close to a tail does so by accident. The default stands for comparison.
    """
    if candidate.is_default or _aims_at(candidate, functional):
        return True
    one_sided = ("quantile", "expectile")
    return not candidate.functional.startswith(one_sided) and not functional.startswith(one_sided)


def _choose(
    info: ScoreInfo,
    default: Candidate,
    eligible: Sequence[Candidate],
    column: Mapping[str, ScoreResult],
    verdicts: Mapping[str, Verdict],
    test_share: float,
) -> Candidate:
    """Return the best of the clearly better losses, or the default where there is none.

    Among those that are not clearly worse than the best, one that aims at the functional goes first: it will still be
    right when the noise is not symmetric.
    """
    better = [item for item in eligible if item.key in verdicts and verdicts[item.key].verdict == "better"]
    if not better:
        return default
    better.sort(key=lambda item: _badness(column[item.key], info))
    best = better[0]
    tied = [
        item for item in better if compare_scores(column[item.key], column[best.key], test_share).p_value > SIGNIFICANCE
    ]
    return next((item for item in tied if item.functional == info.functional), best)


def _badness(result: ScoreResult, info: ScoreInfo) -> float:
    assert result.mean is not None
    return result.mean if info.lower_is_better else -result.mean


def _change_sentence(
    info: ScoreInfo, default: Candidate, chosen: Candidate, column: Mapping[str, ScoreResult], verdict: Verdict
) -> str:
    caveat = ""
    if not _aims_at(chosen, info.functional):
        caveat = (
            f" (it aims at {_article(chosen.functional)}, which is the {info.functional} only where the noise is "
            "symmetric)"
        )
    return (
        f"For the {info.functional}, train with {chosen.key}{caveat}: its {info.label} on held-out rows is "
        f"{column[chosen.key].mean:.4g} against {column[default.key].mean:.4g} for {default.key}, "
        f"{_interval(verdict)}."
    )


def _keep_sentence(
    info: ScoreInfo,
    default: Candidate,
    eligible: Sequence[Candidate],
    column: Mapping[str, ScoreResult],
    verdicts: Mapping[str, Verdict],
) -> str:
    reach = "lower" if info.lower_is_better else "higher"
    sentence = (
        f"For the {info.functional}, keep {default.key} ({info.label} {column[default.key].mean:.4g}): "
        f"no loss has a clearly {reach} {info.label} on held-out rows"
    )
    rivals = [item for item in eligible if item.key in verdicts]
    shown = min(rivals, key=lambda item: _badness(column[item.key], info), default=None)
    if shown is None:
        return sentence + "."
    verdict = verdicts[shown.key]
    ahead = _badness(column[shown.key], info) < _badness(column[default.key], info)
    state = "clearly worse" if verdict.verdict == "worse" else "not clearly different"
    words = f"is {reach}, but not clearly" if ahead else f"comes closest and is {state}"
    return f"{sentence}; {shown.key} with {column[shown.key].mean:.4g} {words}, {_interval(verdict)}."


def _interval(verdict: Verdict) -> str:
    return (
        f"a difference of {verdict.difference:+.3g} "
        f"(interval {verdict.low:+.3g} to {verdict.high:+.3g}, adjusted p {_p(verdict.p_adjusted)})"
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"


def _article(functional: str) -> str:
    return f"an {functional}" if functional[0] in "MAaeio" else f"the {functional}"


def _moved_threshold_instead(
    info: ScoreInfo,
    default: Candidate,
    chosen: Candidate,
    column: Mapping[str, ScoreResult],
    moved: ScoreResult,
    test_share: float,
) -> Recommendation | None:
    """Return the advice to move the threshold of the default loss, where that does as well as another loss.

    Balanced accuracy counts an error on the rarer class for more. A loss with class weights builds that into the
    training; a loss that gives probabilities needs only another threshold, and keeps its probabilities.
    """
    gain: PairedTest = compare_scores(moved, column[default.key], test_share)
    if gain.mean <= 0 or gain.p_value > SIGNIFICANCE:
        return None
    sentence = (
        f"For the class, keep {default.key} and decide class 1 above the base rate instead of above 1/2: "
        f"its {info.label} on held-out rows is then {moved.mean:.4g} instead of {column[default.key].mean:.4g}"
    )
    if not chosen.is_default:
        rival = compare_scores(column[chosen.key], moved, test_share)
        if rival.mean > 0 and rival.p_value <= SIGNIFICANCE:
            return None
        sentence += f", and {chosen.key} with {column[chosen.key].mean:.4g} is not clearly better than that"
    advice = f"{default.key} with the threshold at the base rate"
    return Recommendation(info.functional, info.key, default.key, advice, True, sentence + ".")
