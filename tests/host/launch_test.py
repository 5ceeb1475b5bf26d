# SPDX-License-Identifier: Apache-2.0
"""Real processes, started, waited for, and gone afterwards, whichever side dies and however."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from inferometer.engines.registry import engine_named
from inferometer.errors import EngineError, UsageError
from inferometer.host.launch import divide_cores, free_port, launch, place_port

pytestmark = pytest.mark.skipif(os.name != "posix", reason="servers are started on Linux and macOS only")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")

SMALL_SERVER = Path(__file__).with_name("small_server.py")

# Starts a server and waits to be killed; prints the pids of the supervisor and of the server's processes.
PARENT = """
import sys, signal, pathlib, psutil
from inferometer.host.launch import launch, place_port
argv, url = place_port(sys.argv[2:], None)
server = launch(argv, base_url=url, log_path=pathlib.Path(sys.argv[1]), grace_s=0.2)
print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True)
signal.pause()
"""


def small_server(*flags: str) -> list[str]:
    return [sys.executable, str(SMALL_SERVER), "--port", "{port}", *flags]


@pytest.fixture
def start(tmp_path):
    """Starts small_server.py with these flags; all is stopped after the test."""
    servers = []

    def start(*flags, argv=None, **options):
        argv, base_url = place_port(argv or small_server(*flags), None)
        options = {"log_path": tmp_path / "log", "grace_s": 0.3, "ready_within_s": 60, **options}
        servers.append(launch(argv, base_url=base_url, **options))
        servers[-1].base_url = base_url
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@contextmanager
def parent_process(tmp_path, argv):
    """A process that has launched `argv` and waits; killed in the end, whatever the test found."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log"), *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield parent
    finally:
        parent.kill()
        parent.communicate()


def await_gone(pids):
    """Until none of these processes runs; a test that hangs here has found an orphan."""
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def is_refused(base_url):
    try:
        httpx.get(base_url)
    except httpx.ConnectError:
        return True
    return False


def test_it_answers_when_launch_returns_and_is_gone_after_the_block(start):
    with start() as server:
        assert httpx.get(f"{server.base_url}/health").status_code == 200
        assert server.is_running
        assert server.exit_code is None
        assert server.ready_s > 0
        pids = server.pids()
        assert psutil.Process(pids[0]).cmdline()[1] == str(SMALL_SERVER)
    assert not server.is_running
    assert server.exit_code == 128 + signal.SIGTERM
    assert server.pids() == []
    assert is_refused(server.base_url)
    await_gone(pids)


def test_stopping_twice_is_stopping_once(start):
    server = start()
    server.stop()
    server.stop()
    assert not server.is_running


def test_a_server_that_loads_is_waited_for(start):
    server = start("--loading", "3")
    assert server.last_lines() == ["asked /health: 503"] * 3 + ["asked /health: 200"]


def test_a_server_without_a_health_route_is_asked_for_its_models(start):
    server = start("--knows", "/v1/models")
    assert server.last_lines() == ["asked /health: 404", "asked /v1/models: 200"]


def test_a_server_that_knows_no_route_of_ours_but_answers_is_ready(start):
    server = start("--knows")
    assert server.last_lines() == ["asked /health: 404", "asked /v1/models: 404"]


def test_a_url_that_ends_in_v1_is_asked_at_its_root(tmp_path):
    port = free_port()
    argv = [word.replace("{port}", str(port)) for word in small_server()]
    with launch(argv, base_url=f"http://127.0.0.1:{port}/v1", log_path=tmp_path / "log") as server:
        assert server.last_lines() == ["asked /health: 200"]


@pytest.mark.parametrize(
    ("last_words", "remedy"),
    [
        ("OSError: [Errno 98] Address already in use", "another port"),
        ("torch.OutOfMemoryError: CUDA out of memory.", "less to hold"),
        ("error: failed to load model '/nowhere.gguf'", "model's path"),
        ("ModuleNotFoundError: No module named 'vllm'", "install it"),
        ("api_server.py: error: unrecognized arguments: --modle", "own flags"),
        ("something new under the sun", "run the command by hand"),
    ],
)
def test_one_that_dies_is_quoted_with_a_remedy(start, tmp_path, last_words, remedy):
    with pytest.raises(EngineError, match=r"exit code 3") as caught:
        start("--say", f"first line\n{last_words}", "--exit", "3")
    assert str(caught.value).endswith(last_words)
    assert caught.value.exit_code == 3
    assert remedy in caught.value.remedy
    assert "\n    | first line\n" in caught.value.remedy
    assert str(tmp_path / "log") in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "said", "reason", "remedy"),
    [
        (  # 0.32.0, as it was seen: the reason stands far above the last line
            "vllm",
            "ValueError: To serve at least one request with the model's max seq len (4096), (0.02 GiB KV cache is\n"
            "Traceback (most recent call last):\n"
            "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
            "To serve at least one request",
            "lower --set context",
        ),
        ("vllm", "torch.OutOfMemoryError: CUDA out of memory. Tried\nRuntimeError: Engine core", "OutOfMemory", "hold"),
        ("vllm", "ValueError: Model architectures ['X'] are not supported for now.", "['X']", "another model"),
        (
            "vllm",
            "importlib.metadata.PackageNotFoundError: No package metadata was found for vllm",
            "No package metadata",
            "METADATA",
        ),
        ("lmdeploy", "AssertionError: Torch not compiled with CUDA enabled", "not compiled", "device"),
        ("llama.cpp", "E llama_model_load: unknown model architecture: 'x'\nE srv: exiting", "'x'", "newer llama.cpp"),
        ("llama.cpp", "gguf_init_from_reader: failed to read magic\nE srv: exiting", "magic", "the file is no GGUF"),
        ("llama.cpp", "E srv start: couldn't bind HTTP server socket\nE srv: exiting", "bind", "another port"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_an_engine_says_its_own_reason_wherever_it_stands(start, name, said, reason, remedy):
    failures = engine_named(name).launch.failures
    with pytest.raises(EngineError) as caught:
        start("--say", said, "--exit", "1", failures=failures)
    assert reason in str(caught.value)
    assert remedy in caught.value.remedy.partition(";")[0]


def test_while_it_loads_somebody_may_be_told_what_it_says(start):
    told = []
    start(
        "--say",
        "loading layer 7 of 32",
        "--loading",
        "52",  # asked every 20 ms at most: a second and a little
        on_wait=lambda waited_s, line: told.append((waited_s, line)),
    )
    assert told
    assert all(waited_s >= 1 for waited_s, _ in told)
    assert {line for _, line in told} <= {"", "loading layer 7 of 32", "asked /health: 503"}
    assert told[-1][1]


def test_a_command_for_the_end_is_run_however_the_end_comes(start, tmp_path):
    server = start(after=["touch", str(tmp_path / "after")])
    assert server.is_container
    assert not (tmp_path / "after").exists()
    os.kill(server.pids()[0], signal.SIGKILL)
    server.stop()
    assert (tmp_path / "after").exists()
    assert server.peak_memory_bytes() is None


@linux_only
def test_the_most_it_held_is_at_least_what_it_holds(start, tmp_path):
    server = start("--children", str(tmp_path / "pids"))
    held = sum(psutil.Process(pid).memory_info().rss for pid in server.pids())
    assert server.peak_memory_bytes() >= held * 0.99
    server.stop()
    assert server.peak_memory_bytes() >= held * 0.99, "what was seen stays"


def test_one_that_is_killed_by_a_signal_says_so(start):
    with pytest.raises(EngineError, match="ended by SIGKILL") as caught:
        start("--signal", str(int(signal.SIGKILL)))
    assert "memory" in caught.value.remedy


def test_one_that_ends_well_without_serving_is_an_error_too(start):
    with pytest.raises(EngineError, match=r"exit code 0.*printed nothing"):
        start("--exit", "0")


def test_one_that_never_listens_is_stopped_with_an_error(start, tmp_path):
    argv = ["sh", "-c", "echo pid $$; exec sleep 600", "{port}"]
    with pytest.raises(EngineError, match=r"did not answer within 2.00 s .*refused"):
        start(argv=argv, ready_within_s=2)
    await_gone([int((tmp_path / "log").read_text().split()[1])])


def test_one_that_never_stops_loading_says_what_it_last_said(start):
    with pytest.raises(EngineError, match=r"did not answer within .*/health: HTTP 503"):
        start("--loading", "1000000", ready_within_s=2.0)  # in which Python starts, also on a busy machine


def test_a_command_that_does_not_exist_is_named(start):
    with pytest.raises(EngineError, match="there is no command 'no-such-engine'"):
        start(argv=["no-such-engine", "--port", "{port}"])


def test_a_file_that_cannot_be_run_is_told(start, tmp_path):
    script = tmp_path / "engine"
    script.write_text("not a program")
    script.chmod(0o755)
    with pytest.raises(EngineError, match=r"cannot start .*Exec format error"):
        start(argv=[str(script), "{port}"])


def test_a_port_in_use_is_refused_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port} on 127.0.0.1 is already in use by .*pid {os.getpid()}"):
            launch(small_server(), base_url=f"http://127.0.0.1:{port}", log_path=tmp_path / "log")
    assert not (tmp_path / "log").exists()


@linux_only
def test_all_its_children_go_with_it_also_daemons_and_deaf_ones(start, tmp_path):
    server = start("--deaf", "--children", str(tmp_path / "pids"))
    told = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert set(told) < set(server.pids())
    server.stop()
    assert server.exit_code == 128 + signal.SIGKILL
    await_gone(told)


@linux_only
def test_children_of_one_that_died_go_too(start, tmp_path):
    server = start("--children", str(tmp_path / "pids"))
    told = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    os.kill(server.pids()[0], signal.SIGKILL)
    await_gone(told)
    server.stop()
    assert server.exit_code == 128 + signal.SIGKILL


@linux_only
def test_a_command_that_goes_to_the_background_is_served_and_stopped(start):
    server = start("--fork")
    assert server.is_running
    assert httpx.get(f"{server.base_url}/health").status_code == 200
    pids = server.pids()
    server.stop()
    await_gone(pids)
    assert is_refused(server.base_url)


@linux_only
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_we_are_ended(tmp_path, number):
    argv = small_server("--children", str(tmp_path / "pids"))
    with parent_process(tmp_path, argv) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 1 + 1 + 4  # supervisor, server, its children
        os.kill(parent.pid, number)
        parent.wait()
        await_gone(pids)


@linux_only
def test_nothing_is_left_when_we_are_killed_while_it_loads(tmp_path):
    argv = small_server("--loading", "1000000", "--children", str(tmp_path / "pids"))
    with parent_process(tmp_path, argv) as parent:
        while not (tmp_path / "log").exists() or "503" not in (tmp_path / "log").read_text():
            assert parent.poll() is None
        pids = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
        assert len(pids) == 1 + 1 + 4
        parent.kill()
        parent.wait()
        await_gone(pids)


@linux_only
def test_the_server_ends_with_its_supervisor(start):
    server = start()
    pids = server.pids()
    os.kill(psutil.Process(pids[0]).ppid(), signal.SIGKILL)
    await_gone(pids)
    server.stop()
    assert not server.is_running


@pytest.mark.parametrize("flags", [["--api-key", "sk-do-not-show-me"], ["--api-key=sk-do-not-show-me"], []])
def test_secrets_reach_neither_log_nor_message_nor_records(start, tmp_path, flags):
    secret = "sk-do-not-show-me"
    say = ["--say", f"args: {{'api_key': '{secret}'}}\nhalf sk-do-not"]
    told = [] if flags else [secret]  # what the command line itself holds need not be told
    server = start(*flags, *say, secrets=told)
    server.stop()
    assert secret not in (tmp_path / "log").read_text()
    assert "half sk-do-not" in server.last_lines()
    assert secret not in " ".join(server.argv[: -len(say)])
    with pytest.raises(EngineError) as caught:
        start(*flags, *say, "--exit", "1", secrets=told)
    assert secret not in str(caught.value) + caught.value.remedy


@linux_only
def test_it_runs_on_the_cores_it_was_given_and_sees_the_environment_it_was_given(start):
    core = min(os.sched_getaffinity(0))
    server = start(cpus=[core], env={**os.environ, "GREETING": "hello"})
    process = psutil.Process(server.pids()[0])
    assert process.cpu_affinity() == [core]
    assert process.environ()["GREETING"] == "hello"


@pytest.mark.parametrize(
    ("url", "expected_port", "expected_url"),
    [
        ("http://127.0.0.1:8000", "8000", "http://127.0.0.1:8000"),
        ("http://localhost:9001/v1/", "9001", "http://localhost:9001/v1"),
        ("http://[::1]:8000", "8000", "http://[::1]:8000"),
        ("https://localhost", "443", "https://localhost"),
    ],
)
def test_a_url_tells_the_port(url, expected_port, expected_url):
    assert place_port(["serve", "--port={port}"], url) == (["serve", f"--port={expected_port}"], expected_url)


def test_a_url_alone_is_enough():
    assert place_port(["serve"], "http://localhost:8000") == (["serve"], "http://localhost:8000")


def test_without_a_url_a_free_port_is_put_everywhere():
    argv, url = place_port(["serve", "--port", "{port}", "--other={port}"], None)
    port = url.removeprefix("http://127.0.0.1:")
    assert argv == ["serve", "--port", port, f"--other={port}"]
    with socket.create_server(("127.0.0.1", int(port))):
        pass


def test_a_command_that_tells_no_port_is_refused_with_the_remedy_and_without_its_key():
    with pytest.raises(UsageError, match="vllm serve --api-key") as caught:
        place_port(["vllm", "serve", "--api-key", "sk-do-not-show-me"], None)
    assert "{port}" in caught.value.remedy
    assert "sk-do" not in str(caught.value)


@linux_only
def test_the_cores_are_divided_between_client_and_engine():
    client, engine = divide_cores()
    usable = os.sched_getaffinity(0)
    if len(usable) == 1:
        assert (client, engine) == ([], None)
    else:
        assert len(client) == 1
        assert set(client) | set(engine) == usable
        assert not set(client) & set(engine)
    assert divide_cores(len(usable)) == ([], None)
