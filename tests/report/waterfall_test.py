# SPDX-License-Identifier: Apache-2.0
"""Waterfalls: instants where they belong, bytes that cannot harm a terminal, a curl line that a shell runs as meant."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.records import CHUNK, empty_requests
from inferometer.report.waterfall import Sending, curl_lines, waterfall

MS = 1_000_000
DUE = 12_031 * MS
SENDING = Sending(
    "http://127.0.0.1:8000/v1/chat/completions",
    (("Host", "127.0.0.1:8000"), ("Content-Type", "application/json"), ("Authorization", "Bearer sk-very-secret")),
    b'{"model":"it\'s a model","stream":true}',
    "OPENAI_API_KEY",
)


def awkward_request() -> tuple[Any, Any, list[tuple[int, int, bytes]]]:
    """Role chunk at once, first content at 300 ms, 20 chunks every 40 ms, usage 250 ms after the last."""
    content = [DUE + (300 + 40 * i) * MS for i in range(20)]
    chunks = np.zeros(23, CHUNK)
    chunks["t_recv_ns"] = [DUE + 2 * MS, *content, DUE + 1310 * MS, DUE + 1310 * MS]
    chunks["kind"] = [ChunkKind.ROLE, *[ChunkKind.CONTENT] * 20, ChunkKind.USAGE, ChunkKind.DONE]
    row = empty_requests(18)[17]
    for name, value in {
        "t_due_ns": DUE,
        "t_sent_ns": DUE + 210_000,
        "t_head_ns": DUE + 2 * MS,
        "t_first_content_ns": content[0],
        "t_last_content_ns": content[-1],
        "t_usage_ns": DUE + 1310 * MS,
        "t_end_ns": DUE + 1310 * MS,
        "outcome": Outcome.OK,
        "status": 200,
        "conn": 3,
        "n_prompt_tokens": 128,
        "n_prompt_tokens_asked": 128,
        "n_output_tokens": 40,
        "n_output_tokens_asked": 40,
        "n_reads": 22,
        "n_chunks": 23,
        "n_bytes": 4_567,
        "finish": "length",
    }.items():
        row[name] = value
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    event = 'data: {"choices":[{"delta":{"content":"h\u00e9"}}]}\n\n'.encode()
    stamps = [DUE + 2 * MS, *content, DUE + 1310 * MS]
    reads = [(t, t + 24_000, event if i else head) for i, t in enumerate(stamps)]
    return row, chunks, reads


@pytest.mark.parametrize("width", [80, 100])
def test_an_awkward_stream(golden, width):
    row, chunks, reads = awkward_request()
    text = waterfall(row, chunks, reads, SENDING, width=width, max_reads=6)
    golden(f"waterfall-{width}.txt", text)
    assert all(len(line) <= width for line in text.splitlines() if not line.startswith("curl "))


def test_all_reads_on_demand():
    row, chunks, reads = awkward_request()
    text = waterfall(row, chunks, reads, SENDING, max_reads=None)
    assert "left out" not in text
    assert text.count("data: {") == 21


def test_a_request_that_never_left():
    row = empty_requests(1)[0]
    row["t_due_ns"] = row["t_end_ns"] = DUE
    row["error"] = "connection refused"
    text = waterfall(row, [], [], SENDING)
    assert text.startswith("request 0: not_sent, 0.00 ms after it was due; trial 1\n")
    assert "error     connection refused" in text
    assert "nothing was received" in text


def test_warm_up_and_a_request_without_an_end_say_so():
    row = empty_requests(1)[0]
    row["t_due_ns"], row["phase"], row["outcome"] = DUE, Phase.WARMUP, Outcome.CENSORED
    assert waterfall(row, [], [], SENDING).startswith("request 0: censored, no end; trial 1, warm-up\n")


def test_bytes_are_written_out_so_that_a_terminal_stays_as_it_is():
    row, chunks, _ = awkward_request()
    hostile = b"\x1b]0;title\x07\xff\xc3\r\r\\n \x9b31m\n"
    text = waterfall(row, chunks, [(DUE, DUE, hostile)], SENDING)
    assert "\x1b" not in text
    assert r"\x1b]0;title\x07\xff\xc3\r" in text
    assert r"\\n \x9b31m\n" in text  # a backslash of the answer cannot be taken for one of ours


@given(st.binary(max_size=200))
def test_any_bytes_can_be_shown(data):
    row, chunks, _ = awkward_request()
    text = waterfall(row, chunks, [(DUE, DUE, data)], SENDING)
    assert all(line.isprintable() for line in text.split("\n"))


def test_content_that_was_not_kept():
    row, chunks, reads = awkward_request()
    text = waterfall(row, chunks, [(t, u, b"") for t, u, _ in reads], Sending("http://x/"))
    assert text.count("(content not kept)") == len(reads)
    assert "no curl line" in text


def test_the_curl_line_never_holds_the_key():
    for value in ("Bearer sk-very-secret", "sk-very-secret", "sk-very-secret plain"):
        (line,) = curl_lines(Sending("http://x/v1", (("Authorization", value), ("X-API-Key", value)), b"{}", "KEY"))
        assert "sk-very-secret" not in line
        assert "$KEY" in line
        assert '-H "X-API-Key: $X_API_KEY"' in line, "every secret has a variable of its own"


def test_values_that_were_not_kept_become_variables():
    (line,) = curl_lines(Sending("http://x/v1", (("authorization", ""), ("X-Tenant", "")), b"{}", "KEY"))
    assert '-H "authorization: Bearer $KEY" -H "X-Tenant: $X_TENANT"' in line


NASTY = [("X-Note", 'it\'s "quoted" $HOME `id` \\ !'), ("Content-Type", "application/json")]


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
@pytest.mark.parametrize("n_padding", [0, 120_000])
def test_a_shell_runs_the_curl_line_as_meant(n_padding):
    body = json.dumps(
        {"prompt": 'it\'s $HOME `id` \\ "x"\n\u00e9', "pad": "x" * n_padding}, ensure_ascii=False
    ).encode()
    sending = Sending("http://x/v1?a=1&b=2", (*NASTY, ("Authorization", "Bearer sk")), body, "KEY", is_insecure=True)
    script = "\n".join(['curl() { printf "%s\\0" "$@"; cat; }', *curl_lines(sending)])
    done = subprocess.run(
        ["sh"], input=script.encode(), capture_output=True, check=True, env={"KEY": "sk-1", "PATH": "/usr/bin:/bin"}
    )
    *arguments, stdin = done.stdout.decode().split("\0")
    assert arguments[:2] == ["-sSNk", "http://x/v1?a=1&b=2"]
    assert f"X-Note: {NASTY[0][1]}" in arguments
    assert "Authorization: Bearer sk-1" in arguments
    sent = stdin if n_padding else arguments[arguments.index("--data-raw") + 1]
    assert json.loads(sent) == json.loads(body)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([None, 2]))
def test_the_body_stays_the_same_json_but_harmless(text, indent):
    body = json.dumps({"prompt": text}, ensure_ascii=False, indent=indent).encode()
    (line,) = curl_lines(Sending("http://x/", (), body))
    assert line.isprintable()
    quoted = line.partition("--data-raw ")[2].removeprefix("'").removesuffix("'").replace("'\"'\"'", "'")
    assert json.loads(quoted) == {"prompt": text}
