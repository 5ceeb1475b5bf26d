# SPDX-License-Identifier: Apache-2.0
"""How much an ordered series repeats itself: autocorrelation and the effective sample size.

Requests of one run share queues and batches; a thousand of them may say no more than a hundred independent ones would.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inferometer.stats.estimate import t_critical, z_critical

FloatArray = npt.NDArray[np.float64]
MAX_BATCH_LAG1 = 0.2  # batches that correlate more than this are too short (Law 2015, 9.5.3)
N_LONG, MAX_SINGLE_LAGS = 1 << 16, 64  # values of a series from which lags are computed one by one, and how many
MIN_BATCHES = 5  # below that a t interval over batches is wider than anything it could tell
MAX_BATCHES = 16  # of more, neighbours correlate by too little each to be seen, and by too much together
MAX_BATCH_TIME = 9.0  # of batches that are left: (1 + 0.8) / (1 - 0.8)
DOUBT = 8.0  # values worth n: an interval of as many degrees of freedom as n over this, for n is an estimate too


def autocorrelation(values: FloatArray) -> FloatArray:
    """Autocorrelation at lags 0..n-1 (biased estimator, divided by n), by FFT.

    Shapes: values float64[n], finite, in their natural order. A constant series has 1 at lag 0, else 0.
    """
    n = len(values)
    centred = values - values.mean()
    n_padded = 1 << (2 * n - 1).bit_length()  # zeros, so that the end does not meet the beginning
    spectrum = np.fft.rfft(centred, n_padded)
    covariance = np.fft.irfft(spectrum * spectrum.conj(), n_padded)[:n]
    scale = covariance[0]
    if scale <= _no_spread(values):
        covariance, scale = np.eye(1, n)[0], 1.0
    return np.asarray(covariance / scale)


def autocorrelation_time(values: FloatArray) -> float:
    """1 + 2 * sum of autocorrelations: how many values of the series are worth one independent one. Between 1 and n/2.

    The sum stops where two neighbouring lags together are no longer positive, and may not rise on the way.
    The mean taken out of the series carries part of every slow swing with it, which lowers each lag by about time/n;
    that is put back, in three rounds.
    Source: Geyer 1992, "Practical Markov chain Monte Carlo", initial monotone sequence.
    Hazard: the series must be many times longer than the answer; a short one hides its own dependence (below 8: 1).
    """
    n = len(values)
    if n < 8:
        return 1.0
    rho = _until_it_dies(values)
    m = len(rho)
    time = 1.0
    for _ in range(3):
        lost = time / n
        lifted = (rho + lost) / (1 + lost)
        pairs = (lifted[0 : m - m % 2 : 2] + lifted[1:m:2])[: n // 4]
        ends = np.flatnonzero(pairs <= 2 * lost)
        kept = np.minimum.accumulate(pairs[: ends[0]] if len(ends) else pairs)
        time = max(1.0, min(2.0 * float(kept.sum()) - 1.0, n / 2))
    return time if time > 1 + 2 / n**0.5 else 1.0  # closer to 1 than one standard error of twice a lag: nothing seen


def _until_it_dies(values: FloatArray) -> FloatArray:
    """Autocorrelation from lag 0 to the first two neighbouring lags that are together not positive, or further.

    No sum goes beyond. In long series this is most often a few lags, each one product: a tenth of the time of the FFT.
    """
    n = len(values)
    if n < N_LONG:
        return autocorrelation(values)
    centred = values - values.mean()
    scale = _product(centred, centred)
    if scale <= _no_spread(values):
        return np.array([1.0, 0.0, 0.0, 0.0])
    rho = np.empty(MAX_SINGLE_LAGS)
    for lag in range(0, MAX_SINGLE_LAGS, 2):
        rho[lag : lag + 2] = [_product(centred[: n - k], centred[k:]) / scale for k in (lag, lag + 1)]
        if rho[lag] + rho[lag + 1] <= 0:
            return rho[: lag + 2]
    return autocorrelation(values)


def _product(a: FloatArray, b: FloatArray) -> float:
    """The inner product, by one thread: several for one sum wait for each other longer than they work."""
    return float(np.einsum("i,i->", a, b))


def _no_spread(values: FloatArray) -> float:
    """Sum of squares about the mean up to which a series is constant but for rounding."""
    return 1e-12 * len(values) * max(float(np.abs(values).max()) ** 2, 1e-300)


def effective_n(values: FloatArray) -> float:
    """How many independent values an ordered series is worth: n / (1 + 2 * sum of autocorrelations), at most n."""
    return len(values) / autocorrelation_time(values)


def ranks(values: FloatArray) -> FloatArray:
    """Of each value among all; equal ones share the mean of theirs. Shapes: float64[n], inf allowed -> float64[n]."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[which])


def careful_n(worth: float, n: int) -> float:
    """What n values that seem to be `worth` so many independent ones may be counted at in an interval that takes its
    number of values as known: fewer, for it was estimated from the same values. n where no dependence was seen.

    Source: the ratio of z to t, as effective_n_of_share has it; degrees of freedom of a spectral estimate at frequency
    0 (Heidelberger & Welch 1981) are that much fewer than the number itself; the divisor by simulation (benchmarks).
    """
    if worth >= n:
        return float(n)
    return worth * (z_critical() / t_critical(max(worth / DOUBT, 1.0))) ** 2


def lag1(values: FloatArray) -> float:
    """Correlation of neighbours; 0 for fewer than 3 values and for a constant series."""
    return float(autocorrelation(values)[1]) if len(values) >= 3 else 0.0


def effective_n_of_share(hits: FloatArray, counts: FloatArray) -> float:
    """What a share is worth in independent values, from how it varies between batches of time.

    Shapes: hits, counts float64[n_batches]: values below the point in question, and all values, per batch.
    The variance of the pooled share between batches, widened for their small number, is set equal to p(1-p)/n_eff.
    Source: batch means (Law 2015, 9.5.3) of an indicator; ratio estimator for unequal batches (Cochran 1977, 6.3).
    """
    hits, counts = merged_until_independent(hits, counts)
    n_batches, total = len(counts), float(counts.sum())
    if n_batches < 2:
        return 1.0
    share = float(hits.sum()) / total
    variance = ratio_variance(hits, counts) * batch_time(hits, counts)
    if variance <= 0:
        return total
    widened = variance * (t_critical(n_batches - 1) / z_critical()) ** 2
    return min(total, max(1.0, share * (1 - share) / widened))


def ratio_variance(sums: FloatArray, counts: FloatArray) -> float:
    """Variance of sum(sums)/sum(counts) when batches are independent of each other. Shapes: float64[n_batches >= 2]."""
    n_batches, total = len(counts), float(counts.sum())
    residuals = _residuals(sums, counts)
    return n_batches / (n_batches - 1) * float(np.square(residuals).sum()) / total**2


def merged_until_independent(sums: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Consecutive batches of a ratio, joined two by two while there are many, or neighbours correlate, and enough are
    left. Hazard: neighbours that alternate would cancel out, and stay as they are."""
    while len(counts) >= 2 * MIN_BATCHES:
        correlation = lag1(_residuals(sums, counts))
        if correlation < -MAX_BATCH_LAG1 or (len(counts) <= MAX_BATCHES and correlation <= MAX_BATCH_LAG1):
            break
        sums, counts = _pairs(sums), _pairs(counts)
    return sums, counts


def batch_time(sums: FloatArray, counts: FloatArray) -> float:
    """By how much the variance of a ratio over batches is larger than if they were independent, from how neighbours
    correlate, as if in an AR(1) series. Between 1 and MAX_BATCH_TIME.

    Source: bias of a correlation of neighbours, -(1 + 3 rho) / n (Kendall 1954, Marriott & Pope 1954).
    """
    seen = lag1(_residuals(sums, counts))
    rho = seen + (1 + 3 * max(seen, 0.0)) / len(counts)
    return float(np.clip((1 + rho) / (1 - rho), 1.0, MAX_BATCH_TIME)) if rho < 1 else MAX_BATCH_TIME


def _residuals(sums: FloatArray, counts: FloatArray) -> FloatArray:
    return np.asarray(sums - sums.sum() / counts.sum() * counts)


def _pairs(values: FloatArray) -> FloatArray:
    """Sums of neighbours; an odd one at the end joins the last pair."""
    joined = values[: len(values) // 2 * 2].reshape(-1, 2).sum(axis=1)
    if len(values) % 2:
        joined[-1] += values[-1]
    return np.asarray(joined)
