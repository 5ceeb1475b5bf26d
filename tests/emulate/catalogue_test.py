# SPDX-License-Identifier: Apache-2.0
"""Which engines can be emulated, what is checked before one listens, and `inferometer emulate` as a command."""

from __future__ import annotations

import json
import signal
import socket
from urllib.request import urlopen

import pytest

from inferometer.emulate.catalogue import EMULATIONS, make_setting
from inferometer.errors import UsageError
from inferometer.truth.log import read_log


def test_names_are_told_apart_and_traps_are_named_once():
    names = [emulation.name for emulation in EMULATIONS]
    assert len(set(names)) == len(names) == 9
    for emulation in EMULATIONS:
        traps = [trap.name for trap in emulation.traps]
        assert len(set(traps)) == len(traps)
        assert emulation.default_traps == {trap.name for trap in emulation.traps if trap.is_default}


def test_traps_are_set_as_the_engine_has_them_and_as_they_are_chosen():
    plain = make_setting("sglang")
    assert "role-chunk" in plain.traps
    assert "metrics-off" not in plain.traps
    chosen = make_setting("sglang", with_traps=("metrics-off",), without_traps=("role-chunk",))
    assert chosen.traps == plain.traps - {"role-chunk"} | {"metrics-off"}


def test_room_is_enough_for_all_slots_unless_it_is_said():
    assert make_setting("vllm", slots=3, context=100).kv_tokens == 300
    assert make_setting("ollama").context == 4096
    with pytest.raises(UsageError, match="less than the context"):
        make_setting("vllm", kv_tokens=100, context=200)


@pytest.mark.parametrize(
    ("args", "message", "remedy"),
    [
        (("emulate", "vlm"), "there is no emulator of 'vlm': did you mean vllm?", "llama.cpp"),
        (("emulate", "tgi", "--without", "role-chunk"), "has no trap 'role-chunk'", "no-queue"),
        (("emulate", "vllm", "--with", "tokens-per-evnt"), "did you mean tokens-per-event?", "its traps are"),
        (("emulate", "vllm", "--service-law", "a=fast"), "'a=fast' is not NAME=MILLISECONDS", "a=8"),
        (("emulate", "vllm", "--kv-tokens", "64"), "less than the context", "--context"),
        (("emulate", "vllm", "--port", "70000"), "70000 is no port", "65535"),
        (("emulate", "vllm", "--log", "no/such/folder/x.log"), "there is no folder", "make it"),
        (("emulate",), "ENGINE", "inferometer emulate --help"),
        (("emulate", "vllm", "--slots", "0"), "slots", "inferometer emulate --help"),
    ],
)
def test_what_is_wrong_is_one_line_with_a_remedy(shell, args, message, remedy):
    done = shell(*args)
    assert done.exit_code == 2
    first, second = done.stderr.splitlines()
    assert message in first
    assert remedy in second
    assert done.stdout == ""


def test_a_port_that_is_taken_is_said(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = shell("emulate", "vllm", "--port", str(taken.getsockname()[1]))
    assert done.exit_code == 3
    assert "cannot be had" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped_and_leaves_its_log(shell, number):
    process = shell.start("emulate", "vllm", "--port", "0", "--model-name", "m7", "--log", "sent.log")
    url = process.stdout.readline().strip().removeprefix("listening on ")
    with urlopen(f"{url}/v1/models", timeout=10) as answer:
        assert json.load(answer)["data"][0]["id"] == "m7"
    with urlopen(f"{url}/truth/setting", timeout=10) as answer:
        assert json.load(answer)["slots"] == 16
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert len(read_log(shell.folder / "sent.log").requests) == 0
