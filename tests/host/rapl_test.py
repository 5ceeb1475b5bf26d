# SPDX-License-Identifier: Apache-2.0
"""Energy counters, out of a folder that looks like the kernel's."""

from __future__ import annotations

import pytest

from inferometer.host.rapl import Rapl


def zone(folder, number, name, energy_uj, most_uj=1_000_000):
    path = folder / f"intel-rapl:{number}"
    path.mkdir(parents=True)
    for file, value in (("name", name), ("energy_uj", energy_uj), ("max_energy_range_uj", most_uj)):
        (path / file).write_text(f"{value}\n")
    return path / "energy_uj"


def test_packages_are_added_and_memory_is_apart(tmp_path):
    first, second = zone(tmp_path, "0", "package-0", 100_000), zone(tmp_path, "1", "package-1", 200_000)
    memory = zone(tmp_path, "0:0", "dram", 5)
    zone(tmp_path, "0:1", "core", 7)
    rapl = Rapl(tmp_path)
    for file, now in ((first, 400_000), (second, 700_000), (memory, 100_005)):
        file.write_text(f"{now}\n")
    assert dict(rapl.read()) == {"package_energy_j": pytest.approx(0.8), "dram_energy_j": pytest.approx(0.1)}


def test_a_counter_that_begins_anew_goes_on_counting(tmp_path):
    file = zone(tmp_path, "0", "package-0", 900_000, most_uj=999_999)
    rapl = Rapl(tmp_path)
    for now, total_j in ((950_000, 0.05), (50_000, 0.15), (60_000, 0.16)):
        file.write_text(f"{now}\n")
        assert dict(rapl.read())["package_energy_j"] == pytest.approx(total_j)


def test_what_is_not_there_is_absent_with_the_reason(tmp_path):
    rapl = Rapl(tmp_path)
    assert rapl.read() == []
    assert "no energy counters" in rapl.why_not
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "name").write_text("package-0\n")
    assert "root" in Rapl(tmp_path).why_not
