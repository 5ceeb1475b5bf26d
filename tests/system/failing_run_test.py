# SPDX-License-Identifier: Apache-2.0
"""A server that is well while it is asked who it is, and fails every request that is measured: an early end, in its
own words."""

from __future__ import annotations

import pytest

FLAGS = ("--concurrency", "4", "--requests", "300", "--warmup", "0", "--input-tokens", "8", "--output-tokens", "8")
SAID = "the ground-truth server was asked to fail"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("429", f"HTTP 429: {SAID} (retry after 7 s)"),
        pytest.param("401", f"HTTP 401: {SAID}", marks=pytest.mark.slow),
        pytest.param("500_html", f"HTTP 500: 500 {SAID}", marks=pytest.mark.slow),
        pytest.param("503_empty", "HTTP 503: Service Unavailable", marks=pytest.mark.slow),
        pytest.param("reset_before_head", "Connection reset by peer", marks=pytest.mark.slow),
    ],
)
def test_a_run_whose_requests_all_fail_ends_early_in_the_servers_words(shell, truth, rows, fault, words):
    url = truth(ttft_ms=20, gap_ms=2, faults=(fault,), retry_after_s=7).url
    done = shell("run", url, *FLAGS, "--quiet", "--out", "run")
    assert done.exit_code == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "ended early" in done.stderr
    assert "in a row failed" in done.stderr
    assert f"most often: {words}" in done.stderr
    found = rows(shell.folder / "run")
    assert len(found) < 300
    assert not any(row["outcome"] == "ok" for row in found)
