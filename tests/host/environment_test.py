# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import sys

import pytest

from inferometer import __version__
from inferometer.errors import RunError
from inferometer.host.environment import host_facts, open_files_limits, raise_open_files, versions

resource = pytest.importorskip("resource")


@pytest.fixture
def soft_limit():
    """Sets the soft limit of open files for one test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda n_files: resource.setrlimit(resource.RLIMIT_NOFILE, (n_files, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_facts_are_json_and_none_is_a_guess():
    facts = host_facts()
    assert json.loads(json.dumps(facts)) == facts
    assert None not in facts.values()
    assert facts["n_cores"] >= facts["n_cores_usable"] >= 1
    assert facts["memory_bytes"] >= facts["memory_available_bytes"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="facts of Linux")
def test_linux_tells_its_clock_and_timer_slack():
    facts = host_facts()
    assert facts["clock_source"]
    assert facts["timer_slack_ns"] > 0
    assert facts["os"] == "Linux"
    assert facts["os_release"] == os.uname().release


def test_versions_are_those_that_run():
    found = versions()
    assert found["inferometer"] == __version__
    assert found["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert "numpy" in found


def test_the_limit_of_open_files_is_raised_when_too_low_and_never_lowered(soft_limit):
    soft_limit(200)
    raise_open_files(150)
    assert open_files_limits()[0] == 200
    raise_open_files(250)
    assert open_files_limits()[0] == 250


def test_more_open_files_than_the_machine_allows_is_an_error_with_the_remedy(soft_limit):
    soft_limit(200)
    hard = open_files_limits()[1]
    if hard == sys.maxsize:
        pytest.skip("any number is allowed here")
    with pytest.raises(
        RunError, match=rf"needs {hard + 1} open files, but only 200 are allowed \(hard limit {hard}\)"
    ) as e:
        raise_open_files(hard + 1)
    assert "--concurrency" in e.value.remedy
    assert open_files_limits()[0] == 200
