# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain accuracy` as a command: what is refused before the first request, one line with the remedy."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("args", "message", "remedy"),
    [
        (("--tasks", "retrieval,sums"), "there is no task 'sums'", "arithmetic"),
        (("--tasks", ","), "--tasks names none", "choose of"),
        (("--items", "5"), "--items 5 makes no sense", "give 10 to"),
        (("--concurrency", "1"), "--concurrency 1 makes no sense", "give 2 to"),
        (("--budget", "3s"), "no time for an examination", "20s"),
        (("--grounded", "none.jsonl"), "cannot read none.jsonl", "JSON lines"),
        (("--against", "vlm,model=x"), "vlm", "vllm"),
        (("--against", "embedded,threads=2"), "the embedded engine has no threads", "llamacpp"),
    ],
)
def test_what_is_wrong_is_one_line_with_a_remedy(shell, args, message, remedy):
    done = shell("explain", "accuracy", *args)
    assert done.exit_code == 2
    first, second = done.stderr.splitlines()
    assert message in first
    assert remedy in second
    assert done.stdout == ""
