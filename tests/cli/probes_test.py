# SPDX-License-Identifier: Apache-2.0
"""`sweep` and `limit`: what is refused before anything is sent or made, and reports of folders."""

from __future__ import annotations

import msgspec
import pytest

from inferometer.metrics.slo_presets import presets


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
