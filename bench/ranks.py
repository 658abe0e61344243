"""Methods put in order over tasks: mean rank, Borda count, wins, Bradley-Terry strength, interquartile mean.

A matrix has a row for each method and a column for each task; higher is better, whatever the metric was. On such a
complete matrix the first four always give the same order, since a method's mean rank is the number of methods less its
mean number of wins, and Bradley-Terry strengths rise with the wins; they differ in what their distances mean. Demšar,
Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006, says why ranks and not means; Agarwal et
al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021, arXiv:2108.13264, why the
interquartile mean.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

ELO = 400 / np.log(10)  # a lead of 400 is odds of ten to one
MIDDLE = 1500.0  # the mean of all methods on the Elo scale
PRIOR = 1.0  # ties that each method is given in all, spread over the others: strengths are then always finite
_DECIMALS = 12  # as a share of the largest of a column, to which scores are told apart
_BEGIN, _STEPS = 10, 200  # steps of MM, and of both
_CLOSE, _FAR = 1e-7, 300.0  # a step of a log-strength at which they end; a log-strength that means there is none
_CHUNK = 1 << 18  # comparisons of resamples at a time


def ranks(scores: Float[np.ndarray, "*more methods columns"]) -> Float[np.ndarray, "*more methods columns"]:
    """Ranks within each column, 1 for the best; equal scores share the mean of their places (Demšar 2006, 3.1.3).

    Scores that only rounding parts are equal. Raises ValueError for scores that are not finite.
    """
    from scipy.stats import rankdata

    found: np.ndarray = rankdata(-_levelled(scores), axis=-2, method="average")
    return found


def beaten(scores: Float[np.ndarray, "methods columns"]) -> Float[np.ndarray, "columns methods methods"]:
    """In each column whether the first method beats the second: 1, a tie one half, else 0; of a method itself 0."""
    each = _levelled(scores).T
    wins = (each[:, :, None] > each[:, None, :]) + 0.5 * (each[:, :, None] == each[:, None, :])
    found: np.ndarray = wins * (1.0 - np.eye(len(scores)))
    return found


def borda(scores: Float[np.ndarray, "methods columns"]) -> Float[np.ndarray, " methods"]:
    """Borda count: for each column as many points as methods are beaten, a tie one half."""
    counted: np.ndarray = beaten(scores).sum(axis=(0, 2))
    return counted


def win_rate(scores: Float[np.ndarray, "methods columns"]) -> Float[np.ndarray, " methods"]:
    """Share of columns in which a method beats another, ties one half, averaged over the others; nan for one method."""
    methods, columns = scores.shape
    return borda(scores) / (columns * (methods - 1)) if methods > 1 and columns else np.full(methods, np.nan)


def bradley_terry(wins: Float[np.ndarray, "*more methods methods"]) -> Float[np.ndarray, "*more methods"]:
    """Log-strengths, of mean 0, under which i beats j with odds exp(log-strength i - log-strength j), most likely.

    `wins` counts how often i beat j, a tie as half a win of each. By the MM algorithm (Hunter, MM Algorithms for
    Generalized Bradley-Terry Models, Annals of Statistics 32, 2004, equation 3), which is sure to rise but slow where
    methods hardly ever lose, so that Newton's finishes. Leading dimensions are problems of their own. Raises ValueError
    where the most likely strengths are not finite, as of a method that never lost.
    """
    methods = wins.shape[-1]
    if methods < 2:
        return np.zeros(wins.shape[:-1])
    games, won = wins + np.swapaxes(wins, -1, -2), wins.sum(axis=-1)
    if (won <= 0).any() or (wins.sum(axis=-2) <= 0).any():
        raise ValueError("a method that won or lost every comparison has no finite strength")
    games, won = games.reshape(-1, methods, methods), won.reshape(-1, methods)
    found, left = np.zeros(won.shape), np.arange(len(won))
    for step in range(_STEPS):
        advance = _minorised if step < _BEGIN else _newton
        try:
            after = advance(games[left], won[left], found[left])
        except np.linalg.LinAlgError:
            break
        after -= after.mean(axis=-1, keepdims=True)
        moving = np.abs(after - found[left]).max(axis=-1) >= _CLOSE
        found[left] = after
        left = left[moving]
        if not len(left):
            return np.asarray(found.reshape(wins.shape[:-1]))
        if np.abs(found).max() > _FAR:
            break
    raise ValueError("the strengths do not settle: some methods never lost to the others")


def _minorised(games: np.ndarray, won: np.ndarray, found: np.ndarray) -> np.ndarray:
    """A step of the MM algorithm: Hunter 2004, equation 3."""
    strength = np.exp(found)
    expected = (games / (strength[:, :, None] + strength[:, None, :])).sum(axis=-1)
    return np.asarray(np.log(won / expected))


def _newton(games: np.ndarray, won: np.ndarray, found: np.ndarray) -> np.ndarray:
    """A step of Newton's on the log-likelihood, which is concave in log-strengths; none moves by more than 2."""
    odds = 1 / (1 + np.exp(found[:, None, :] - found[:, :, None]))  # of the row's method
    curvature = games * odds * (1 - odds)
    methods = found.shape[1]
    laplacian = -curvature + np.eye(methods) * curvature.sum(axis=-1)[:, :, None] + 1 / methods
    ahead = np.linalg.solve(laplacian, (won - (games * odds).sum(axis=-1))[..., None])[..., 0]
    return np.asarray(found + ahead * np.minimum(1.0, 2 / np.maximum(np.abs(ahead).max(axis=1, keepdims=True), 1e-300)))


def elo(
    of: Float[np.ndarray, "columns methods methods"], counts: Int[np.ndarray, "resamples columns"] | None = None
) -> Float[np.ndarray, "*more methods"]:
    """Bradley-Terry strengths on the Elo scale, of what `beaten` gave; with `counts` once for each of its rows.

    `PRIOR` ties a method, spread over the others, draw all towards the middle a little.
    """
    methods = of.shape[-1]
    prior = PRIOR / (2 * max(1, methods - 1)) * (1 - np.eye(methods))
    if counts is None:
        return np.asarray(MIDDLE + ELO * bradley_terry(of.sum(axis=0) + prior))
    rows = max(1, _CHUNK // methods**2)
    parts = [counts[start : start + rows].astype(np.float64) for start in range(0, len(counts), rows)]
    found = [bradley_terry(np.tensordot(part, of, axes=1) + prior) for part in parts]
    return np.asarray(MIDDLE + ELO * np.concatenate(found))


def drawn_columns(columns: int, resamples: int, seed: int) -> Int[np.ndarray, "resamples columns"]:
    """How often each column comes in each bootstrap sample of as many columns."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.multinomial(columns, np.full(columns, 1 / columns), size=resamples)


def widened(columns: int, level: float = 0.95) -> float:
    """The level at which the percentiles of resampled columns cover `level`, of a mean.

    Few columns spread too little in their resamples, as a normal distribution does with a divisor of n beside
    Student's t: Hesterberg, What Teachers Should Know About the Bootstrap, 2014, arXiv:1411.5279, the expanded
    percentile interval.
    """
    from scipy.special import ndtr, stdtrit

    if columns < 2:
        return float("nan")
    return float(1 - 2 * ndtr(np.sqrt(columns / (columns - 1)) * stdtrit(columns - 1, (1 - level) / 2)))


def normalised(per_seed: Sequence[Float[np.ndarray, "methods _"]]) -> list[Float[np.ndarray, "methods _"]]:
    """Scores of each column moved so that the worst method's mean over seeds is 0 and the best one's is 1.

    Single seeds may lie outside. Where all methods are equal, each is 0.5 there.
    """
    found = []
    for scores in per_seed:
        means = _levelled(scores.mean(axis=1, keepdims=True))
        low, high = scores.mean(axis=1).min(), scores.mean(axis=1).max()
        same = means.max() == means.min()
        found.append(np.full(scores.shape, 0.5) if same else (scores - low) / (high - low))
    return found


def iqm(scores: Float[np.ndarray, "*more runs"]) -> Float[np.ndarray, "*more"]:
    """Interquartile mean: the mean without the lowest and the highest quarter (Agarwal et al. 2021, section 4.3)."""
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(scores, 0.25, axis=-1))


def resampled_iqm(
    per_seed: Sequence[Float[np.ndarray, "methods _"]], *, resamples: int, seed: int = 0
) -> Float[np.ndarray, "resamples methods"]:
    """The interquartile mean over all columns and seeds, with the seeds of each column drawn anew (the same, appendix).

    Seeds spread by (n - 1) / n too little when n of them are drawn from n, so that their distances from the mean of
    the column are widened by the root of the inverse. A column of one seed stays as it is; where all have one, nothing
    is drawn, and all are nan. Columns count as independent of each other: where one pretraining is scored in all of
    them, what its seed does to all alike is not in it.
    """
    methods = len(per_seed[0])
    if all(scores.shape[1] < 2 for scores in per_seed):
        return np.full((resamples, methods), np.nan)
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = np.empty((resamples, methods, sum(scores.shape[1] for scores in per_seed)))
    start = 0
    for scores in per_seed:
        seeds = scores.shape[1]
        mean = scores.mean(axis=1, keepdims=True)
        wide = mean + (scores - mean) * np.sqrt(seeds / max(1, seeds - 1))
        picked = wide[:, generator.integers(seeds, size=(resamples, seeds))]
        drawn[:, :, start : start + seeds] = picked.transpose(1, 0, 2)
        start += seeds
    return iqm(drawn)


def kendall(first: Float[np.ndarray, " methods"], second: Float[np.ndarray, " methods"]) -> float:
    """Kendall's tau-b of two orderings: 1 the same, -1 reversed; nan where one of them ties all methods."""
    from scipy.stats import kendalltau

    a, b = _levelled(first), _levelled(second)
    if len(a) < 2 or len(set(a.tolist())) < 2 or len(set(b.tolist())) < 2:
        return float("nan")
    return float(kendalltau(a, b).statistic)


def _levelled(scores: np.ndarray) -> np.ndarray:
    """Scores as shares of the largest of their column, without the last digits, which adding in another order gives."""
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(scores))} scores are not finite (NaN or infinite)")
    along = -2 if scores.ndim > 1 else 0
    largest = np.abs(scores).max(axis=along, keepdims=True, initial=0.0)
    found: np.ndarray = np.round(scores / np.where(largest > 0, largest, 1.0), _DECIMALS)
    return found
