# SPDX-License-Identifier: Apache-2.0
"""Phases of `explain cost` out of what a load took and what was counted in it: nothing is measured here.

Rule 1: work is of one device, as ceilings are.
Rule 2: tokens that the server does not count are not known; a phase then has its time, and no work to hold it against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inferometer.analysis.cost import UNCOUNTED, Phase, batch_of
from inferometer.analysis.cost_findings import PREFILL
from inferometer.analysis.cost_steps import for_itself
from inferometer.analysis.number import number_of
from inferometer.engines.knobs import Value
from inferometer.model import flops, roofline
from inferometer.model.roofline import Ceilings, Served
from inferometer.stats import Estimate, Missing, product


@dataclass(frozen=True, slots=True)
class Counted:
    """Means over a load's requests. `n_prompt`, `n_output`: tokens; `n_new`: of the prompt, those that no cache had;
    `n_beside`: of others' prompts, per step. None: not counted."""

    n_prompt: float | None
    n_new: float | None
    n_output: float | None
    n_beside: float | None
    tpot: Estimate | Missing
    ttft: Estimate | Missing


def n_devices_of(told: int | None, settings: Mapping[str, Value], n_cards: int) -> int | None:
    """That share the model: as a person says, or as the engine was started. Without cards it is one, all cores
    together; None where there are several and nobody says which of them compute."""
    setting = settings.get("tensor_parallel")
    if told is not None or n_cards == 0:
        return told or 1
    if isinstance(setting, int):
        return setting
    return 1 if n_cards == 1 else None


def prefill(
    served: Served | None, more: Estimate | Missing, n: tuple[float | None, float | None], source: str
) -> Phase:
    """What a further token of a prompt takes. `more`: seconds by which long prompts took longer than short ones; `n`:
    tokens of these and those that were computed; `source`: of the seconds."""
    n_short, n_long = n
    if n_short is None or n_long is None or n_long <= n_short:
        why = UNCOUNTED if n_short is None or n_long is None else "the prompts were not longer"
        return Phase(PREFILL, number_of(Missing(why, 0, "s/token")), 0.0, 0.0, 1.0, n_long, 1)
    method = f"{source}: long prompts less short ones, per token more"
    time = product([(more, 1)], unit="s/token", method=method, scale=1 / (n_long - n_short))
    done = 0.0
    if served is not None:
        of = [flops.prefill_flops(served.architecture, served.parameters, max(round(x), 1)) for x in (n_short, n_long)]
        done = (of[1] - of[0]) / (n_long - n_short) / served.degree
    return Phase(PREFILL, number_of(time), done, 0.0, 1.0, n_long, 1)


def decoding(served: Served | None, name: str, n_in_flight: int, run: Counted, a_token: Estimate | Missing) -> Phase:
    """A step of the sequences that were decoding, on average, of those in flight. `a_token`: seconds that one more of
    a prompt takes: what others' prompts take of the step is no time of its own."""
    if run.n_prompt is None or run.n_output is None or run.n_beside is None:
        return Phase(name, number_of(run.tpot), 0.0, 0.0, None, None, n_in_flight)
    batch, context = _batch(n_in_flight, run.n_output, run), run.n_prompt + run.n_output / 2
    done = read = 0.0
    if served is not None and context >= 1:
        whole = max(round(batch), 1)
        step = roofline.step(served, Ceilings(1.0, None, ""), whole, round(context))
        done = step.n_flops * batch / whole / served.degree
        read = step.weights_bytes + step.cache_bytes * batch / whole
    time, seen = for_itself(run.tpot, a_token, run.n_beside), number_of(run.tpot) if run.n_beside > 0 else None
    return Phase(name, number_of(time), done, read, batch, context, n_in_flight, seen, run.n_beside)


def _batch(n_in_flight: int, n_output: float, run: Counted) -> float:
    if n_in_flight > 1 and isinstance(run.tpot, Estimate) and isinstance(run.ttft, Estimate) and n_output > 1:
        return max(batch_of(n_in_flight, n_output, run.tpot.value, run.ttft.value), 1.0)
    return float(n_in_flight)


def useful_flops(served: Served, run: Counted) -> float | None:
    """Of a whole request, on one device: its prompt as far as it was computed, and every further token."""
    if run.n_new is None or run.n_output is None:
        return None
    n_prompt, its = max(round(run.n_new), 1), served.architecture
    one = flops.matrix_flops(served.parameters) + flops.attention_flops(its, round(n_prompt + run.n_output / 2))
    return (flops.prefill_flops(its, served.parameters, n_prompt) + (run.n_output - 1) * one) / served.degree
