# SPDX-License-Identifier: Apache-2.0
"""What `explain cost` found of a running engine: shares of its ceilings, prefill and decode apart, energy and price.

    MFU = FLOPs of the useful tokens / (time x peak rate)
    MBU = (weights + cache read in a step) / (time x bandwidth)

Rule 1: peak rates are dense, of the number format that the matrices run in; cached prompt tokens are no useful work.
Rule 2: a share above 1 is no success but an error: of the measurement, or of the ceiling, which is then not its own.
Rule 3: prices are of whole requests. A price per input token and one per output token are shares of that, which add up
to it; each with the whole device in it they would count the device twice.
"""

from __future__ import annotations

from typing import Any

import msgspec

from inferometer.analysis.finding import Row
from inferometer.analysis.limit import LimitSearch
from inferometer.analysis.number import Number, number_of
from inferometer.stats import Estimate, Missing, exact, product

FILE = "cost.json"
SCHEMA = "inferometer/explain-cost/1"
S_PER_HOUR = 3600.0
UNCOUNTED = "the server does not count tokens"


class Ceiling(msgspec.Struct, frozen=True):
    """Of what the engine runs on. `kind`: data sheet, or measured; `where`: the device or the cores; `format`: of the
    numbers multiplied; `bandwidth_near`: over as many bytes as a step reads, where these lie in a cache."""

    kind: str
    where: str
    format: str
    flops: Number
    bandwidth: Number
    bandwidth_near: Number | None = None
    near_bytes: int = 0

    @property
    def bandwidth_of_step(self) -> Number:
        return self.bandwidth if self.bandwidth_near is None else self.bandwidth_near


class Phase(msgspec.Struct, frozen=True):
    """Prefill or decoding. `time`: seconds per prompt token, or per step for itself; `step`: as it is seen, with the
    `prompt_tokens` of others that are computed in it, where there are any; `flops`, `read_bytes`: in that time, 0 bytes
    where reading is shared by so many tokens that it says nothing; `batch`: sequences decoded together, on average;
    `context`: tokens of each; `mfu`, `mbu`: by ceiling. Where tokens are not counted, nothing but `time` is known."""

    name: str
    time: Number
    flops: float
    read_bytes: float
    batch: float | None
    context: float | None
    n_in_flight: int
    step: Number | None = None
    prompt_tokens: float = 0.0
    mfu: dict[str, Number] = {}
    mbu: dict[str, Number] = {}

    @property
    def seen(self) -> Number:
        return self.time if self.step is None else self.step


class Used(msgspec.Struct, frozen=True):
    """Energy; `sensor`: "" where there is none. `idle_w`: before the load, nothing subtracted for it."""

    per_output_token: Number
    per_request: Number
    power: Number
    idle_w: Number
    sensor: str = ""


class Priced(msgspec.Struct, frozen=True):
    """US dollars at full use. `load`: requests per second that it is for, and `load_is`: what kind of load that is;
    `input_tokens`, `output_tokens`: of a request, None where they are not counted.

    `input_share`: of the price, what the prompts pay for, by device time; `per_million_*`: output and input tokens add
    up to the whole price; `api_per_1000`: what the API would take for the same; `against_api`: own over API;
    `break_even`: the share of time that the device must be in use to cost no more than the API.
    """

    per_hour: float
    load: Number
    load_is: str
    input_tokens: float | None
    output_tokens: float | None
    per_1000: Number
    per_million: Number
    input_share: Number
    per_million_input: Number
    per_million_output: Number
    api: list[float] = []
    api_per_1000: float | None = None
    against_api: Number | None = None

    @property
    def break_even(self) -> Number | None:
        return self.against_api


class CostExamination(msgspec.Struct, frozen=True):
    """`useful`: share of the peak rate that went into useful tokens under the load, by ceiling; `n_devices`: that share
    the model, None where nobody says; ceilings, FLOPs and bytes of phases are of one of them."""

    model: str
    described: str
    not_described: str
    weights_format: str
    weights_bytes: float | None
    ceilings: list[Ceiling]
    phases: list[Phase]
    useful: dict[str, Number]
    energy: Used
    priced: Priced | None
    row: Row
    seconds: float
    created: str
    stopped: str = ""
    engine: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    host: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    n_devices: int | None = 1
    schema: str = SCHEMA


def share_of(done: float, time: Estimate | Missing, ceiling: Estimate | Missing, *, what: str) -> Number:
    """done / (time x ceiling), both intervals carried through."""
    if done <= 0:
        return number_of(Missing(f"no {what} to speak of", 0, "ratio"))
    method = f"{what} over time and ceiling, their intervals carried through"
    return number_of(product([(time, -1), (ceiling, -1)], unit="ratio", method=method, scale=done))


def with_shares(phase: Phase, ceilings: list[Ceiling]) -> Phase:
    """The phase with its shares of each ceiling."""
    time = phase.time.figure
    return msgspec.structs.replace(
        phase,
        mfu={each.kind: share_of(phase.flops, time, each.flops.figure, what="FLOPs") for each in ceilings},
        mbu={
            each.kind: share_of(phase.read_bytes, time, each.bandwidth_of_step.figure, what="bytes read")
            for each in ceilings
            if phase.read_bytes
        },
    )


def batch_of(n_in_flight: int, n_output: float, tpot_s: float, ttft_s: float) -> float:
    """Sequences that were really decoding, of so many in flight: the others waited, or had their prompt computed."""
    decoding_s = (n_output - 1) * tpot_s
    return n_in_flight * decoding_s / (ttft_s + decoding_s)


def load_within(found: LimitSearch) -> tuple[Estimate | Missing, str]:
    """The load that is priced, and what it is: the limit, or where the search had no time for that, the highest rate
    that it saw to hold. More may hold, so a price of that is one at most."""
    meet = f"{100 * found.attainment:g} % meet {found.slo}"
    limit = found.limit.figure
    if isinstance(limit, Estimate) or found.holds is None:
        return limit, f"the highest rate at which {meet}"
    n = sum(row.n for row in found.loads if row.load == found.holds)
    shown = exact(found.holds, n=n, unit="1/s", method="shown to hold; the limit was not found")
    return shown, f"a rate at which {meet}; there was no time to find the highest, so the price is one at most"


def price(
    per_hour: float,
    load: Estimate | Missing,
    load_is: str,
    *,
    input_tokens: float | None,
    output_tokens: float | None,
    input_share: Estimate | Missing,
    api: list[float],
) -> Priced:
    """`input_share`: of the device's time, what goes to prompts."""
    method = "price per hour over requests per hour, at full use"
    per_request = product([(load, -1)], unit="$", method=method, scale=per_hour / S_PER_HOUR)
    per_1000 = _scaled(per_request, 1000.0, "$/1000 requests")
    both = None if input_tokens is None or output_tokens is None else input_tokens + output_tokens
    api_per_1000 = None
    if api and input_tokens is not None and output_tokens is not None:
        api_per_1000 = 1000 * (api[0] * input_tokens + api[1] * output_tokens) / 1e6
    whole, rest = exact(1.0, n=1, unit="ratio", method="all"), _scaled(input_share, -1.0, "ratio", plus=1.0)
    return Priced(
        per_hour,
        number_of(load),
        load_is,
        input_tokens,
        output_tokens,
        number_of(per_1000),
        number_of(_part(per_request, whole, both)),
        number_of(input_share),
        number_of(_part(per_request, input_share, input_tokens)),
        number_of(_part(per_request, rest, output_tokens)),
        api,
        api_per_1000,
        number_of(_against(per_1000, api_per_1000)) if api else None,
    )


def _against(per_1000: Estimate | Missing, api_per_1000: float | None) -> Estimate | Missing:
    if api_per_1000 is None:
        return Missing(UNCOUNTED, 0, "ratio")
    if api_per_1000 <= 0:
        return Missing("the API takes nothing for it", 0, "ratio")
    method = "price per hour over requests per hour, at full use, over the API's"
    return product([(per_1000, 1)], unit="ratio", method=method, scale=1 / api_per_1000)


def _scaled(number: Estimate | Missing, by: float, unit: str, *, plus: float = 0.0) -> Estimate | Missing:
    if isinstance(number, Missing):
        return Missing(number.reason, number.n, unit)
    lo, hi = sorted((plus + by * number.lo, plus + by * number.hi))
    return Estimate(plus + by * number.value, lo, hi, number.level, number.n, unit, number.method)


def _part(per_request: Estimate | Missing, share: Estimate | Missing, n_tokens: float | None) -> Estimate | Missing:
    if not n_tokens:
        return Missing(UNCOUNTED, 0, "$/M tokens")
    method = "share of the device's time that such tokens take, of the price"
    factors = [(per_request, 1.0), (share, 1.0)]
    return product(factors, unit="$/M tokens", method=method, scale=1e6 / n_tokens)


def sheet(value: float | None, unit: str, where: str) -> Number:
    """A figure of a data sheet: no interval."""
    if value is None:
        return number_of(Missing(f"the table has none of {where}", 0, unit))
    return number_of(exact(value, n=1, unit=unit, method="data sheet"))
