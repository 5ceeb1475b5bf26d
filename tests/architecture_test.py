# SPDX-License-Identifier: Apache-2.0
"""The import table of the house: arrows point down, and only one file reads a clock."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "inferometer"
GROUND = {"errors", "units", "kinds", "secrecy"}

# module or package -> what of ours it may import. A package may always import itself.
MAY_IMPORT = {
    "errors": set(),
    "units": {"errors"},
    "kinds": set(),
    "secrecy": set(),
    "clock": {"errors"},
    "stats": GROUND,
    "records": GROUND,
    "recorder": GROUND,
    "wire": GROUND,
    "plan": GROUND,
    "tasks": GROUND,
    "model": GROUND,
    "engines": GROUND | {"plan.request"},
    "metrics": GROUND | {"records", "stats"},
    "analysis": GROUND | {"metrics", "records", "stats"},
    "report": GROUND | {"analysis", "metrics", "stats", "model"},
    "truth": GROUND | {"clock", "records", "stats"},
    "emulate": GROUND | {"clock", "truth", "tasks"},  # never "engines": see test_an_emulator_knows_nothing_of_adapters
    "drive": GROUND | {"clock", "records", "recorder", "plan", "engines.engine", "wire"},
    "host": GROUND
    | {"clock", "records", "plan", "engines.engine", "engines.gauges", "engines.launch", "engines.prometheus", "wire"}
    | {"model"},
    "embedded": GROUND | {"clock", "host", "engines.llamacpp_log", "engines.cache_told"},
    "config": GROUND,
    "run_folder": GROUND | {"clock", "records", "recorder", "plan", "engines", "drive"},
    "archive": GROUND | {"records", "run_folder"},
    "measurement": GROUND | {"clock", "recorder", "plan", "engines.engine", "drive"},
    "workers": GROUND | {"clock", "recorder", "plan", "engines.engine", "drive", "measurement"},
    "scraper": GROUND | {"clock", "recorder", "engines", "host"},
    "experiment": GROUND
    | {"clock", "records", "recorder", "plan", "engines", "wire", "drive", "host", "embedded"}
    | {"config", "run_folder", "measurement", "workers", "scraper"},
    # The only place where results steer what is measured next; imported by the command line alone.
    "probes": GROUND
    | {"clock", "records", "stats", "metrics", "analysis", "drive.progress", "config", "experiment", "run_folder"}
    | {"engines", "host", "plan", "tasks", "model", "embedded"},
    "cli": None,  # everything
    "__main__": {"cli"},
    "__init__": set(),
}


def modules():
    return sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0]


def own_imports(path: Path):
    """Dotted names below `inferometer` that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "inferometer":
            base = node.module.removeprefix("inferometer").lstrip(".")
            if base:
                yield base
            else:
                yield from (alias.name for alias in node.names if not alias.name.startswith("__"))
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("inferometer.") for a in node.names if a.name.startswith("inferometer."))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path):
    room = room_of(path)
    allowed = MAY_IMPORT[room]
    if allowed is None:
        return
    for name in own_imports(path):
        is_allowed = name.split(".")[0] == room or any(name == a or name.startswith(a + ".") for a in allowed)
        assert is_allowed, f"{room} may not import inferometer.{name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_only_the_clock_reads_a_clock(path):
    if path.name == "clock.py":
        return
    imported = {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not imported & {"time", "timeit"}


def test_an_emulator_knows_nothing_of_adapters():
    """What is to find an adapter wrong is written from the same facts, and from none of its code."""
    reached, coming = set(), {"emulate"}
    while coming:
        room = coming.pop()
        reached.add(room)
        names = {name for path in modules() if room_of(path) == room for name in own_imports(path)}
        coming |= {name.split(".")[0] for name in names} - reached
    assert {"emulate", "truth", "records"} <= reached
    assert not reached & {"engines", "host", "drive", "wire", "plan"}


def test_every_room_is_in_the_table():
    rooms = {p.stem if p.is_file() else p.name for p in SOURCE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert rooms - {"__pycache__", "py.typed"} <= set(MAY_IMPORT)


def test_no_room_has_a_name_that_says_nothing():
    for path in modules():
        assert not {"utils", "common", "helpers", "core", "base", "manager"} & {path.stem, path.parent.name}
