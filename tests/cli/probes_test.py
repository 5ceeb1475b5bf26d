# SPDX-License-Identifier: Apache-2.0
"""`sweep` and `limit`: what is refused before anything is sent or made, and reports of folders."""

from __future__ import annotations

import msgspec
import pytest
from tests.analysis.points import point

from inferometer.analysis.curve import Sweep
from inferometer.metrics.slo_presets import presets
from inferometer.probes.results import write_result


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sweep"], ("one kind of load", "--concurrency 1,2,4,8 or auto")),
        (["sweep", "--concurrency", "1,2", "--rate", "auto"], ("one kind of load",)),
        (["sweep", "--concurrency", "1,many"], ("--concurrency 'many' is no load", "--concurrency auto")),
        (["sweep", "--rate", "0"], ("--rate '0' is no load",)),
        (["sweep", "--rate", "2", "--warmup", "5"], ("--warmup of a probe is a time", "--warmup 5s")),
        (["sweep", "--rate", "2", "--slo", "ttf<1s"], ("ttf is not a metric",)),
        (["limit"], ("no limits to search for", "--slo chat")),
        (["limit", "--slo", "chta"], ("neither a limit nor a preset", "did you mean chat")),
        (["limit", "--slo", "ttft_p99<1s"], ("limit on a run as a whole", "--attainment 0.99")),
        (["limit", "--slo", "chat", "--attainment", "1"], ("--attainment 1 cannot be shown",)),
        (["limit", "--slo", "chat", "--budget", "5s"], ("--budget 5s is no time",)),
        (["limit", "--slo", "chat", "--budget", "soon"], ("'soon' is not a duration",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_flag(shell, tripwire, refused, words, told):
    verb, *flags = words
    refused(shell(verb, tripwire.url, *flags), 2, *told)
    assert not tripwire.is_touched()
    assert list(shell.folder.iterdir()) == []


def test_a_file_that_says_how_many_requests(shell, tripwire, refused):
    (shell.folder / "load.toml").write_text("requests = 200\n")
    done = shell("sweep", tripwire.url, "--concurrency", "1,2", "--config", "load.toml")
    refused(done, 2, "how many requests and runs a load takes", "drop requests and repeats")
    assert not tripwire.is_touched()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sweep", "--concurrency", "4,1,2"], {"loads": [1, 2, 4], "n_runs": 4, "law": "requests in flight"}),
        (["sweep", "--rate", "2,3", "--for", "10s"], {"loads": [2, 3], "n_runs": 3, "n_requests": 65}),
        (["limit", "--slo", "chat"], {"slo": "ttft<200ms,tpot<50ms by 99 % of requests", "loads": []}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_dry_run_tells_loads_and_touches_nothing(shell, tripwire, words, told):
    verb, *flags = words
    document = shell(verb, tripwire.url, *flags, "--dry-run", "--format", "json").json
    assert document["schema"] == "inferometer/probe-dry-run/1"
    assert {name: document[name] for name in told} == told
    assert shell(verb, tripwire.url, *flags, "--dry-run").stdout.startswith("DRY RUN  nothing was sent\n")
    assert not tripwire.is_touched()
    assert list(shell.folder.iterdir()) == []


def test_limits_of_a_file_are_searched_for(shell, tripwire, refused):
    (shell.folder / "load.toml").write_text('slo = "ttft<250ms"\n')
    done = shell("limit", tripwire.url, "--config", "load.toml", "--dry-run", "--format", "json")
    assert done.json["slo"] == "ttft<250ms by 95 % of requests"
    done = shell("limit", tripwire.url, "--config", "load.toml", "--slo", "code", "--dry-run", "--format", "json")
    assert done.json["slo"].startswith("ttft<"), "a flag wins over the file"
    assert "250ms" not in done.json["slo"]
    (shell.folder / "wrong.toml").write_text('slo = "ttft_p99<250ms"\n')
    refused(shell("limit", tripwire.url, "--config", "wrong.toml"), 2, "limit on a run as a whole")


def test_a_sweep_that_was_kept_is_told_in_every_format(shell, refused):
    (shell.folder / "sweep").mkdir()
    write_result(shell.folder / "sweep" / "sweep.json", sweep_of_two())
    assert shell("report", "sweep", "--format", "markdown").stdout.startswith("**NO LAW** none fitted: needs 6 loads")
    assert shell("report", "sweep", "--format", "csv").stdout.count("\n") == 3
    done = shell("report", "sweep", "--format", "html", "--out", "page.html")
    assert (done.exit_code, done.stdout) == (0, "")
    assert (shell.folder / "page.html").read_text().startswith("<!doctype html>")
    refused(shell("report", "sweep", "--slo", "ttft<1s"), 2, "for the report of a run", "folder of one of its runs")


def sweep_of_two():
    points = [point(1, 10.0), point(2, 18.0)]
    facts = {"engine": {}, "plan": {}, "host": {}, "versions": {}, "created": "2026-11-30T10:00:00+00:00"}
    return Sweep("concurrency", False, [1.0, 2.0], points, "", 60.0, no_law="needs 6 loads", **facts)


def test_a_folder_that_is_damaged_or_newer(shell, refused):
    for name, data, told in (
        ("sweep.json", b"{", "is damaged"),
        ("limit.json", msgspec.json.encode({"schema": "inferometer/limit/9"}), "has schema 'inferometer/limit/9'"),
    ):
        folder = shell.folder / name.removesuffix(".json")
        folder.mkdir()
        (folder / name).write_bytes(data)
        refused(shell("report", str(folder)), 6, told)


def test_every_preset_can_be_read_and_names_its_source():
    assert {"chat", "code", "batch", "mlperf-llama3.1-8b-server", "mlperf-deepseek-r1-interactive"} <= set(presets())
    for preset in presets().values():
        assert preset.limits.per_request
        assert preset.source


def test_the_presets_of_mlperf_hold_its_limits():
    interactive = presets()["mlperf-llama3.1-8b-interactive"]
    assert [(limit.metric, limit.value) for limit in interactive.limits.per_request] == [
        ("ttft_s", 0.5),
        ("tpot_s", 0.03),
    ]
    assert interactive.attainment == 0.99
