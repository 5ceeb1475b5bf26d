# SPDX-License-Identifier: Apache-2.0
"""What is wrong, or worth knowing, with what an engine makes of its device: rules over shares and prices."""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.analysis.cost import Ceiling, Phase, Priced
from inferometer.analysis.finding import Bound, Finding, Remedy, Row, worst_first
from inferometer.analysis.number import Number, number_of
from inferometer.stats import Estimate, Missing

MEASURED, SHEET = "measured", "data sheet"
POOR = 0.25  # of both ceilings: three good engines were measured at 53 to 83 % of theirs
LEAST = {"bandwidth": 0.68, "peak rate": 0.59}  # of those three, on H100s: weights read in a step, prompts computed
ALONE, TOGETHER, PREFILL = "decode alone", "decode together", "prefill"


def findings_of(ceilings: Sequence[Ceiling], phases: Sequence[Phase], priced: Priced | None) -> list[Finding]:
    """Worst first."""
    found = [_above(phase, each) for phase in phases for each in ceilings]
    found += [_far_below(ceilings, phases), _dearer(priced)]
    return worst_first(finding for finding in found if finding is not None)


def row_of(
    ceilings: Sequence[Ceiling], phases: Sequence[Phase], findings: Sequence[Finding], not_measured: Sequence[str]
) -> Row:
    """Its figure is the share that decoding together reaches of the bandwidth, or of the peak rate if that is more."""
    shares = _shares(ceilings, phases)
    none = ("bandwidth", "of its ceiling", number_of(Missing(_NONE, 0, "ratio")))
    what, headline, figure = max(shares, key=lambda share: share[2].value or 0.0, default=none)
    return Row(
        challenge="cost",
        headline=headline,
        figure=figure,
        bound=Bound(LEAST[what], "ratio", f"of the {what}, the least that three engines on GPUs were measured at"),
        findings=list(findings),
        not_measured=list(not_measured),
    )


_NONE = "no ceiling is known"


def _shares(ceilings: Sequence[Ceiling], phases: Sequence[Phase]) -> list[tuple[str, str, Number]]:
    """Of decoding, as many together as could be told: of which ceiling, that in words, and how much of it."""
    kinds = [each.kind for each in ceilings]
    kind = MEASURED if MEASURED in kinds else (kinds[0] if kinds else "")
    for phase in reversed([each for each in phases if each.name != PREFILL]):
        by_what = (("bandwidth", phase.mbu.get(kind)), ("peak rate", phase.mfu.get(kind)))
        told = [
            (what, f"of the {kind} {what} is used by decoding {phase.batch:.3g} together", share)
            for what, share in by_what
            if share is not None and share.value is not None and phase.batch is not None
        ]
        if told:
            return told
    return []


def _above(phase: Phase, ceiling: Ceiling) -> Finding | None:
    """More than can be: the gate that every such figure has to pass."""
    for what, share in (("MFU", phase.mfu.get(ceiling.kind)), ("MBU", phase.mbu.get(ceiling.kind))):
        if share is None or share.lo is None or share.lo <= 1:
            continue
        return Finding(
            code="above_ceiling",
            challenge="cost",
            level="fair",
            claim=f"{what} of {phase.name} is {100 * (share.value or 0.0):.0f} % of the {ceiling.kind} ceiling, "
            "which cannot be",
            cause=f"that ceiling ({ceiling.where}, {ceiling.format}) is not this engine's: it computes in a number "
            "format that the device is faster in, reads from a cache that is nearer, lies on more devices, or serves "
            "another model",
            shown_by="time of a step against what it must compute and read",
            figure=share,
            bound=Bound(1.0, "ratio", "the most that can be"),
        )
    return None


def _far_below(ceilings: Sequence[Ceiling], phases: Sequence[Phase]) -> Finding | None:
    """Neither ceiling is near, alone: what limits a step is the engine's own work, and that is shared by a batch."""
    alone = next((phase for phase in phases if phase.name == ALONE), None)
    together = next((phase for phase in phases if phase.name == TOGETHER), None)
    kind = next((each.kind for each in ceilings if each.kind == MEASURED), None)
    if alone is None or kind is None:
        return None
    mbu, mfu = alone.mbu.get(kind), alone.mfu.get(kind)
    if mbu is None or mfu is None or mbu.hi is None or mfu.hi is None or max(mbu.hi, mfu.hi) >= POOR:
        return None
    gain = _gain(alone, together)
    return Finding(
        code="bound_by_overhead",
        challenge="cost",
        level="fair",
        claim=f"a stream alone uses {100 * (mbu.value or 0):.0f} % of the bandwidth and "
        f"{100 * (mfu.value or 0):.0f} % of the peak rate that these cores or this device have",
        cause="neither reading nor computing takes most of a step: the engine's own work for it does",
        shown_by="time of a step alone against ceilings measured on the same cores or device",
        figure=mbu,
        bound=Bound(POOR, "ratio", "of both ceilings"),
        remedy=_more_at_a_time(gain, together),
    )


def _more_at_a_time(gain: float | None, together: Phase | None) -> Remedy | None:
    """None where it was tried, and brought nothing."""
    if gain is not None and gain <= 1:
        return None
    if gain is None or together is None or together.batch is None:
        expected = ""
    else:
        expected = f"{gain:.3g} times the tokens per second were measured with {together.batch:.3g} together"
    change = "serve more requests at a time: a step's own work is done once for all of them"
    return Remedy(change, (), expected, "the same run")


def _gain(alone: Phase, together: Phase | None) -> float | None:
    if together is None or together.batch is None or not alone.time.value or not together.seen.value:
        return None
    return together.batch / together.seen.value * alone.time.value


def _dearer(priced: Priced | None) -> Finding | None:
    """The API would take less, even if this device were never idle."""
    against = None if priced is None or priced.against_api is None else priced.against_api.figure
    if not isinstance(against, Estimate) or against.lo <= 1:
        return None
    assert priced is not None
    assert priced.against_api is not None
    return Finding(
        code="dearer_than_api",
        challenge="cost",
        level="fair",
        claim=f"a request costs {against.value:.3g} times what the API takes, without a second idle",
        cause=f"{priced.load.value or 0.0:.3g} requests/s pay for ${priced.per_hour:g} an hour",
        shown_by=f"the load ({priced.load_is}) and the two prices",
        figure=priced.against_api,
        bound=Bound(1.0, "ratio", "the API's price"),
        remedy=Remedy("raise what it serves within the limits, or rent for less, or take the API"),
    )
