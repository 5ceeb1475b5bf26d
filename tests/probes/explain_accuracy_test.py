# SPDX-License-Identifier: Apache-2.0
"""`explain accuracy` on emulated engines with a mind that is right: healthy, and with each planted defect."""

from __future__ import annotations

import json
from contextlib import contextmanager

import msgspec
import pytest
from tests.probes.conftest import Silent

from inferometer.analysis.accuracy import AccuracyExamination
from inferometer.config import resolve
from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw
from inferometer.probes.bench import bench
from inferometer.probes.explain.accuracy import Wish, examine
from inferometer.report import explain_accuracy as page
from inferometer.tasks import Task
from inferometer.tasks.own import OwnQuestion

LAW = ServiceLaw(a=3.0, b=0.002, c=0.01, d=0.0)  # slow enough for questions to be in flight together
FEW = Wish((Task.RETRIEVAL, Task.GROUNDED, Task.UNKNOWN), 30, n_free=4, n_sampled=4, budget_s=600.0)


@contextmanager
def begun(folder, engine="vllm", **fields):
    with EmulatedEngine(make_setting(engine, law=LAW, mind="reader", **fields)) as server:
        config = resolve({"url": server.url, "out": str(folder), "scrape_every": "off"})
        with bench(config, Silent(), what="test", greatest=config, budget_s=600.0) as at:
            yield at


def codes(found):
    return [(finding.code, finding.level) for finding in found.row.findings]


@pytest.mark.slow
def test_a_healthy_engine_is_left_alone_and_its_own_equal_agrees(tmp_path):
    own = (OwnQuestion("Text: Soga lives in Garval.", "Where does Soga live?", ("Garval",)),)
    with begun(tmp_path / "a", seed=5) as at:

        @contextmanager
        def other(folder):
            with begun(folder / "against", "sglang", seed=5) as found:
                yield found

        found = examine(at, FEW)
        assert codes(found) == []
        assert [tally.alone.value for tally in found.tallies] == [1.0, 1.0, 1.0]
        assert (found.again.n_changed, found.load.n_changed) == (0, 0)
        assert found.hallucination.invented.value == 0.0
        assert found.consistency.unanimous.value == 1.0
        with_own = Wish((Task.ARITHMETIC,), 10, n_free=2, own=own, against="other", open_against=other, budget_s=600.0)
        compared = examine(at, with_own)
        assert [tally.task for tally in compared.tallies] == ["arithmetic", "own"]
        assert compared.hallucination.source == "your own questions"
        assert compared.against.change.n_changed == 0
        assert compared.against.differs[0].startswith("engine vLLM")
    assert msgspec.json.decode(msgspec.json.encode(found), type=AccuracyExamination) == found
    text = page.render(compared, folder="x", width=100)
    assert text.startswith("accuracy  nothing wrong was found")
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "code", "cause"),
    [
        ("differs-under-load", "answers_change_under_load", "depends on the requests beside it"),
        ("invents-answers", "invents_answers", "instead of saying that the answer is not there"),
    ],
)
def test_a_planted_defect_is_found_and_named(tmp_path, defect, code, cause):
    with begun(tmp_path / "a", seed=7, defects=[defect]) as at:
        found = examine(at, FEW)
    assert codes(found) == [(code, "wrong")]
    assert cause in found.row.findings[0].cause
    assert found.row.findings[0].figure.n > 0
    text = page.render(found, folder="x", width=100)
    assert f"({code})" in text.replace("\n", " ").replace("          ", "")


@pytest.mark.engine
def test_the_real_engine_tells_log_probabilities_and_agrees_with_itself(shell):
    args = ("--tasks", "grounded,unknown", "--items", "10", "--budget", "90s", "--out", "a", "--format", "json")
    done = shell("explain", "accuracy", *args)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["floor"]["unit"] == "token"
    assert found["floor"]["top1"]["value"] > 0.99
    assert found["floor"]["divergence"]["value"] < 0.001
    again = shell("report", "a")
    assert again.stdout.startswith("accuracy  ")
