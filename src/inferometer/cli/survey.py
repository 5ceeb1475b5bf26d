# SPDX-License-Identifier: Apache-2.0
"""Every engine looked up on this machine: rows for the table of `engines`, and the facts of one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from inferometer.engines.engine import Engine
from inferometer.engines.facts import DEVICES, Fact
from inferometer.engines.knobs import KNOBS
from inferometer.engines.launch import Launch
from inferometer.engines.registry import engines
from inferometer.errors import EngineError, UsageError
from inferometer.experiment.starting import model_files
from inferometer.host import hardware, installed
from inferometer.host.hardware import Hardware
from inferometer.host.suitability import choose_device, too_large, why_not
from inferometer.report.engines import EngineRow, Section
from inferometer.units import format_bytes


def machine_lines(machine: Hardware) -> list[str]:
    """What an engine could run on here."""
    lines = [
        f"{DEVICES[device.kind]}: {device.name}"
        + (f", {format_bytes(device.memory_bytes)}" if device.memory_bytes else "")
        + (f", driver {device.driver}" if device.driver else "")
        for device in machine.devices
    ]
    tool = installed.container_tool()
    lines.append(
        f"{format_bytes(machine.memory_bytes)} of memory; containers: {tool or 'neither docker nor podman answers'}"
    )
    return [*lines, *machine.notes]


def rows(machine: Hardware, model: str | None) -> list[EngineRow]:
    """All that have facts, those that may come by packages included."""
    return [
        row_of(engine, machine, model) for engine in engines() if engine.facts is not None or engine.launch is not None
    ]


def row_of(engine: Engine, machine: Hardware, model: str | None) -> EngineRow:
    facts, plan = engine.facts, engine.launch
    kinds = facts.devices if facts is not None else {}
    device = choose_device(kinds, machine)
    found = installed.find(plan.programs) if plan is not None else None
    return EngineRow(
        name=engine.name,
        version=None if found is None else found.name,
        install=" | ".join(plan.installs.values()) if plan is not None else "by hand: it is only measured, not started",
        device=DEVICES[device] if device is not None else "",
        why_not=why_not(kinds, machine) if kinds and device is None else "",
        speaks=tuple(engine.speaks),
        has_metrics=None if facts is None else not facts.metrics.text.startswith("none"),
        proven_on=facts.proven_on if facts is not None else "?",
        model=None if model is None else _against(engine, plan, kinds, machine, model),
    )


def _against(engine: Engine, plan: Launch | None, kinds: Collection[str], machine: Hardware, model: str) -> str:
    """What stands against serving this model, "" if nothing is known to."""
    if plan is None:
        return "it is not started from here"
    try:
        found = model_files(engine, plan, model, is_dry=True)
    except (UsageError, EngineError) as error:
        return str(error)
    memory = too_large(found.n_bytes, kinds, machine)
    if memory is None:
        return ""
    return f"its weights take {format_bytes(found.n_bytes)}, and there are {format_bytes(memory)} of memory"


def sections_of(engine: Engine, row: EngineRow) -> list[Section]:
    """All facts of one engine, in the order in which one wants to know them."""
    facts, plan = engine.facts, engine.launch
    here = ["not installed" if row.version is None else f"installed: {row.version or 'version not known'}"]
    here.append(f"runs on this machine's {row.device}" if row.device else f"cannot run here: {row.why_not}")
    sections = [_plain("here", here)]
    if plan is not None:
        sections.append(_plain("install", [f"{way}: {line}" for way, line in plan.installs.items()]))
    if facts is not None:
        sections += [
            Section(
                "runs on", tuple((f"{DEVICES[kind]}: {fact.text}", fact.known) for kind, fact in facts.devices.items())
            ),
            *(
                _known(*pair)
                for pair in (
                    ("models", (facts.formats,)),
                    ("quantized", (facts.quantizations,)),
                    ("hugging face", (facts.hugging_face,)),
                    ("strengths", facts.strengths),
                    ("APIs", (facts.apis,)),
                    ("metrics", (facts.metrics,)),
                    ("licence", (facts.licence,)),
                    ("upkeep", (facts.upkeep,)),
                )
            ),
            _plain("proven", [facts.proven]),
        ]
    if plan is not None:
        sections.append(_plain("knobs", [_knob_line(plan, name) for name in KNOBS]))
        sections.append(
            _plain(
                "defaults",
                [_default_line(default.words, default.env, default.options, default.why) for default in plan.defaults]
                or ["none"],
            )
        )
    sections.append(_plain("traps", list(engine.quirks) or ["none known"]))
    return sections


def _knob_line(plan: Launch, name: str) -> str:
    if name not in plan.knobs:
        return f"{name}: none; {plan.absent.get(name, 'not known')}"
    knob = plan.knobs[name]
    written = [" ".join(knob.words), " ".join(knob.off_words), *(f"{k}={v}" for k, v in knob.env.items()), knob.option]
    told = " / ".join(word for word in written if word)
    return f"{name}: {told}" + (f" ({knob.note})" if knob.note else "")


def _default_line(words: Sequence[str], env: Mapping[str, str], options: Mapping[str, object], why: str) -> str:
    told = [" ".join(words), *(f"{k}={v}" for k, v in env.items()), *(f"{k}: {v}" for k, v in options.items())]
    return f"{' '.join(word for word in told if word)}: {why}"


def _known(title: str, facts: Sequence[Fact]) -> Section:
    return Section(title, tuple((fact.text, fact.known) for fact in facts))


def _plain(title: str, lines: Sequence[str]) -> Section:
    return Section(title, tuple((line, "") for line in lines))


def look() -> Hardware:
    """What is here now."""
    return hardware.look()
