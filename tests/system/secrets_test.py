# SPDX-License-Identifier: Apache-2.0
"""Keys and authorization headers never reach disk or screen, whoever says them and however they are cut."""

from __future__ import annotations

import sys

import pytest

KEY = "sk-live/0123456789+abcdef"
OTHER = "team-secret-987654"
FLAGS = ("--requests", "4", "--output-tokens", "4", "--input-tokens", "8", "--out", "run")
KEYS = ("--api-key-env", "ENGINE_KEY", "--header", f"X-Api-Key: {OTHER}")


def leaks(folder, *texts):
    """Files (and texts, by number) in which a secret, or half of one, can be read."""
    pieces = [KEY, OTHER, KEY[: len(KEY) // 2], KEY[len(KEY) // 2 :], OTHER[:10]]
    where = {path.name: path.read_bytes() for path in folder.iterdir()} | dict(enumerate(t.encode() for t in texts))
    return sorted(str(name) for name, data in where.items() for piece in pieces if piece.encode() in data)


def test_keys_reach_the_server_and_nothing_else(shell, truth, proxy):
    between = proxy(truth(ttft_ms=20, gap_ms=1).port)
    done = shell("run", between.url, *FLAGS, *KEYS, env={"ENGINE_KEY": f"{KEY}\n"})
    assert done.exit_code in (0, 4), done.stderr
    heads = [part for said in between.said for part in said.split(b"\r\n\r\n") if b"HTTP/1.1" in part]
    assert len(heads) > 8
    for head in heads:
        assert f"authorization: bearer {KEY}\r\n".encode().lower() in head.lower() + b"\r\n"
        assert f"x-api-key: {OTHER}".encode() in head.lower()
    shown = shell("show", "run", "--slowest", "4", "--all-reads")
    assert "$ENGINE_KEY" in shown.stdout, "the curl line takes the key from where it came"
    assert leaks(shell.folder / "run", done.stdout, done.stderr, shown.stdout, shown.stderr) == []


SLOW = [pytest.param(framing, marks=pytest.mark.slow) for framing in ("close", "length")]


@pytest.mark.parametrize("framing", ["chunked", *SLOW])
def test_a_server_that_quotes_the_key_in_two_sends(shell, truth, proxy, everything, framing):
    sick = truth(fault="echo_authorization", ttft_ms=20, gap_ms=30, framing=framing)
    between = proxy(truth(ttft_ms=20, gap_ms=1).port, sick.port)
    done = shell("run", between.url, *FLAGS, *KEYS, env={"ENGINE_KEY": KEY})
    assert done.exit_code in (3, 4), done.stderr
    shown = shell("show", "run", "--slowest", "4", "--all-reads")
    assert "error     HTTP 401: invalid credentials: ******" in shown.stdout, "the words came, masked"
    assert leaks(shell.folder / "run", done.stdout, done.stderr, shown.stdout, shown.stderr) == []
    assert KEY.encode() not in everything(shell.folder / "run")


def test_a_server_that_quotes_the_key_when_it_is_asked_who_it_is(shell, truth):
    url = truth(fault="echo_authorization", ttft_ms=20, gap_ms=30).url
    done = shell("run", url, *FLAGS, *KEYS, env={"ENGINE_KEY": KEY})
    assert done.exit_code == 3
    assert "invalid credentials" in done.stderr
    assert leaks(shell.folder, done.stdout, done.stderr) == []


def test_a_command_that_prints_the_key_it_was_given(shell):
    server = f"{sys.executable} -m inferometer.truth.server --port {{port}} --ttft-ms 20 --gap-ms 1"
    script = f'echo "key $ENGINE_KEY, argument $0"; exec {server}'
    command = ("sh", "-c", script, "--api-key", KEY)
    done = shell("run", *FLAGS, *KEYS, "--", *command, env={"ENGINE_KEY": KEY})
    assert done.exit_code in (0, 4), done.stderr
    assert (shell.folder / "run" / "engine.log").read_text().startswith("key ****")
    assert leaks(shell.folder / "run", done.stdout, done.stderr) == []


@pytest.mark.slow
def test_a_command_that_dies_with_the_key_on_its_lips(shell):
    script = 'echo "bad key $ENGINE_KEY" >&2; exit 1'
    done = shell("run", *FLAGS, *KEYS, "--", "sh", "-c", script, "{port}", env={"ENGINE_KEY": KEY})
    assert done.exit_code == 3
    assert "bad key" in done.stderr
    assert leaks(shell.folder / "run", done.stdout, done.stderr) == []
