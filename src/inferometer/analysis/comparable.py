# SPDX-License-Identifier: Apache-2.0
"""May these runs be compared? What differs between the sides that should not, and what differs within one side.

Rule: refused unless told what to ignore. Two sides may differ in engine, version, settings and address, for that is
what is compared; the runs of one side may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inferometer.analysis.side import Member, Side

KINDS = {  # what may be ignored -> what it is about
    "validity": "runs whose own verdict is invalid, or that never finished",
    "plan": "load, lengths asked, seed, limits of time",
    "model": "the model that answered",
    "lengths": "tokens of prompts and answers as they came out",
    "definitions": "what the numbers are: streamed or not, counted by whom, stamped by what",
    "host": "the machine of the client, and of an engine that was started here",
    "engine": "engine, version or settings within one side",
}
# Of the tokens that came. MLPerf Inference allows answers 10 % of the reference; that is more than what is looked for.
LENGTH_TOLERANCE = 0.02
_PLAN = (
    "mode",
    "law",
    "duration_s",
    "n_requests",
    "n_warmup",
    "warmup_s",
    "input_tokens",
    "output_tokens",
    "shared_prefix",
    "seed",
    "timeout_s",
    "stall_timeout_s",
)
_HOST = ("cpu", "n_cores_usable", "memory_bytes", "os", "cpu_quota_cores")
_MEMORY_GRAIN = 2**28  # two kernels of one machine leave different remainders


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: a word of KINDS; `text`: what differs, with the values."""

    kind: str
    text: str


def differences(sides: Sequence[Side]) -> list[Difference]:
    """All that forbids the comparison, of every kind."""
    members = [member for side in sides for member in side.members]
    return [
        *_invalid(members),
        *_unequal(sides, "plan", _plan_facts),
        *_models(sides),
        *_lengths(sides),
        *_unequal(sides, "definitions", _definitions),
        *_unequal(sides, "host", _host_facts),
        *_engines(sides),
    ]


def _invalid(members: Iterable[Member]) -> list[Difference]:
    found = []
    for member in members:
        verdict = member.summary.verdict
        if member.facts.get("state") != "finished" or member.summary.is_cut_off:
            found.append(Difference("validity", f"{member.path} never finished"))
        elif verdict.level == "invalid":
            codes = ", ".join(dict.fromkeys(r.code for r in verdict.reasons if r.level == "invalid"))
            found.append(Difference("validity", f"{member.path} is invalid ({codes})"))
    return found


def _unequal(sides: Sequence[Side], kind: str, facts_of: Callable[[Member], dict[str, Any]]) -> list[Difference]:
    """Facts of which the sides have different sets of values."""
    per_side = [[facts_of(member) for member in side.members] for side in sides]
    names = dict.fromkeys(name for facts in per_side for each in facts for name in each)
    found = []
    for name in names:
        values = [{str(each.get(name)) for each in facts} for facts in per_side]
        if any(value != values[0] for value in values[1:]) or (name not in _MAY_VARY and len(values[0]) > 1):
            told = " and ".join(dict.fromkeys(", ".join(sorted(value)) for value in values))
            found.append(Difference(kind, f"{name} {told}"))
    return found


_MAY_VARY = ("seed", "requests")  # between the trials of a side, as long as the other side has the same ones


def _plan_facts(member: Member) -> dict[str, Any]:
    plan, config = member.summary.plan, member.facts.get("config") or {}
    facts = {name: plan.get(name) for name in _PLAN} | {"temperature": config.get("temperature")}
    if member.n_trials == 1:  # with a different number of trials, the same plan has another digest
        facts["requests"] = str(plan.get("digest") or "")[:12]
    return facts


def _definitions(member: Member) -> dict[str, Any]:
    plan, config = member.summary.plan, member.facts.get("config") or {}
    return {
        "is_streamed": plan.get("is_streamed"),
        "counts_outputs_by": plan.get("counts_outputs_by"),
        "count_tokens": config.get("count_tokens"),
        "stamps": member.summary.stamps,
    }


def _host_facts(member: Member) -> dict[str, Any]:
    host = member.summary.host
    facts = {name: host.get(name) for name in _HOST}
    return facts | {"memory_bytes": round((facts["memory_bytes"] or 0) / _MEMORY_GRAIN) * _MEMORY_GRAIN}


def _models(sides: Sequence[Side]) -> list[Difference]:
    """One name must fit all: engines call one file by different names, so the one it was asked by counts as well."""
    names = [_names_of_model(member) for side in sides for member in side.members]
    if names and not set.intersection(*names):
        told = " and ".join(dict.fromkeys(", ".join(sorted(name)) for name in names))
        return [Difference("model", f"model {told}")]
    return []


def _names_of_model(member: Member) -> set[str]:
    asked = (member.facts.get("config") or {}).get("model")
    return {str(name) for name in (member.summary.engine.get("model"), asked) if name}


def _lengths(sides: Sequence[Side]) -> list[Difference]:
    """Answers that end before they were asked to make any engine look fast."""
    found = []
    for name, words in (("prompt", "prompts"), ("output", "answers")):
        shares = [_filled(side, name) for side in sides]
        known = [share for share in shares if share is not None]
        if len(known) == len(shares) and max(known) > min(known) * (1 + LENGTH_TOLERANCE):
            told = " and ".join(f"{share:.1%}" for share in known)
            found.append(Difference("lengths", f"{words} of {told} of the tokens asked for"))
    return found


def _filled(side: Side, name: str) -> float | None:
    """Tokens that came per token asked for; None where they were not counted."""
    shares = [member.filled[name] for member in side.members if name in member.filled]
    return sum(shares) / len(shares) if len(shares) == len(side.members) else None


def _engines(sides: Sequence[Side]) -> list[Difference]:
    found = []
    for side in sides:
        told = list(dict.fromkeys(_engine_text(member) for member in side.members))
        if len(told) > 1:
            found.append(Difference("engine", f"{side.title} holds {' and '.join(told)}"))
    return found


def _engine_text(member: Member) -> str:
    engine: Mapping[str, Any] = member.summary.engine
    settings = engine.get("settings") or {}
    told = ", ".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return f"{engine.get('title')} {engine.get('version')}".strip() + (f" ({told})" if told else "")
