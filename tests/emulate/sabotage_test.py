# SPDX-License-Identifier: Apache-2.0
"""A wrong adapter fails against the emulated engine: each sabotage is found, by the fault that it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.engines.registry import GROUP

from .runs_test import run
from .verdicts import faults

ROOT = Path(__file__).parents[2]
# The sabotaged engine, the emulated one, the API, and what must be said of it.
CASES = {
    "ROLE_IS_CONTENT": ("vllm", "chat", ("made up", "gap")),
    "WRONG_USAGE": ("vllm", "chat", ("output tokens", "tpot")),
    "NO_LENGTH": ("sglang", "native", ("length",)),
    "WITHOUT_SPECIALS": ("tgi", "native", ("lost",)),
    "LAST_LINE_LOST": ("ollama", "native", ("outcomes",)),
    "CHUNKS_ARE_TOKENS": ("lmdeploy", "native", ("output tokens",)),
}


@pytest.fixture
def package(tmp_path):
    """`package(value)`: an environment in which an engine is installed as a package of its own."""

    def install(value: str) -> dict[str, str]:
        info = tmp_path / "inferometer_sabotaged-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: inferometer-sabotaged\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\nsabotaged = {value}\n")
        return {"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}:{ROOT}"}

    return install


FAST = ("ROLE_IS_CONTENT", "WRONG_USAGE", "NO_LENGTH")
SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in CASES if case not in FAST]


@pytest.mark.parametrize("case", [*FAST, *SLOW])
def test_a_wrong_adapter_is_found_out(shell, emulated, package, case):
    name, api, said = CASES[case]
    client = emulated(name, without_traps=("no-scale-out",) if name == "vllm" else ())
    found = run(shell, client, api, env=package(f"tests.emulate.sabotaged:{case}"), codes=(0, 3, 4))
    told = faults(found, client.log(), engine=f"{name}-sabotaged", is_exact=name not in ("tgi", "ollama"))
    for word in said:
        assert any(word in fault for fault in told), f"{word!r} is not among {told}"
