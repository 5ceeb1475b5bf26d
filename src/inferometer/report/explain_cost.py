# SPDX-License-Identifier: Apache-2.0
"""The screen of `explain cost` for a running engine: shares of ceilings, phase by phase, energy, and the price.

Rule: nothing is computed here; what a line needs is in the `CostExamination`.
"""

from __future__ import annotations

from inferometer.analysis.cost import CostExamination, Phase, Priced
from inferometer.analysis.number import Number
from inferometer.report.figures import PERCENT, UNKNOWN, Scale, figure_text, scale_of
from inferometer.report.findings import INDENT, lines_of, not_measured
from inferometer.report.layout import columns, cut_middle, filled, printable, software_of, wrapped
from inferometer.stats import Estimate, Missing
from inferometer.units import format_bytes, format_number, format_span

_DOLLARS = Scale(1.0, "")


def render(found: CostExamination, *, folder: str, width: int = 100) -> str:
    """The whole report as text, the answer first."""
    blocks = [
        _head(found, width),
        [*_model(found, width), *_ceilings(found, width)],
        _table(found),
        [*_useful(found, width), *_energy(found, width), *_price(found.priced, width)],
        [line for finding in found.row.findings for line in lines_of(finding, width=width)],
        not_measured(found.row.not_measured, width=width),
        _caveats(found, width),
        [f"{'folder'.ljust(INDENT)}{printable(folder)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _head(found: CostExamination, width: int) -> list[str]:
    engine, figure, priced = found.engine, found.row.figure.figure, found.priced
    told = []
    if isinstance(figure, Estimate):
        told.append(f"{figure_text(figure, PERCENT)} {found.row.headline}")
    if priced is not None and isinstance(priced.per_1000.figure, Estimate):
        told.append(f"${figure_text(priced.per_1000.figure, _DOLLARS)} per 1,000 requests")
    told += [f"ended early: {found.stopped}"] if found.stopped else []
    software = software_of(engine)
    spent = f"{format_span(found.seconds)}, {found.row.n_requests:,} requests"
    return [
        *filled("cost", told or ["no ceiling and no price to hold it against"], width=width, indent=INDENT),
        *filled("engine", [software, cut_middle(found.model, 48), spent], width=width, indent=INDENT),
    ]


def _model(found: CostExamination, width: int) -> list[str]:
    if not found.described:
        return []
    told = [f"read from {found.described}"]
    if found.weights_bytes is not None:
        over = f" over {found.n_devices} devices" if (found.n_devices or 1) > 1 else ""
        told.append(f"a step reads {format_bytes(found.weights_bytes)} of weights ({found.weights_format}){over}")
    return filled("model", told, width=width, indent=INDENT)


def _ceilings(found: CostExamination, width: int) -> list[str]:
    lines: list[str] = []
    for each in found.ceilings:
        told = [f"{_rate(each.flops, 1e9, 'GFLOP/s')} in {each.format}", f"{_rate(each.bandwidth, 1e9, 'GB/s')} read"]
        if each.bandwidth_near is not None:
            near = _rate(each.bandwidth_near, 1e9, "GB/s")
            told.append(f"{near} over {format_bytes(each.near_bytes)}, as much as a step reads")
        lines += filled(each.kind, [*told, each.where], width=width, indent=INDENT + 2)
    return lines


def _rate(number: Number, per: float, unit: str) -> str:
    return figure_text(number.figure, Scale(1 / per, f" {unit}")) if number.value is not None else f"no {unit}"


def _table(found: CostExamination) -> list[str]:
    """Phase by phase: time and work, then shares of each ceiling."""
    if not found.phases:
        return []
    rows = [["", *(phase.name for phase in found.phases)]]
    rows.append(["sequences together", *(_together(phase) for phase in found.phases)])
    rows.append(["time of a token or step", *(_time(phase.time) for phase in found.phases)])
    if any(phase.step is not None for phase in found.phases):
        rows.append(["with others' prompts", *(_time(phase.step) for phase in found.phases)])
    rows.append(
        ["FLOP", *(f"{format_number(phase.flops / 1e9)} G" if phase.flops else UNKNOWN for phase in found.phases)]
    )
    rows.append(["reads", *(format_bytes(phase.read_bytes) if phase.read_bytes else UNKNOWN for phase in found.phases)])
    for each in found.ceilings:
        rows.append([f"MFU, {each.kind}", *(_share(phase.mfu.get(each.kind)) for phase in found.phases)])
        rows.append([f"MBU, {each.kind}", *(_share(phase.mbu.get(each.kind)) for phase in found.phases)])
    return columns(rows, "<" + ">" * len(found.phases))


def _together(phase: Phase) -> str:
    return UNKNOWN if phase.batch is None else f"{phase.batch:.3g}"


def _time(number: Number | None) -> str:
    if number is None or number.value is None:
        return UNKNOWN
    time = number.figure
    scale = scale_of([time])
    return figure_text(time, Scale(scale.factor, scale.unit.removesuffix("/token")))


def _share(number: Number | None) -> str:
    return UNKNOWN if number is None or number.value is None else figure_text(number.figure, PERCENT)


def _useful(found: CostExamination, width: int) -> list[str]:
    told = [f"{_share(number)} of {kind}" for kind, number in found.useful.items() if number.value is not None]
    if not told:
        return []
    told[0] = f"FLOPs of all tokens under the load, prompts and answers: {told[0]}"
    return filled("useful", told, width=width, indent=INDENT)


def _energy(found: CostExamination, width: int) -> list[str]:
    used = found.energy
    if isinstance(used.per_request.figure, Missing):
        return []
    told = [f"{figure_text(used.per_request.figure)}", f"{figure_text(used.per_output_token.figure)}"]
    told.append(f"{figure_text(used.power.figure)} by the counters of {used.sensor}")
    if used.idle_w.value is not None:
        told.append(f"{used.idle_w.value:,.0f} W before the load")
    return filled("energy", told, width=width, indent=INDENT)


def _price(priced: Priced | None, width: int) -> list[str]:
    if priced is None:
        return []
    load, per_1000 = priced.load.figure, priced.per_1000.figure
    if isinstance(load, Missing) or isinstance(per_1000, Missing):
        reason = load.reason if isinstance(load, Missing) else "no price"
        return wrapped("price", f"not told: {reason}", width=width, indent=INDENT)
    told = [f"${figure_text(per_1000, _DOLLARS)} per 1,000 requests", *_of_tokens(priced)]
    if priced.input_tokens is not None and priced.output_tokens is not None:
        told[0] += f" of {priced.input_tokens:,.0f} + {priced.output_tokens:,.0f} tokens"
    told.append(f"at ${priced.per_hour:g} an hour without an idle second: divide by the share of time in use")
    lines = filled("price", told, width=width, indent=INDENT)
    lines += filled("", [f"{figure_text(load)} requests: {priced.load_is}"], width=width, indent=INDENT)
    if isinstance(priced.input_share.figure, Estimate):
        told = [
            f"{figure_text(priced.input_share.figure, PERCENT)} of it is for prompts, by the device's time",
            f"${figure_text(priced.per_million_input.figure, _DOLLARS)} per million input tokens",
            f"${figure_text(priced.per_million_output.figure, _DOLLARS)} per million output tokens: together the price",
        ]
        lines += filled("", told, width=width, indent=INDENT)
    if priced.against_api is not None:
        lines += _of_api(priced, priced.against_api.figure, width)
    return lines


def _of_tokens(priced: Priced) -> list[str]:
    per_million = priced.per_million.figure
    if isinstance(per_million, Missing):
        return [f"no price of tokens: {per_million.reason}"]
    return [f"${figure_text(per_million, _DOLLARS)} per million tokens of both kinds"]


def _of_api(priced: Priced, ratio: Estimate | Missing, width: int) -> list[str]:
    if isinstance(ratio, Missing):
        return wrapped("API", f"not compared: {ratio.reason}", width=width, indent=INDENT)
    told = [
        f"${format_number(priced.api_per_1000 or 0.0)} per 1,000 at ${priced.api[0]:g} and ${priced.api[1]:g} per "
        "million",
        f"own price {figure_text(ratio, PERCENT)} of that",
        f"no more than the API's from {100 * ratio.value:.3g} % of the time in use on"
        if ratio.value < 1
        else "more than the API's however much it is used",
    ]
    return filled("API", told, width=width, indent=INDENT)


def _caveats(found: CostExamination, width: int) -> list[str]:
    told = []
    if (found.n_devices or 1) > 1:
        told.append(f"ceilings, FLOP and bytes are of one of {found.n_devices} devices")
    formats = {each.kind: each.format for each in found.ceilings}
    if formats.get("measured") == "bf16" and (computed_in := formats.get("data sheet", "bf16")) != "bf16":
        told.append(f"computing was measured in bf16; these weights are multiplied faster, in {computed_in}")
    if any(each.kind == "measured" and each.format == "fp32" for each in found.ceilings):
        told.append("computing was measured in fp32 with numpy; weights in 8 or 4 bits may be multiplied faster")
    if any(phase.step is not None and phase.time.value is not None for phase in found.phases):
        told.append("what others' prompts take of a step, at the pace that they have alone, is taken off its time")
    if any((phase.batch or 1) > 1 for phase in found.phases):
        told.append("together: how many were decoding, of those in flight")
    return [
        line for i, text in enumerate(told) for line in wrapped("" if i else "mind", text, width=width, indent=INDENT)
    ]
