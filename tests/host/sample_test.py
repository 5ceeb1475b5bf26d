# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
from itertools import pairwise

import pytest

from inferometer.host.sample import (
    MEMORY_EVERY,
    ClientSampler,
    EngineSampler,
    HostSampler,
    parse_cpu_times,
    parse_private_bytes,
    parse_pss_bytes,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")

# Burns CPU at each line that it is sent, on "stay" also in a thread that lives on, and answers when it has.
BURNER = """
import sys, threading
def burn():
    sum(i * i for i in range(1_000_000))
for line in sys.stdin:
    if "stay" in line:
        threading.Thread(target=lambda: (burn(), threading.Event().wait()), daemon=True).start()
        burn()
    else:
        burn()
    print("done", flush=True)
"""


class Burner:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", BURNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid

    def burn(self, how="here"):
        self.process.stdin.write(how + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def burner():
    burner = Burner()
    yield burner
    burner.end()


@pytest.fixture
def client():
    sampler = ClientSampler()
    yield sampler
    sampler.close()


def test_cpu_times_are_the_first_line_of_proc_stat_in_seconds():
    per_s = os.sysconf("SC_CLK_TCK")
    fields = [10, 2, 3, 1000, 50, 4, 5, 7, 6, 1]  # user nice system idle iowait irq softirq steal guest guest_nice
    line = b"cpu  " + b" ".join(b"%d" % (field * per_s) for field in fields) + b"\ncpu0 1 1 1\n"
    assert parse_cpu_times(line) == (10 + 2 + 3 + 4 + 5, 7)


def test_private_memory_is_what_is_resident_and_not_shared():
    assert parse_private_bytes(b"765 423 394 5 0 123 0\n") == 29 * os.sysconf("SC_PAGE_SIZE")


@linux_only
def test_private_memory_of_an_engine_is_read_every_time_and_grows_with_what_it_holds():
    sampler = EngineSampler([os.getpid()])
    before = dict(sampler.read())["private_bytes"]
    with mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE) as held:  # the heap might give what it has already
        for at in range(0, len(held), mmap.PAGESIZE):  # touched in place: a block to copy from would count too
            held[at] = 1
        after = dict(sampler.read())["private_bytes"]
    sampler.close()
    assert after - before == pytest.approx(8 << 20, rel=0.2)


def test_pss_is_a_line_of_smaps_rollup_in_bytes():
    text = b"5642-7ffe ---p 00000000 00:00 0    [rollup]\nRss:   82048 kB\nPss:   80394 kB\nPss_Dirty:  50740 kB\n"
    assert parse_pss_bytes(text) == 80394 * 1024


@linux_only
def test_the_client_tells_its_own_costs_and_they_only_grow(client):
    first, second = dict(client.read()), dict(client.read())
    assert first.keys() == {"run_delay_s", "cpu_s", "gc_pause_s", "pss_bytes"}
    assert first["pss_bytes"] > 1e6
    assert second.keys() == first.keys() - {"pss_bytes"}
    assert all(second[name] >= first[name] for name in second)
    assert first["cpu_s"] > 0


def test_pauses_of_the_collector_are_counted_until_the_sampler_is_closed(client):
    before = dict(client.read())["gc_pause_s"]
    gc.collect()
    after = dict(client.read())["gc_pause_s"]
    assert after > before
    client.close()
    gc.collect()
    assert dict(client.read())["gc_pause_s"] == after


@linux_only
def test_memory_is_read_at_first_and_then_rarely(client):
    has_memory = ["pss_bytes" in dict(client.read()) for _ in range(MEMORY_EVERY + 2)]
    assert [i for i, has in enumerate(has_memory) if has] == [0, MEMORY_EVERY]


def test_the_host_tells_cores_and_time_used():
    sampler = HostSampler()
    gauges = dict(sampler.read())
    sampler.close()
    assert gauges["n_cores"] == os.cpu_count()
    assert gauges["cpu_busy_s"] > 0
    assert ("steal_s" in gauges) == (sys.platform == "linux")


def test_an_engines_work_is_seen_also_in_later_threads_and_after_its_end(burner):
    sampler = EngineSampler([burner.pid])
    readings = []
    for how in ("here", "stay", "here"):  # each burns some 50 ms
        burner.burn(how)
        readings.append(dict(sampler.read())["cpu_s"])
    assert all(later > earlier for earlier, later in pairwise(readings))
    burner.end()
    assert dict(sampler.read())["cpu_s"] >= readings[-1]
    sampler.close()


@linux_only
def test_an_engine_of_two_processes_is_their_sum(burner):
    other = Burner()
    try:
        both, one = EngineSampler([burner.pid, other.pid]), EngineSampler([burner.pid])
        burner.burn()
        other.burn()
        sums, part = dict(both.read()), dict(one.read())
        assert sums.keys() == part.keys() == {"run_delay_s", "cpu_s", "pss_bytes", "private_bytes"}
        assert sums["cpu_s"] > part["cpu_s"]
        assert sums["pss_bytes"] > part["pss_bytes"]
        both.close()
        one.close()
    finally:
        other.end()


def test_what_cannot_be_read_is_absent(burner):
    burner.end()
    sampler = EngineSampler([burner.pid])
    assert sampler.read() == []
    sampler.close()
    assert EngineSampler([]).read() == []
