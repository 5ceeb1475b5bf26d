# SPDX-License-Identifier: Apache-2.0
"""Energy of processors and memory, as their own counters tell it (RAPL, through Linux' powercap).

Rule: what cannot be read is absent, with the reason; nothing is computed from a data sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/sys/class/powercap")
_UJ = 1e-6
_PACKAGE, _DRAM = "package", "dram"


@dataclass(slots=True)
class _Zone:
    """One counter. It begins anew at `most_uj`: often enough read, what it has counted in all is known."""

    kind: str
    file: Path
    most_uj: int
    last_uj: int
    total_uj: int = 0

    def read_j(self) -> float:
        now_uj = int(self.file.read_text())
        self.total_uj += (now_uj - self.last_uj) % (self.most_uj + 1)
        self.last_uj = now_uj
        return self.total_uj * _UJ


class Rapl:
    """All packages of the machine, and their memory where it is counted apart. Gauges: package_energy_j, dram_energy_j,
    cumulative since the sampler was made; none where nothing can be read, and `why_not` says why."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._zones: list[_Zone] = []
        self.why_not = ""
        found = sorted(folder.glob("intel-rapl:*"))  # AMD's processors are called so, too
        for path in found:
            name = _text(path / "name")
            kind = _PACKAGE if name.startswith(_PACKAGE) else _DRAM if name == _DRAM else ""
            most, now = _text(path / "max_energy_range_uj"), _text(path / "energy_uj")
            if kind and most.isdecimal() and now.isdecimal():
                self._zones.append(_Zone(kind, path / "energy_uj", int(most), int(now)))
        if not self._zones:
            self.why_not = (
                "the processor's energy counters may be read by root alone"
                if found
                else "the processor has no energy counters that this system shows (virtual machines have none)"
            )

    def read(self) -> list[tuple[str, float]]:
        sums: dict[str, float] = {}
        for zone in self._zones:
            gauge = f"{zone.kind}_energy_j"
            try:
                sums[gauge] = sums.get(gauge, 0.0) + zone.read_j()
            except OSError:  # no longer ours to read: a sum without one of its parts would be false
                return []
        return list(sums.items())


def _text(path: Path) -> str:
    """Empty where it is not there, or not ours to read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
