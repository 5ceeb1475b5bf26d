# SPDX-License-Identifier: Apache-2.0
"""An engine's launch data, values of knobs and a place to listen, made into one command. Pure.

Rule 1: what a person gives wins over a default that avoids a trap; what contradicts itself is refused.
Rule 2: what the engine has not is refused with the reason, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inferometer.engines.knobs import Value, written
from inferometer.engines.launch import Knob, Launch
from inferometer.errors import UsageError

_MARK = re.compile(r"\{(\w+)\}")


def overridden(launch: Launch, values: Mapping[str, Value], extra: Sequence[str]) -> set[str]:
    """Knobs whose flag the person wrote after `--`: what was filled in for them does not hold."""
    given = {_switch(flag) for flag in _flags(extra)}
    return {
        name
        for name in values
        for flag in _flags((*launch.knobs[name].words, *launch.knobs[name].off_words))
        if _switch(flag) in given
    }


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run. `options`: content of its file of options, {} if it needs none; `left_out`: flags of defaults
    that this version does not know."""

    words: tuple[str, ...]
    env: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def check_knobs(title: str, launch: Launch, values: Mapping[str, Value], extra: Sequence[str] = ()) -> None:
    """Raises: UsageError if the engine has no such knob, or a flag of it is given beside it."""
    for name in values:
        if name not in launch.knobs:
            reason = launch.absent.get(name, "it is not known to have one")
            raise UsageError(f"{title} has no knob {name}: {reason}", f"it has {', '.join(launch.knobs)}")
    for name in overridden(launch, values, extra):
        flag = launch.knobs[name].words[0]
        raise UsageError(f"{flag} after -- and --set {name} say the same thing", "give one of them")


def compose(
    launch: Launch,
    program_words: Sequence[str],
    marks: Mapping[str, Any],
    values: Mapping[str, Value],
    *,
    extra: Sequence[str] = (),
    version: str = "",
    help_text: str = "",
    environment: Mapping[str, str] | None = None,
) -> Order:
    """The command. `marks`: see launch.MARKS; `version`, `help_text`: of the program, "" if not known; `environment`:
    the person's own, whose variables win over those of defaults.

    `values` have been through `check_knobs`.
    """
    all_marks: dict[str, Any] = {**values, **marks}
    all_marks |= launch.derive(all_marks)
    given = {_switch(flag) for flag in _flags(extra)}
    words = [*program_words, *launch.arguments]
    env, options, left_out = dict(launch.env), dict[str, Any](), list[str]()
    for default in launch.defaults:
        flag = default.words[0] if default.words else ""
        if flag and _switch(flag) in given:
            continue
        if not _is_known(flag, default.since, version, help_text):
            left_out.append(flag or next(iter((*default.env, *default.options))))
            continue
        words += default.words
        env |= {key: (environment or {}).get(key, value) for key, value in default.env.items()}
        for key, value in default.options.items():
            _put(options, key, value)
    not_held = overridden(launch, values, extra)
    for name, value in values.items():
        if name in not_held:
            continue
        knob = launch.knobs[name]
        words += _knob_words(knob, value, all_marks)
        env |= {key: _filled(text, all_marks | {"value": _own(knob, value)}) for key, text in knob.env.items()}
        if knob.option:
            _put(options, knob.option, knob.values.get(written(value), value))
    if options:
        words += launch.options_words
    return Order(
        words=(*(_filled(word, all_marks) for word in words), *extra),
        env={key: _filled(text, all_marks) for key, text in env.items()},
        options=options,
        left_out=tuple(left_out),
    )


def is_at_least(version: str, wanted: str) -> bool:
    """Whether a version is that one or newer, by its numbers; False where it tells none."""
    numbers, least = ([int(n) for n in re.findall(r"\d+", text)] for text in (version, wanted))
    return bool(numbers) and numbers[: len(least)] >= least


def _knob_words(knob: Knob, value: Value, marks: Mapping[str, Any]) -> list[str]:
    words = knob.off_words if value is False else knob.words
    return [_filled(word, {**marks, "value": _own(knob, value)}) for word in words]


def _own(knob: Knob, value: Value) -> str:
    """What the engine calls this value."""
    return knob.values.get(written(value), written(value))


def _is_known(flag: str, since: str, version: str, help_text: str) -> bool:
    """Whether the program takes a default: by its own list of flags if there is one, else by its version."""
    if help_text and flag:
        return re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", help_text) is not None
    return not since or not version or is_at_least(version, since)


def _flags(words: Iterable[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]


def _switch(flag: str) -> str:
    """A flag without its dashes and without what turns it off: `--no-x`, `--disable-x` and `--x` are one switch."""
    bare = flag.lstrip("-").replace("_", "-")
    return bare.removeprefix("no-").removeprefix("disable-").removeprefix("enable-")


def _put(options: dict[str, Any], dotted: str, value: Any) -> None:
    *folders, key = dotted.split(".")
    for folder in folders:
        options = options.setdefault(folder, {})
    options[key] = value


def _filled(word: str, marks: Mapping[str, Any]) -> str:
    """Marks replaced; one that nobody knows is a mistake in the engine's data."""
    return _MARK.sub(lambda mark: _text(marks[mark[1]]), word)


def _text(value: Any) -> str:
    return written(value) if isinstance(value, int | float | str) else str(value)
