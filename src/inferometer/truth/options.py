# SPDX-License-Identifier: Apache-2.0
"""The command line of the ground-truth server: where it listens, and its default prescription.

Rule 1: every field of `Prescription` is a flag by the same name; nothing is listed twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inferometer.truth.script import PRESETS, Prescription


@dataclass(frozen=True, slots=True)
class Options:
    """`stay`: do not exit with the parent process. `cpu`: the core to stay on."""

    host: str
    port: int
    log: Path | None
    stay: bool
    cpu: int | None
    shows_ceiling: bool
    prescription: Prescription


def to_flags(prescription: Prescription) -> list[str]:
    """The flags that make this prescription a server's default."""
    fields = msgspec.structs.asdict(prescription)
    plain = msgspec.structs.asdict(Prescription())
    return [f"--{_dashed(name)}={_text(value)}" for name, value in fields.items() if value != plain[name]]


def read_options(argv: Sequence[str]) -> Options:
    """Exits with status 2 and one line if a flag is wrong."""
    parser = argparse.ArgumentParser(prog="python -m inferometer.truth.server", allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one; it is printed")
    parser.add_argument("--log", type=Path, help="write the log of all sends here when stopped (SIGTERM)")
    parser.add_argument("--stay", action="store_true", help="keep serving when the parent process is gone")
    parser.add_argument("--cpu", type=int, help="core to stay on")
    parser.add_argument("--ceiling", action="store_true", help="how late are sends at rising rates? then exit")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="default")
    prescribed = parser.add_argument_group("default prescription", "a request's own `truth` field goes before these")
    for field in msgspec.structs.fields(Prescription):
        is_list = isinstance(field.default, tuple)
        default = _text(field.default) or "none"
        prescribed.add_argument(
            "--" + _dashed(field.name), metavar="X,..." if is_list else "X", help=f"default {default}"
        )
    parsed = vars(parser.parse_args(argv))
    named = {name: parsed[name] for name in Prescription.__struct_fields__ if parsed[name] is not None}
    if "faults" in named:
        named["faults"] = named["faults"].split(",")
    try:
        fields = msgspec.structs.asdict(PRESETS[parsed["preset"]]) | named
        prescription = msgspec.convert(fields, Prescription, strict=False)
    except msgspec.ValidationError as error:
        parser.error(str(error))
    return Options(
        host=parsed["host"],
        port=parsed["port"],
        log=parsed["log"],
        stay=parsed["stay"],
        cpu=parsed["cpu"],
        shows_ceiling=parsed["ceiling"],
        prescription=prescription,
    )


def _text(value: object) -> str:
    """A value as a flag says it; lists with commas."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _dashed(name: str) -> str:
    return name.replace("_", "-")
