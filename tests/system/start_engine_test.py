# SPDX-License-Identifier: Apache-2.0
"""The real llama.cpp, started by name: ready, measured, stopped; ways of failing; the harm that defaults prevent."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import sys
import threading
from pathlib import Path

import httpx
import psutil
import pytest
from tests.patience import until

from inferometer.clock import Clock
from inferometer.embedded.cache import ensure_model
from inferometer.experiment.starting import Load, launched, prepare
from inferometer.units import NS_PER_S

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.name != "posix", reason="servers are started on Linux and macOS only"),
]

SHORT = ("--requests", "6", "--warmup", "0", "--output-tokens", "8", "--input-tokens", "16")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ensure_model(folder=tmp_path_factory.mktemp("models"))


@pytest.fixture
def serve(shell, model):
    """`serve(*flags)`: (the process, what it said when ready as label -> text)."""

    def start(*flags):
        process = shell.start("serve", "llamacpp", "--model", str(model), *flags)
        told = {}
        while "next" not in told:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            label, _, text = line.strip().partition(" ")
            told[label] = text.strip()
        return process, told

    return start


def url_of(told):
    return told["ready"].split()[0]


def await_gone(pids):
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=30)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


# --- it works ------------------------------------------------------------------------------------------------------


def test_serve_says_where_and_how_and_stops_on_ctrl_c(serve, processes, model):
    process, told = serve("--set", "context=1024", "--set", "max_concurrency=3", "--set", "kv_dtype=float32")
    url = url_of(told)
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}
    props = httpx.get(f"{url}/props").json()
    assert (props["total_slots"], props["default_generation_settings"]["n_ctx"]) == (3, 1024)
    assert "llamacpp:requests_processing" in httpx.get(f"{url}/metrics").text
    command = shlex.split(told["command"])
    assert command[command.index("--cache-type-k") + 1] == "f32"
    assert "--no-kv-unified" in command
    assert re.search(r"after \d+\.\d\d s, [\d.]+ MB of memory at most", told["ready"])
    assert "loading model" in Path(told["log"]).read_text()
    pids = processes(str(model))
    assert pids
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert stderr.endswith("inferometer: stopped\n")
    await_gone(pids)


def test_what_stands_after_the_dashes_is_passed_on_and_wins_over_a_default(serve):
    _, told = serve("--", "--kv-unified", "--batch-size", "64")
    command = shlex.split(told["command"])
    assert "--no-kv-unified" not in command
    assert command[-3:] == ["--kv-unified", "--batch-size", "64"]


def test_a_dry_run_prints_a_command_that_works(shell, model):
    done = shell("serve", "llamacpp", "--model", str(model), "--dry-run", "--set", "threads=1")
    assert done.exit_code == 0, done.stderr
    words = shlex.split(done.stdout)
    again = shell("run", *SHORT, f"http://127.0.0.1:{words[words.index('--port') + 1]}", "--", *words)
    assert again.exit_code in (0, 4), again.stderr
    assert "6 ok" in again.stdout


def test_run_starts_it_as_the_load_needs_and_keeps_what_was_set(shell, model, processes, rows):
    flags = ("--engine", "llamacpp", "--model", str(model), "--concurrency", "3", "--set", "seed=7", "--out", "run")
    done = shell("run", *SHORT, *flags)
    assert done.exit_code in (0, 4), done.stderr
    assert "6 ok" in done.stdout
    assert processes(str(model)) == []
    engine = json.loads((shell.folder / "run" / "manifest.json").read_text())["engine"]
    assert engine["name"] == "llama.cpp"
    assert engine["version"].startswith("xllamacpp ")
    assert engine["settings"] == {
        "max_concurrency": "3",
        "context": "512",
        "threads": engine["settings"]["threads"],
        "seed": "7",
    }
    assert engine["argv"][engine["argv"].index("--threads-http") + 1] == str(3 + 4)
    assert engine["context_tokens"] == 512
    assert (engine["model_format"], engine["model_architecture"]) == ("gguf", "llama")
    assert engine["model_bytes"] == model.stat().st_size
    assert engine["ready_s"] > 0
    assert engine["peak_memory_bytes"] > model.stat().st_size
    assert "loading model" in (shell.folder / "run" / "engine.log").read_text()
    assert ("engine", "cpu_s") in {(row["source"], row["gauge"]) for row in rows(shell.folder / "run", "samples")}


# --- it fails ------------------------------------------------------------------------------------------------------


def altered(model, path, change):
    path.write_bytes(change(model.read_bytes()))
    return str(path)


def failed(done, *words):
    assert done.exit_code == 3, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_an_architecture_that_it_does_not_know(shell, model):
    def renamed(data):
        at = data.index(b"llama", data.index(b"general.architecture"))
        return data[:at] + b"lluma" + data[at + 5 :]

    done = shell("serve", "llamacpp", "--model", altered(model, shell.folder / "m.gguf", renamed))
    failed(done, "unknown model architecture: 'lluma'", "-> take a newer llama.cpp", ".log", "    | ")


def test_a_file_that_is_cut_off(shell, model):
    path = altered(model, shell.folder / "m.gguf", lambda data: data[: len(data) // 2])
    done = shell("run", "--engine", "llamacpp", "--model", path, "--out", "run", *SHORT)
    failed(done, "model is corrupted or incomplete", "fetch it again")
    assert json.loads((shell.folder / "run" / "manifest.json").read_text())["state"] == "failed"


def test_more_than_the_memory_holds(shell, model):
    """A limit of the process makes it fail at once, instead of filling the machine."""
    command = f"ulimit -v 4000000; exec {shlex.join([sys.executable, '-m', 'inferometer'])} serve llamacpp"
    process = psutil.Popen(
        ["bash", "-c", f"{command} --model {model} --set context=1000000"], stderr=-1, stdout=-1, text=True
    )
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3, stderr
    assert re.search(r"^inferometer: .*(bad_alloc|failed to allocate)", stderr, re.MULTILINE)
    assert "lower --set context" in stderr


def test_a_port_in_use(shell, model):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = shell("serve", "llamacpp", "--model", str(model), "--port", str(port))
    failed(done, f"port {port} on 127.0.0.1 is already in use", f"pid {os.getpid()}")


def test_flags_that_it_does_not_know(shell, model):
    done = shell("serve", "llamacpp", "--model", str(model), "--", "--no-such-flag")
    failed(done, "unrecognized arguments: --no-such-flag", "flags")


def test_one_that_dies_later_is_told(serve):
    process, told = serve()
    (pid,) = [
        c.pid for c in psutil.Process(process.pid).children(recursive=True) if "embedded" in " ".join(c.cmdline())
    ]
    os.kill(pid, signal.SIGKILL)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "the engine ended with exit code 137" in stderr
    assert told["log"] in stderr


# --- nothing is left -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_serve_whatever_ends_it(serve, number):
    process, told = serve()
    pids = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(pids) == 2, "the supervisor and the engine"
    process.send_signal(number)
    process.communicate(timeout=30)
    await_gone(pids)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url_of(told))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_nothing_is_left_of_a_run_that_is_killed(shell, model, processes):
    process = shell.start("run", "--engine", "llamacpp", "--model", str(model), "--for", "60s", "--out", "run")
    until((shell.folder / "run" / "recorder.bin").exists, "the recorder's file")
    pids = processes(str(model))
    assert len(pids) == 2, "inferometer and the engine"
    process.kill()
    process.communicate(timeout=30)
    await_gone(pids)


# --- the harm that a default prevents ------------------------------------------------------------------------------

N_CLIENTS = 64
COUNT_WITHIN_S = 8  # far less than 4,000 tokens for one after another take, far more than to count


def most_counted(model, tmp_path, *extra):
    """Requests that the engine counts as running or waiting while all of N_CLIENTS are there, at most."""
    start = prepare(
        "llamacpp", str(model), ["max_concurrency=1", "context=4096"], extra, Load(N_CLIENTS, 1, 4096, n_cores=1)
    )
    body = {"prompt": [5] * 4, "max_tokens": 4000, "ignore_eos": True, "stream": True}
    request = json.dumps(body).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with launched(start, tmp_path / "log", ready_within_s=60):
        port = int(start.url.rpartition(":")[2])
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(N_CLIENTS)]
        for client in clients:
            client.sendall(head % len(request) + request)
        most = 0
        clock = Clock()
        while most < N_CLIENTS and clock.now_ns() < COUNT_WITHIN_S * NS_PER_S:
            try:
                text = httpx.get(f"{start.url}/metrics", timeout=2).text
            except httpx.ReadTimeout:  # no thread for it either
                continue
            counts = re.findall(r"^llamacpp:requests_(?:processing|deferred) (\d+)", text, re.MULTILINE)
            assert len(counts) == 2
            most = max(most, sum(map(int, counts)))
        for client in clients:
            client.close()
    return most


def test_without_enough_http_threads_waiting_requests_are_not_counted(model, tmp_path):
    assert most_counted(model, tmp_path) == N_CLIENTS
    assert most_counted(model, tmp_path, "--threads-http", "8") < N_CLIENTS, "more than it would take for one slot"


def test_without_the_default_there_are_no_metrics(serve):
    """The default cannot be turned off by a flag, so the command is run without it."""
    process, told = serve()
    assert httpx.get(f"{url_of(told)}/metrics").status_code == 200
    words = [word for word in shlex.split(told["command"]) if word != "--metrics"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    bare = psutil.Popen(words, stdout=-1, stderr=-2)
    try:
        assert b"ready on" in next(line for line in bare.stdout if b"ready on" in line)
        assert httpx.get(f"{url_of(told)}/metrics").status_code == 501
    finally:
        bare.kill()
        bare.communicate()


def ends_of(model, tmp_path, *extra):
    """How four long answers end that together need more context than there is in one pool: True where with a reason."""
    start = prepare("llamacpp", str(model), ["max_concurrency=4"], extra, Load(4, 4, 512, n_cores=1))
    ends = []

    def ask(seed):
        prompt = [300 + (seed * 7919 + i * 104729) % 3000 for i in range(40)]
        body = {"prompt": prompt, "max_tokens": 450, "ignore_eos": True, "stream": True}
        with httpx.stream("POST", f"{start.url}/v1/completions", json=body, timeout=60) as answer:
            text = answer.read().decode()
        ends.append('"error"' not in text and '"finish_reason":"length"' in text)

    with launched(start, tmp_path / "log", ready_within_s=60):
        askers = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    return ends


def test_with_a_unified_cache_that_is_too_small_answers_die_with_status_200(model, tmp_path):
    assert ends_of(model, tmp_path) == [True] * 4
    assert False in ends_of(model, tmp_path, "--kv-unified", "--ctx-size", "1024")
    # The same 1,024 tokens in slots of their own: shorter answers, but none that dies.
    assert ends_of(model, tmp_path, "--ctx-size", "1024") == [True] * 4
