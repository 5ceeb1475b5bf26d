# SPDX-License-Identifier: Apache-2.0
"""Caches before a run: emptied where an engine has a way and the prompts may be known, and shown to be so by the hits.

Each run is made twice with the same --seed, so that the second finds its prompts in the cache if nobody empties it.
"""

from __future__ import annotations

import pytest

from inferometer.metrics.summary import summarize
from inferometer.run_folder import Run
from inferometer.stats import Estimate

LOAD = ("--concurrency", "2", "--requests", "8", "--warmup", "0", "--input-tokens", "160", "--output-tokens", "4")
RESETS = {
    "vllm": "POST /reset_prefix_cache",
    "sglang": "POST /flush_cache",
    "llama.cpp": "POST /slots/{slot}?action=erase",
}


def second(shell, client, *flags):
    """The second of two equal runs: its plan's facts, share of prompts out of a cache, reasons, and its screen."""
    for name in ("first", "second"):
        done = shell("run", client.url, *LOAD, "--seed", "5", *flags, "--out", name)
        assert done.exit_code in (0, 4), done.stderr
    run = Run.open(str(shell.folder / "second"))
    summary = summarize(run.trace())
    shares = (summary.fidelity["prefix_excess_ratio"], summary.server.get("server_prefix_excess_ratio"))
    excess = {share.value for share in shares if isinstance(share, Estimate)}
    codes = {reason.code for reason in summary.verdict.reasons}
    return run.manifest()["plan"], excess, codes, " ".join(done.stdout.split())


@pytest.mark.parametrize("engine", RESETS)
def test_they_are_emptied_by_the_engines_own_route(shell, emulated, engine):
    client = emulated(engine, without_traps=() if engine == "sglang" else ("no-reset",))
    plan, excess, codes, screen = second(shell, client)
    assert (plan["caches"], plan["caches_emptied_by"]) == ("emptied", RESETS[engine])
    assert excess == {0.0}
    assert "prefix_hits" not in codes
    assert (
        f"emptied before the run by {RESETS[engine]}; 0 % of prompt tokens beyond the template out of a cache by its"
        in screen
    )


@pytest.mark.parametrize(
    ("engine", "flags", "why"),
    [
        ("vllm", (), "HTTP 404: Not Found; start vLLM with VLLM_SERVER_DEV_MODE=1"),
        ("llama.cpp", (), "HTTP 501: This server does not support slots action. Start it with `--slot-save-path`"),
        ("sglang", ("--keep-caches",), "--keep-caches asked for that"),
    ],
)
def test_where_they_are_not_that_is_told_and_the_hits_are_a_doubt(shell, emulated, engine, flags, why):
    plan, excess, codes, screen = second(shell, emulated(engine), *flags)
    assert (plan["caches"], plan["caches_emptied_by"]) == ("not known", "")
    assert why in plan["caches_not_emptied"]
    assert min(excess) > 0.5
    assert "prefix_hits" in codes
    assert "the server may know the prompts; not emptied:" in screen


def test_a_server_that_somebody_else_runs_is_left_alone_where_prompts_are_new(shell, emulated):
    client = emulated("sglang")
    before = client.ask("/v1/completions", {"prompt": " ".join(f"w{i}" for i in range(64)), "max_tokens": 1})
    assert before[0] == 200
    done = shell("run", client.url, *LOAD, "--out", "run")
    assert done.exit_code in (0, 4), done.stderr
    plan = Run.open(str(shell.folder / "run")).manifest()["plan"]
    assert (plan["caches"], plan["caches_emptied_by"]) == ("new prompts", "")
    again = client.json("/v1/completions", {"prompt": " ".join(f"w{i}" for i in range(64)), "max_tokens": 1})
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] > 0, "what others asked is still there"
