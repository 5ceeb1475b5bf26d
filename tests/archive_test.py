# SPDX-License-Identifier: Apache-2.0
"""Run folders found by name, by folder and by label, and asked without any second store."""

from __future__ import annotations

import json

import pytest

from inferometer.archive import entries, runs_of
from inferometer.errors import FormatError, UsageError


@pytest.fixture
def make(tmp_path):
    """`make("a/1", label="main", p99=0.1, ...)`: a folder with a manifest, and a report if it has a number."""

    def run(name, *, p99=None, **facts):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        manifest = {"schema": 2, "state": "finished", "created": "2026-11-30T10:00:00+00:00", "label": ""} | facts
        (folder / "manifest.json").write_text(json.dumps(manifest))
        if p99 is not None:
            number = {"value": p99, "lo": None, "hi": 1, "level": 0.95, "n": 400, "unit": "s", "method": ""}
            report = {"verdict": {"level": "valid"}, "metrics": {"ttft_s": {"p99": number}}}
            (folder / "report.json").write_text(json.dumps(report))
        return str(folder)

    return run


def names(runs):
    return [run.path.name for run in runs]


def test_a_run_folder_is_itself(make, tmp_path):
    assert names(runs_of(make("one"), str(tmp_path))) == ["one"]


def test_several_folders_come_in_the_order_of_their_making(make, tmp_path):
    late = make("late", created="2026-11-30T12:00:00+00:00")
    assert names(runs_of(f"{late},{make('early')}", str(tmp_path))) == ["early", "late"]


def test_a_folder_of_runs_is_all_of_them_by_round(make, tmp_path):
    for number, created in ((2, "10"), (10, "09"), (1, "11")):
        make(f"A/{number}", ab={"id": "x", "round": number, "side": "A"}, created=f"2026-11-30T{created}:00:00+00:00")
    assert names(runs_of(str(tmp_path / "A"), str(tmp_path))) == ["1", "2", "10"]


def test_a_run_whose_engine_did_not_start_is_no_trial_of_its_label(make, tmp_path):
    make("1", label="main")
    make("2", label="main", state="failed")
    make("3", label="broken", state="failed")
    assert names(runs_of("main", str(tmp_path))) == ["1"]
    with pytest.raises(UsageError, match="none of the 1 runs with the label 'broken'"):
        runs_of("broken", str(tmp_path))


def test_a_label_is_found_at_any_depth(make, tmp_path):
    make("a/b/1", label="main")
    make("2", label="main")
    make("3", label="other")
    assert sorted(names(runs_of("main", str(tmp_path)))) == ["1", "2"]


def test_what_is_nothing(make, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no run"):
        runs_of(str(tmp_path / "empty"), str(tmp_path))
    with pytest.raises(UsageError, match="neither a folder nor a label"):
        runs_of("main", str(tmp_path))
    with pytest.raises(UsageError, match="no folder, and there is no"):
        runs_of("main", str(tmp_path / "nowhere"))


def test_entries_bring_the_number_from_the_report(make, tmp_path):
    make(
        "b", p99=0.25, created="2026-11-30T11:00:00+00:00", engine={"title": "vLLM", "version": "0.32.0", "model": "m"}
    )
    make("a", label="main", revision="1f2e3d")
    first, second = entries(str(tmp_path), metric="ttft_s", statistic="p99")
    assert (first.label, first.revision, first.verdict, first.number) == ("main", "1f2e3d", "", None)
    assert (second.engine, second.version, second.verdict) == ("vLLM", "0.32.0", "valid")
    assert (second.number["value"], second.number["lo"]) == (0.25, None)


def test_a_path_is_no_pattern(make, tmp_path):
    make("runs[1]*/one", label="main")
    make("runs1/two", label="main")
    assert [entry.path.endswith("one") for entry in entries(str(tmp_path / "runs[1]*"))] == [True]


def test_other_programs_manifests_are_passed_over_and_damaged_ones_are_not(make, tmp_path):
    make("run")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "manifest.json").write_text('{"name": "an app"}')
    assert len(entries(str(tmp_path))) == 1
    (tmp_path / "web" / "manifest.json").write_text('{"name": ')
    with pytest.raises(FormatError, match=r"some manifest.json below .* cannot be read"):
        entries(str(tmp_path))
