# SPDX-License-Identifier: Apache-2.0
"""The real engine's own figures beside the client's: counters to the token, times within what lies between the two."""

from __future__ import annotations

import json

import pytest

from inferometer.embedded import models
from inferometer.embedded.server import command

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

pytestmark = pytest.mark.engine

# What the engine does not count as its own time of a first token: the way there and back, tokenising, and waiting for
# the step of the batch that is under way when the request comes. Requests one at a time wait for none.
MAX_OUTSIDE_S = 0.015
MAX_DECODE_ERROR = 0.05  # of the time from the first token to the last
LOAD = ("--input-tokens", "200", "--output-tokens", "24", "--warmup", "4")


def gauges_of(rows, folder, source="server"):
    found = {}
    for sample in sorted(rows(folder, "samples"), key=lambda sample: sample["t_ns"]):
        if sample["source"] == source:
            found.setdefault(sample["gauge"], []).append(sample["value"])
    return found


@pytest.mark.parametrize("api", ["chat", "completions", "native"])
def test_the_engines_times_and_counters_are_the_clients(shell, rows, api):
    flags = ("--concurrency", "1", "--requests", "24", "--api", api, *LOAD)
    done = shell("run", *flags, "--out", "run", "--format", "json", timeout=120)
    assert done.exit_code in (0, 4), done.stderr
    requests = rows(shell.folder / "run")
    assert {row["outcome"] for row in requests} == {"ok"}

    # times: each request's, one clock against the other
    outside_s = sorted(
        (row["t_first_content_ns"] - row["t_sent_ns"] - row["server_prefill_ns"]) / 1e9 for row in requests
    )
    assert outside_s[0] > -0.001, "the engine's part cannot be longer than the whole; it tells in steps of 1 us"
    assert outside_s[len(outside_s) // 2] < MAX_OUTSIDE_S
    decode = [
        (row["t_last_content_ns"] - row["t_first_content_ns"]) / row["server_decode_ns"]
        for row in requests
        if row["server_decode_ns"] > 0
    ]
    assert len(decode) == len(requests)
    assert abs(sorted(decode)[len(decode) // 2] - 1) < MAX_DECODE_ERROR
    names = ("ttft_sent_s", "server_prefill_s", "ttft_outside_s")
    whole, prefill, outside = (done.json["metrics"][name]["mean"]["value"] for name in names)
    assert whole == pytest.approx(prefill + outside), "what the report shows adds up; one slow request moves all means"

    # counters: to the token
    gauges = gauges_of(rows, shell.folder / "run")
    for name in ("prompt", "output"):
        n_client = sum(row[f"n_{name}_tokens"] for row in requests)
        counted = gauges[f"n_{name}_tokens"]
        assert counted[-1] - counted[0] == n_client
        assert done.json["server"][f"server_{name}_tokens_more"]["value"] == 0
    n_cached = sum(row["n_cached_tokens"] for row in requests)
    assert gauges["n_prefix_hit_tokens"][-1] - gauges["n_prefix_hit_tokens"][0] == n_cached
    assert max(gauges["requests_running"]) <= 1
    assert "server_counts" not in {reason["code"] for reason in done.json["verdict"]["reasons"]}

    # the readings themselves
    manifest = json.loads((shell.folder / "run" / "manifest.json").read_text())["gauges"]
    assert manifest["not_measured"] == ""
    assert manifest["n_scrapes"] == gauges["n_scrapes"][-1] == len(gauges["n_scrapes"])
    assert manifest["n_failures"] == 0
    assert 0 < done.json["server"]["scraper_cpu_ratio"]["value"] < 0.1
    assert "llamacpp:requests_processing 0" in (shell.folder / "run" / "server-metrics-last.txt").read_text()


def test_requests_that_wait_for_a_slot_are_seen_waiting(shell, rows):
    """Eight at once for an engine of two slots: the queue is in its gauges, and outside of what it times."""
    server = command(models.choose(None).ensure(), n_slots=2, context_tokens=512, n_connections=12)
    flags = ("--concurrency", "8", "--requests", "24", "--scrape-every", "50ms", *LOAD, "--out", "run")
    done = shell("run", *flags, "--format", "json", "--", *server, timeout=120)
    assert done.exit_code in (0, 4), done.stderr
    gauges = gauges_of(rows, shell.folder / "run")
    assert max(gauges["requests_running"]) == 2
    assert max(gauges["requests_waiting"]) >= 4
    assert done.json["server"]["server_requests_waiting_max"]["value"] >= 4
    outside, prefill = (done.json["metrics"][name]["mean"]["value"] for name in ("ttft_outside_s", "server_prefill_s"))
    assert outside > prefill, "three requests of four wait for a slot"
    assert done.json["server"]["server_output_tokens_more"]["value"] == 0


def test_turned_off_it_is_said_and_nothing_is_read(shell, rows):
    done = shell("run", "--requests", "4", *LOAD, "--scrape-every", "off", "--out", "run", timeout=120)
    assert done.exit_code in (0, 4), done.stderr
    assert "its own gauges: not measured: it was turned off by --scrape-every off" in " ".join(done.stdout.split())
    assert gauges_of(rows, shell.folder / "run") == {}
    assert not [path.name for path in (shell.folder / "run").iterdir() if "metrics" in path.name]
