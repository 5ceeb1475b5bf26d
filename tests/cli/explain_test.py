# SPDX-License-Identifier: Apache-2.0
"""`explain TARGET` as one types it: refusals before anything is sent, and one examination."""

from __future__ import annotations

import json

import pytest

from inferometer.emulate.catalogue import make_setting
from inferometer.emulate.launch import EmulatedEngine
from inferometer.emulate.law import ServiceLaw


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["scale", "URL", "--budget", "5s"], ("--budget 5s is no time", "give 20s")),
        (["URL", "--budget", "1m"], ("--budget 60 s is no time for 6 rows", "give --budget 3m or more")),
        (["URL", "--budget", "soon"], ("'soon' is not a duration",)),
        (["URL", "--only", "speed"], ("--only 'speed' is no challenge", "latency, cost, memory")),
        (["--only", ",", "URL"], ("is no challenge",)),
        (["target", "URL", "--verify"], ("--verify starts the server anew", "--engine NAME")),
        (["URL", "--concurrency", "4"], ("No such option: --concurrency",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_flag(shell, tripwire, refused, words, told):
    words = [tripwire.url if word == "URL" else word for word in words]
    refused(shell("explain", *words), 2, *told)
    assert not tripwire.is_touched()
    assert list(shell.folder.iterdir()) == []


def test_help_is_of_the_group(shell):
    done = shell("explain", "--help")
    assert done.exit_code == 0
    for name in ("target", "latency", "cost", "memory", "limits", "accuracy", "scale"):
        assert f"  {name} " in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_queue_that_serves_the_last_first_is_found(shell):
    """One of the six is enough here: the table of parts is the same for all."""
    law = ServiceLaw(a=6.0, b=0.01, c=0.1, d=0.0)
    setting = make_setting("vllm", slots=4, context=2_048, law=law, defects=["last-come-first"], seed=1)
    with EmulatedEngine(setting) as server:
        url = f"http://127.0.0.1:{server.port}"
        for out in ("explain", "again"):  # a machine that pauses may hide it once
            flags = ("--only", "scale", "--budget", "90s", "--out", out, "--format", "json")
            done = shell("explain", url, *flags, timeout=280)
            assert done.exit_code == 0, done.stderr
            found = json.loads(done.stdout)
            if "unfair_queue" in [finding["code"] for finding in found["rows"][0]["findings"]]:
                break
    assert found["schema"] == "inferometer/explain/1"
    assert found["rows"][0]["challenge"] == "scale"
    assert "unfair_queue" in [finding["code"] for finding in found["rows"][0]["findings"]]
    assert {row["challenge"] for row in found["rows"][1:]} == {"latency", "cost", "memory", "limits", "accuracy"}
    assert found["folders"] == {"scale": "scale"}
    page = (shell.folder / out / "explain.html").read_text(encoding="utf-8")
    assert "unfair_queue" in page
    assert shell("report", f"{out}/scale").stdout.startswith("scale     ")
    assert shell("report", out, "--format", "html", "--out", "page.html").exit_code == 0
    assert (shell.folder / "page.html").read_text(encoding="utf-8") == page
