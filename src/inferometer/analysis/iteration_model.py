# SPDX-License-Identifier: Apache-2.0
"""What one iteration of an engine takes, fitted to what its streams waited for, and held against loads left out.

    t = a + b * prompt tokens computed + c * sequences decoding + d * context tokens of these
          + e * pairs of a prompt token and one before it + f * log2 of the sequences decoding + g * requests that came

`a`: what every iteration costs: weights are read once, kernels started, the batch put together. `b`: of a token of a
prompt. `c`: of a sequence: sampling, text, an event. `d`: of a token of context: its keys and values are read again.
`e`: attention within a prompt, which long ones have more of. `f`: of a doubling of the batch, where a larger one costs
less than in proportion, as on processors. `g`: of a request that comes: reading it, counting its tokens, giving it a
place, where that is done by the core that computes. These three are there only if the records show that they are.
Rule 1: sequences are those that really decoded then, as the records have it, not those that were in flight.
Rule 2: the error that is told is of loads that the fit had not seen, in no run, and of a load's mean: single requests
of one load differ by what no law knows.
Source: methods as in docs/concepts/iteration-model.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from inferometer.analysis.number import Number, number_of
from inferometer.metrics.company import Spans, prompts_alone, spans
from inferometer.metrics.rows import Mask, is_counted, is_ok
from inferometer.records import Trace
from inferometer.stats import LEVEL, Estimate, FloatArray, Missing, effective_n, quantile_estimate, ratio_estimate
from inferometer.stats.nonnegative import NonnegativeFit, fit_nonnegative

MIN_SPANS = 50  # fewer tell four coefficients from nothing
N_BLOCKS = 16  # slices of time of each run
MIN_PREFILLED = 1.0  # prompt tokens in a span, from which on somebody was computing one
MIN_TOGETHER = 1.5  # sequences on average, from which on several decoded together
TERMS = ("floor", "prefill", "sequence", "context", "attention", "doubling", "arrival")
OPTIONAL = (4, 5, 6)  # of these: kept if their interval does not reach 0, and they are worth telling
LEAST_SHARE = 0.01  # of all time, that one of these is worth telling from


@dataclass(frozen=True, slots=True)
class Load:
    """A run under one load, as what went on between the tokens of its answers. `spans`: of counted successes;
    `prompts`: computed alone, likewise; `load`: the same for runs that had the same load."""

    name: str
    spans: Spans
    load: str
    prompts: Spans

    @classmethod
    def of(cls, name: str, trace: Trace, *, load: str = "") -> Load:
        counted: Mask = is_counted(trace.requests) & is_ok(trace.requests)
        found, prompts = (
            each.of(counted[each.rows] & (each.t_end_ns > each.t_start_ns))
            for each in (spans(trace), prompts_alone(trace))
        )
        return cls(name, found, load or name, prompts)

    def until(self, t_ns: int) -> Load:
        """What of it had ended by then."""
        found, prompts = (each.of(each.t_end_ns <= t_ns) for each in (self.spans, self.prompts))
        return Load(self.name, found, self.load, prompts)

    def blocks(self, one: Spans) -> npt.NDArray[np.int64]:
        """In which slice of the run's time each of these ended."""
        ends_ns = np.concatenate([self.spans.t_end_ns, self.prompts.t_end_ns])
        if not len(ends_ns):
            return one.t_end_ns
        start, length = int(ends_ns.min()), int(np.ptp(ends_ns)) + 1
        return np.asarray((one.t_end_ns - start) * N_BLOCKS // length)


def design_of(one: Spans) -> FloatArray:
    """What each span is made of, in the order of TERMS. Shapes: float64[n, len(TERMS)]."""
    n = one.n_tokens
    each = (n, one.n_prefilled, n * one.n_decoding, n * one.n_context)
    return np.column_stack([*each, one.n_attended, n * one.n_doublings, one.n_arrived])


def part_of(design: FloatArray, *terms: str) -> FloatArray:
    """The same with nothing but these terms."""
    return np.asarray(design * np.array([name in terms for name in TERMS], np.float64))


NOT_IN_IT = number_of(Missing("the records do not show it", 0, "s"))


class LoadError(msgspec.Struct, frozen=True):
    """How far the law of all other loads is from a load. `error`: predicted mean time per output token over the
    measured one, less 1; `of_requests`: median of the same, without its sign, request by request."""

    load: str
    error: Number
    of_requests: Number = number_of(Missing("was not reckoned", 0, "ratio"))


class IterationModel(msgspec.Struct, frozen=True):
    """`a` (s), `b` (s/token), `c` (s/sequence), `d` (s/token), `e` (s/pair), `f` (s/doubling), `g` (s/request).
    `spread`: of the fit's relative residuals, robust. `held_out`: median error over loads, each predicted by the
    others; `by_load`: load by load."""

    a: Number
    b: Number
    c: Number
    d: Number
    spread: float
    n_spans: int
    held_out: Number
    by_load: list[LoadError]
    e: Number = NOT_IN_IT
    f: Number = NOT_IN_IT
    g: Number = NOT_IN_IT


@dataclass(frozen=True, slots=True)
class Fitted:
    """The law to reckon with; `told` is what stands in a file."""

    fit: NonnegativeFit
    told: IterationModel

    @property
    def law(self) -> FloatArray:
        return self.fit.coefficients

    def seconds(self, one: Spans) -> FloatArray:
        """What each span should have taken."""
        return np.asarray(design_of(one) @ self.law)


def fit_model(loads: Sequence[Load], *, seed: int = 0) -> Fitted | Missing:
    """Fit over all loads; every load is also predicted by a fit over the others."""
    loads = [load for load in loads if len(load.spans.rows)]
    n_spans = sum(len(load.spans.rows) for load in loads)
    if n_spans < MIN_SPANS:
        return Missing(f"needs {MIN_SPANS} stretches of streamed answers, has {n_spans}", n_spans, "s")
    fit = _fit(loads, np.random.default_rng(seed), n_draws=400)
    by_load = [_error(loads, name) for name in dict.fromkeys(load.load for load in loads)]
    held_out = _median([abs(one.error.value) for one in by_load if one.error.value is not None], of="loads")
    a, b, c, d, e, f, g = (_coefficient(fit, i, loads) for i in range(len(TERMS)))
    return Fitted(fit, IterationModel(a, b, c, d, fit.spread, n_spans, number_of(held_out), by_load, e, f, g))


def _fit(loads: Sequence[Load], rng: np.random.Generator, n_draws: int = 200) -> NonnegativeFit:
    parts = [(i, load, one) for i, load in enumerate(loads) for one in (load.spans, load.prompts)]
    design = np.concatenate([design_of(one) for _, _, one in parts])
    seconds = np.concatenate([one.seconds for _, _, one in parts])
    # All that decode together see the same iterations: each of these counts once.
    weights = 1 / np.concatenate([one.n_decoding for _, _, one in parts])
    blocks = np.concatenate([i * N_BLOCKS + load.blocks(one) for i, load, one in parts])
    _, blocks = np.unique(blocks, return_inverse=True)
    while True:
        fit = fit_nonnegative(design, seconds, weights, blocks, rng=rng, n_draws=n_draws)
        shares = fit.coefficients * design.sum(axis=0) / seconds.sum()
        left = [i for i in OPTIONAL if design[:, i].any()]
        worth = {i: shares[i] if fit.interval(np.eye(len(TERMS))[i], LEVEL)[0] > 0 else 0.0 for i in left}
        if not worth or min(worth.values()) >= LEAST_SHARE:
            return fit
        design[:, min(left, key=lambda i: (worth[i], shares[i]))] = 0.0


def _error(loads: Sequence[Load], name: str) -> LoadError:
    """Of all runs under one load, as the others predict it."""
    held, others = ([load for load in loads if (load.load == name) == is_held] for is_held in (True, False))
    nothing = number_of(Missing("the other loads do not tell", 0, "ratio"))
    if sum(len(load.spans.rows) for load in others) < MIN_SPANS or not all(_cover(others, one) for one in held):
        return LoadError(name, nothing, nothing)
    law = _fit(others, np.random.default_rng(0)).coefficients
    predicted, measured = (np.concatenate(each) for each in zip(*(_per_token(one, law) for one in held), strict=True))
    ratio = ratio_estimate(predicted, measured, unit="ratio", n=len(measured), of="requests", batches="requests")
    if isinstance(ratio, Estimate):
        ratio = replace(ratio, value=ratio.value - 1, lo=ratio.lo - 1, hi=ratio.hi - 1)
    return LoadError(name, number_of(ratio), number_of(_median(np.abs(predicted / measured - 1), of="requests")))


def _per_token(load: Load, law: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Time per output token of each request, in the order in which they ended: predicted, measured."""
    one = load.spans
    rows, at = np.unique(one.rows, return_inverse=True)
    n_tokens = np.bincount(at, one.n_tokens)
    ended = np.zeros(len(rows), np.int64)
    np.maximum.at(ended, at, one.t_end_ns)
    order = np.argsort(ended, kind="stable")
    predicted, measured = (np.bincount(at, seconds) / n_tokens for seconds in (design_of(one) @ law, one.seconds))
    return predicted[order], measured[order]


def _cover(others: Sequence[Load], held: Load) -> bool:
    """Whether the others know what this load has: sequences together, and prompts of others."""
    return (not _is_shared(held) or any(map(_is_shared, others))) and (not _is_met(held) or any(map(_is_met, others)))


def _is_shared(load: Load) -> bool:
    return bool(load.spans.n_decoding.max(initial=0.0) >= MIN_TOGETHER)


def _is_met(load: Load) -> bool:
    return bool(load.spans.n_prefilled.max(initial=0.0) >= MIN_PREFILLED)


def _median(errors: FloatArray | Sequence[float], *, of: str) -> Estimate | Missing:
    ordered = np.sort(np.asarray(errors, np.float64))
    if not len(ordered):
        return Missing(f"needs {of} that others predict, has none", 0, "ratio")
    worth = effective_n((np.asarray(errors) <= np.median(ordered)).astype(np.float64))
    return quantile_estimate(ordered, 0.5, unit="ratio", n_eff=worth, of=of)


_UNITS = ("s", "s/token", "s/sequence", "s/token", "s/pair", "s/doubling", "s/request")


def _coefficient(fit: NonnegativeFit, i: int, loads: Sequence[Load]) -> Number:
    """With its interval, or why these loads do not tell it."""
    n = sum(len(load.spans.rows) for load in loads)
    if i == 1 and not any(_is_met(load) or len(load.prompts.rows) for load in loads):
        return number_of(Missing("no prompt of others was computed while a stream waited", n, _UNITS[i]))
    if i == 2 and not any(map(_is_shared, loads)):
        return number_of(Missing("never did two sequences decode together", n, _UNITS[i]))
    lo, hi = fit.interval(np.eye(len(TERMS))[i], LEVEL)
    value = float(fit.coefficients[i])
    if i in OPTIONAL and value == 0:
        return NOT_IN_IT
    method = "robust least squares of at least 0; percentile interval over slices of time"
    return number_of(Estimate(value, min(lo, value), max(hi, value), LEVEL, n, _UNITS[i], method))
