"""How well a ranking or a probability does, and how much two populations differ."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.stats import rankdata

F64 = npt.NDArray[np.float64]

#: Lengths of the lists that the measures look at.
PRECISION_AT, RECALL_AT = 10, 20
#: A population stability index from which a population has changed (Siddiqi, "Credit risk scorecards", 2006: below 0.1
#: stable, above 0.25 shifted).
DRIFT_LIMIT = 0.25


@dataclass(frozen=True)
class Ranking:
    """Measures of each user's list: hits among the first 10 as a share of 10, found share of what was heard in the
    first 20, and normalized discounted cumulative gain in the first 20 (Järvelin and Kekäläinen, 2002)."""

    precision: F64
    recall: F64
    ndcg: F64

    def means(self) -> dict[str, float]:
        """Means over users."""
        return {
            f"precision@{PRECISION_AT}": float(self.precision.mean()),
            f"recall@{RECALL_AT}": float(self.recall.mean()),
            f"ndcg@{RECALL_AT}": float(self.ndcg.mean()),
        }


def ranked(lists: npt.NDArray[np.integer], heard: sparse.csr_matrix) -> Ranking:
    """Measure lists (a row for each user, at least 20 songs; -1: none) against what each user heard afterwards."""
    rows = np.repeat(np.arange(len(lists)), RECALL_AT)
    songs = lists[:, :RECALL_AT].ravel()
    found = np.asarray(heard[rows, np.maximum(songs, 0)]).ravel() > 0
    hits = (found & (songs >= 0)).reshape(len(lists), RECALL_AT)
    wanted = np.asarray(heard.getnnz(axis=1))
    discount = 1.0 / np.log2(np.arange(2, RECALL_AT + 2))
    ideal = np.cumsum(discount)[np.minimum(wanted, RECALL_AT) - 1]
    return Ranking(
        precision=hits[:, :PRECISION_AT].mean(axis=1),
        recall=hits.sum(axis=1) / wanted,
        ndcg=(hits * discount).sum(axis=1) / ideal,
    )


def log_likelihood(probabilities: F64, labels: npt.NDArray[np.bool_]) -> F64:
    """Log likelihood of each label; less its mean is the log loss. Probabilities are strictly between 0 and 1."""
    out: F64 = np.log(np.where(labels, probabilities, 1.0 - probabilities))
    return out


def auc(scores: F64, labels: npt.NDArray[np.bool_]) -> float:
    """The chance that somebody whose label is true has a greater score than somebody whose label is not; equal scores
    count half (Mann and Whitney, 1947). NaN if all labels are equal."""
    order = rankdata(scores)
    positive = int(labels.sum())
    pairs = positive * (len(labels) - positive)
    return float((order[labels].sum() - positive * (positive + 1) / 2) / pairs) if pairs else float("nan")


def lift(probabilities: F64, labels: npt.NDArray[np.bool_]) -> float:
    """How many times the share of all that is true is true in the tenth with the greatest probabilities."""
    first = np.argsort(-probabilities, kind="stable")[: max(1, len(labels) // 10)]
    return float(labels[first].mean() / labels.mean())


@dataclass(frozen=True)
class Decile:
    """A tenth of the individuals by what was said of them: how many, what was said on average, and what was seen."""

    individuals: int
    said: float
    seen: float


def calibration(probabilities: F64, labels: npt.NDArray[np.bool_]) -> list[Decile]:
    """The deciles, least probability first. Equal probabilities may be in two of them."""
    tenths = np.array_split(np.argsort(probabilities, kind="stable"), 10)
    return [Decile(len(t), float(probabilities[t].mean()), float(labels[t].mean())) for t in tenths if len(t)]


@dataclass(frozen=True)
class Verdict:
    """Whether a model may be published, and why, in words."""

    publish: bool
    sentence: str


def beats(model: F64, baselines: Mapping[str, F64], measure: str, errors: float = 2.0) -> Verdict:
    """A model may be published if, over the same individuals, its mean measure is better than that of each baseline by
    more than `errors` standard errors of the paired difference. Greater is better."""
    for name, baseline in baselines.items():
        gain = model - baseline
        error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else float("inf")
        if not gain.mean() > errors * error:
            return Verdict(
                False,
                f"{measure} is {model.mean():.4f} and that of {name} is {baseline.mean():.4f}: a difference of "
                f"{gain.mean():+.4f} with a standard error of {error:.4f}, which is not better",
            )
    others = ", ".join(f"{name} {baseline.mean():.4f}" for name, baseline in baselines.items())
    return Verdict(True, f"{measure} is {model.mean():.4f} ({others})")


def stability(expected: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Population stability index of two histograms over the same bins: Σ (a − e) · ln(a / e) of their shares.

    Half a count is added to each bin, so that an empty one does not make it infinite.
    """
    e, a = (np.asarray(counts, dtype=np.float64) + 0.5 for counts in (expected, actual))
    e, a = e / e.sum(), a / a.sum()
    return float(((a - e) * np.log(a / e)).sum())
