# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain memory` for a running engine: predicted beside told beside measured, and what is wrong.

Rule: nothing is computed here; what a line needs is in the `MemoryExamination`.
"""

from __future__ import annotations

from inferometer.analysis.memory import MemoryExamination, used_share
from inferometer.analysis.number import Number
from inferometer.report.figures import PERCENT, Scale, figure_text
from inferometer.report.findings import INDENT, lines_of, not_measured
from inferometer.report.layout import columns, cut_middle, filled, printable, software_of
from inferometer.stats import Estimate, Missing
from inferometer.units import format_bytes, format_span

_TOKENS, _TIMES = Scale(1.0, " tokens"), Scale(1.0, " times")


def render(found: MemoryExamination, *, folder: str, width: int = 100) -> str:
    """The whole report as text, the answer first."""
    blocks = [
        _head(found, width),
        [*_sizes(found), *_known(found, width)],
        [*_use(found, width), *_gain(found, width), *_growth(found, width)],
        [line for finding in found.row.findings for line in lines_of(finding, width=width)],
        not_measured(found.row.not_measured, width=width),
        [f"{'folder'.ljust(INDENT)}{printable(folder)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(found: MemoryExamination, width: int) -> list[str]:
    engine, error = found.engine, found.cache.error
    told = []
    if error.value is not None:
        told.append(
            f"the cache is {'as predicted' if found.is_as_predicted else 'NOT as predicted'}, {_percent(error)}"
        )
    told += [finding.cause.split(":")[0] for finding in found.row.findings[:1] if finding.level != "fair"]
    if not told:
        told = [f"{figure_text(found.row.figure.figure, PERCENT)} {found.row.headline}"]
    if found.stopped:
        told.append(f"ended early: {found.stopped}")
    software = software_of(engine)
    spent = f"{format_span(found.seconds)}, {found.row.n_requests:,} requests"
    return [
        *filled("memory", told, width=width, indent=INDENT),
        *filled("engine", [software, cut_middle(found.model, 48), spent], width=width, indent=INDENT),
    ]


def _percent(error: Number) -> str:
    return f"{100 * (error.value or 0.0):+.2f} %"


def _sizes(found: MemoryExamination) -> list[str]:
    """Predicted beside what the engine says."""
    cache, weights = found.cache, found.weights
    room = "cache" if cache.n_tokens is None else f"cache for {_room(found)}"
    rows = [
        (room, _bytes(cache.predicted_bytes), _bytes(cache.told_bytes)),
        ("weights", _bytes(weights.predicted), _bytes(weights.told)),
        ("other buffers", "-", _bytes(weights.other)),
    ]
    known = [row for row in rows if row[1:] != ("-", "-")]
    return columns([("", "predicted", "the engine says"), *known], "<>>", indent=2) if known else []


def _room(found: MemoryExamination) -> str:
    cache = found.cache
    if cache.slots is not None:
        return f"{cache.slots} slots x {(cache.n_tokens or 0) // cache.slots:,} tokens"
    blocks = f", in blocks of {cache.block_tokens}" if cache.block_tokens else ""
    return f"{cache.n_tokens:,} tokens{blocks}"


def _bytes(n_bytes: float | None) -> str:
    return "-" if n_bytes is None else format_bytes(n_bytes)


def _known(found: MemoryExamination, width: int) -> list[str]:
    cache, taken, lines = found.cache, found.taken, []
    if cache.bytes_per_token is not None:
        told = [
            f"{cache.bytes_per_token:,} B per token in {cache.format} ({cache.format_known_from})",
            f"model read from {found.described}",
            *([f"sizes from {cache.source}"] if cache.source else []),
        ]
        lines += filled("known", told, width=width, indent=INDENT)
    if found.weights.copied:
        told = [f"{format_bytes(found.weights.copied)} of the weights are a copy in an order that suits this CPU"]
        lines += filled("", told, width=width, indent=INDENT)
    if taken.before_bytes is not None:
        told = [f"{format_bytes(taken.before_bytes)} held before the load"]
        told += [f"{format_bytes(taken.after_bytes)} after it"] if taken.after_bytes is not None else []
        told += [f"at most {format_bytes(taken.gpu_bytes)} of GPU memory"] if taken.gpu_bytes is not None else []
        lines += filled("measured", [*told, "shared pages by their share (Pss), once each"], width=width, indent=INDENT)
    return lines


def _use(found: MemoryExamination, width: int) -> list[str]:
    """Room reserved against tokens really held."""
    load, share = found.load, used_share(found.load, found.cache)
    if load.held_mean.value is None:
        return []
    told = [f"{figure_text(load.held_mean.figure, _TOKENS)} on average with {load.concurrency} in flight"]
    told.append(f"{load.held_most.value or 0.0:,.0f} at the most")
    if isinstance(share, Estimate):
        told.append(f"{figure_text(share, PERCENT)} of the room")
    if load.kv_used.value is not None:
        told.append(f"by its own gauge {100 * load.kv_used.value:.1f} % at the most")
    lines = filled("held", told, width=width, indent=INDENT)
    if found.in_room is not None:
        size = load.tokens_per_request.value or 0.0
        told = [f"room for {found.in_room:,} requests of {size:,.0f} tokens, if it is given out in blocks as they grow"]
        if found.cache.slots is not None:
            told.append(f"as slots it holds {found.cache.slots}, however short they are")
        elif found.if_static is not None:
            told.append(f"in slots of full length it would hold {found.if_static:,}")
        lines += filled("paging", told, width=width, indent=INDENT)
    put_back = load.preemptions.value
    if put_back is not None:
        told = [f"{put_back:,.0f} in {load.per_request.n:,} requests"]
        if load.waiting.value is not None:
            told.append(f"{load.waiting.value:,.0f} waiting at the most")
        lines += filled("put back", told, width=width, indent=INDENT)
    return lines


def _gain(found: MemoryExamination, width: int) -> list[str]:
    gain = found.gain.figure
    if isinstance(gain, Missing):
        return []
    last = found.rounds[-1]
    one, many = (f"{number.value or 0.0:,.0f}" for number in (last.one, last.many))
    told = [
        f"{figure_text(gain, _TIMES)} the tokens per second with {found.load.concurrency} in flight of those with one",
        f"{gain.n} rounds, the last {one} and {many}",
    ]
    return filled("batching", told, width=width, indent=INDENT)


def _growth(found: MemoryExamination, width: int) -> list[str]:
    growth, taken = found.taken.growth.figure, found.taken
    if isinstance(growth, Missing):
        return []
    lo, hi = (f"{bound / 1e3:,.1f}" for bound in (growth.lo, growth.hi))
    told = [f"{growth.value / 1e3:,.1f} kB [{lo}, {hi}] of private memory per request, over {growth.n:,} requests"]
    if taken.growth_bytes is not None:
        told.append(f"{taken.growth_bytes / 1e6:+,.1f} MB in all")
    return filled("growth", told, width=width, indent=INDENT)
