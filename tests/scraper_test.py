# SPDX-License-Identifier: Apache-2.0
"""The process that reads gauges beside the load: what it writes, when it ends, and what becomes of its failures."""

from __future__ import annotations

import re
import signal

import psutil
import pytest
from tests.host.fake_server import Answer, recorded, serving

from inferometer.clock import Clock
from inferometer.experiment.scraping import Beside, scraping
from inferometer.host.scrape import Prospect
from inferometer.recorder import Note, all_paths, gauges_path, read_frames
from inferometer.scraper import FIRST_PAGE, LAST_PAGE, Order

PAGE = recorded("llama-server-0c1e570-metrics-after")
KEY = "sk-very-secret-0123456789"


@pytest.fixture
def order(tmp_path):
    """`order(url)`: to read the gauges of llama.cpp every 50 ms."""

    def make(url, **changes):
        usual = {
            "recorder": str(gauges_path(tmp_path / "recorder.bin")),
            "url": url,
            "engine": "llama.cpp",
            "headers": [("authorization", f"Bearer {KEY}")],
            "is_insecure": False,
            "is_scraped": True,
            "has_gpus": False,
            "period_ns": 50_000_000,
            "origin_ns": Clock().origin_ns,
        }
        return Order(**usual | changes)

    return make


def beside():
    return Beside(Prospect("/metrics", ("requests_running",)), 0.05)


def readings(tmp_path, source="server"):
    (tmp_path / "recorder.bin").touch()
    path = all_paths(tmp_path / "recorder.bin")[-1]
    notes = [frame for frame in read_frames(path) if isinstance(frame, Note)]
    return [(note.t_ns, dict(note.fact["gauges"])) for note in notes if note.fact["source"] == source]


def wait_for(seen, n):
    clock = Clock()
    while len(seen) < n:
        assert clock.now_ns() < 20_000_000_000, "it does not read"
        clock.sleep_until(clock.now_ns() + 5_000_000)


def test_it_reads_before_and_after_and_in_between(tmp_path, order):
    seen = []
    with serving({"GET /metrics": PAGE}, seen) as url:
        made = order(url)
        with scraping(made, beside()) as told:
            assert len(seen) == 1, "the first reading is over before the load begins"
            wait_for(seen, 6)
            n_before = len(seen)
            now_ns = Clock(made.origin_ns).now_ns()
    found = readings(tmp_path)
    assert (told.n_scrapes, told.n_failures, told.last_error) == (len(found), 0, "")
    assert len(found) == len(seen) > n_before
    assert found[-1][0] > now_ns, "the last begins when the load has ended"
    assert [reading["n_scrapes"] for _, reading in found] == list(range(1, len(found) + 1))
    costs_s = [reading["cpu_s"] for _, reading in readings(tmp_path, "scraper")]
    assert costs_s == sorted(costs_s)
    for name in (FIRST_PAGE, LAST_PAGE):
        assert "llamacpp:tokens_predicted_total 130" in (tmp_path / name).read_text()


def test_the_key_is_sent_and_never_shown(tmp_path, order):
    said = []

    def route(body, headers):
        said.append(headers["authorization"])
        return Answer(f"llamacpp:requests_processing 1\n# {headers['authorization']}\n".encode())

    with serving({"GET /metrics": route}) as url, scraping(order(url), beside()):
        [process] = [child for child in psutil.Process().children() if "inferometer.scraper" in child.cmdline()]
        assert KEY not in " ".join([*process.cmdline(), *process.environ().values()])
    assert set(said) == {f"Bearer {KEY}"}
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.iterdir())


def test_a_server_that_stops_telling_is_told(tmp_path, order):
    answers = iter([PAGE(None, {})])
    ill = Answer(b"", 503)
    with serving({"GET /metrics": lambda *_: next(answers, ill)}) as url, scraping(order(url), beside()) as told:
        pass
    assert (told.n_scrapes - told.n_failures, told.last_error) == (1, "/metrics answered HTTP 503")
    (_, first), *others = readings(tmp_path)
    assert "requests_running" in first
    assert others
    assert not any("requests_running" in reading for _, reading in others)


def test_nothing_is_started_for_nothing(tmp_path, order):
    with scraping(order("http://127.0.0.1:9", is_scraped=False), beside()):
        assert not [child for child in psutil.Process().children() if "inferometer.scraper" in child.cmdline()]
    assert list(tmp_path.iterdir()) == []


def test_when_it_is_killed_the_load_goes_on_and_what_it_read_is_there(tmp_path, order):
    seen = []
    with serving({"GET /metrics": PAGE}, seen) as url, scraping(order(url), beside()) as told:
        wait_for(seen, 3)
        [process] = [child for child in psutil.Process().children() if "inferometer.scraper" in child.cmdline()]
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert re.match("the process that reads gauges failed", told.last_error)
    assert len(readings(tmp_path)) >= 2
