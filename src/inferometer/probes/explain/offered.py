# SPDX-License-Identifier: Apache-2.0
"""Which settings of a remedy an engine can be told, and which of them would change anything.

Rule: what is printed as --set can be typed, and starts another server than the one that was examined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import structs

from inferometer.analysis.finding import Finding
from inferometer.engines.engine import Engine
from inferometer.engines.knobs import Value, written
from inferometer.probes.bench import Bench


def offered(findings: Iterable[Finding], bench: Bench) -> list[Finding]:
    """The same for the engine on the bench, as it was started; of one that others started nothing is known of that."""
    start = bench.points.subject.start
    return [tellable(finding, bench.engine, start.settings if start is not None else {}) for finding in findings]


def tellable(finding: Finding, engine: Engine, settings: Mapping[str, Value]) -> Finding:
    """The finding, its remedy without settings that the engine has not, has already, or has anyway. `settings`: as it
    was told."""
    remedy = finding.remedy
    if remedy is None or not remedy.settings:
        return finding
    named = {setting.split("=", 1)[0] for setting in remedy.settings}
    absent = [
        f"; {engine.title} has no setting for it: {why}" for name, why in _absent(engine).items() if name in named
    ]
    kept = tuple(setting for setting in remedy.settings if _changes(setting, engine, settings))
    return structs.replace(
        finding, remedy=structs.replace(remedy, change="".join([remedy.change, *absent]), settings=kept)
    )


def _absent(engine: Engine) -> Mapping[str, str]:
    return engine.launch.absent if engine.launch is not None else {}


def _changes(setting: str, engine: Engine, settings: Mapping[str, Value]) -> bool:
    name, value = setting.split("=", 1)
    knob = engine.launch.knobs.get(name) if engine.launch is not None else None
    if knob is None:
        return False
    return value != (written(settings[name]) if name in settings else knob.usual)
