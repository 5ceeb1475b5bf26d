# SPDX-License-Identifier: Apache-2.0
"""Starting a server that is to be measured, waiting until it truly answers, stopping it and everything it started.

Rule 1: a server that we start never outlives us (see supervise.py); one that somebody else runs is never touched.
Rule 2: what a person needs when it fails is in the error: the engine's own last lines, and what to do about them.
Rule 3: secrets are masked before they reach the log, and in every message.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psutil

from inferometer.clock import Clock, sleep_s
from inferometer.engines.launch import Failure
from inferometer.errors import EngineError, UsageError
from inferometer.host.control import port_of
from inferometer.host.supervise import CANNOT_START
from inferometer.secrecy import MASK, redact_argv, redact_url, scrub_text
from inferometer.units import NS_PER_S, format_duration

PORT_MARK = "{port}"
_LISTEN = psutil.CONN_LISTEN
READY_PATHS = ("/health", "/v1/models")

_POLL_S = 0.02  # the embedded engine is ready in a tenth of a second,
_SLOW_POLL_S = 0.25  # others in minutes: after a second there is no hurry
_ANSWER_WITHIN_S = 5.0  # a busy server's health route may take a while
_N_LAST_LINES = 12
_TAIL_BYTES = 64 * 1024
_N_SEARCHED_LINES = 400  # the reason stands above a trace, at times above two
_MAX_LINE = 300
_REMOVED_WITHIN_S = 45.0  # a container, by its tool, after the grace period

# What engines say before they die, and what to do about it. First match wins; matched without regard to case.
_REMEDIES = (
    (r"address (is )?already in use|port \d+ is (already )?(in use|taken)|errno 98|eaddrinuse", "choose another port"),
    (
        r"out of memory|outofmemory|cannot allocate memory|bad_alloc|no available memory|unable to allocate",
        "give it less to hold: a smaller model or context, fewer parallel sequences, a smaller KV cache",
    ),
    (
        r"no such file|not found|does not exist|failed to load model|cannot open|repository",
        "check the model's path or name, and that the command works when typed by hand",
    ),
    (
        r"no module named|modulenotfounderror|importerror|command not found",
        "install it into the environment that the command runs in",
    ),
    (
        r"unrecognized arguments|unknown argument|invalid argument|invalid choice|usage:",
        "check the command's own flags",
    ),
)


class Server:
    """A running server that we started; leaving the `with` block stops it.

    `argv`: the command as it may be shown; `ready_s`: from start to the first good answer; `log_path`: all it printed.
    `is_container`: its processes are not below ours, and what can be seen of them is only the container tool.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], argv: list[str], log_path: Path, grace_s: float, secrets: Sequence[str]
    ) -> None:
        self.argv = argv
        self.log_path = log_path
        self.ready_s = 0.0
        self._process = process
        self._grace_s = grace_s
        self._secrets = [secret.encode() for secret in secrets]
        self._peak_bytes = 0
        self.is_container = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The server's own exit code (128 + n: ended by signal n), None while anything of it runs."""
        return self._process.poll()

    def pids(self) -> list[int]:
        """The command and all its descendants, parents first; not our supervisor."""
        return family(self._process.pid)[1:]

    def peak_memory_bytes(self) -> int | None:
        """The most that its processes were seen to hold: the sum of each one's peak resident size (Linux). What they
        share counts in each. None where it cannot be known."""
        if self.is_container or sys.platform != "linux":
            return None
        self._peak_bytes = max(self._peak_bytes, sum(_peak_bytes(pid) for pid in self.pids()))
        return self._peak_bytes or None

    def last_lines(self, n_lines: int = _N_LAST_LINES) -> list[str]:
        """The last lines of its log that say anything, secrets masked."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            text = scrub_text(log.read().decode("utf-8", errors="replace"), self._secrets)
        return [line.rstrip() for line in text.splitlines() if line.strip()][-n_lines:]

    def stop(self) -> None:
        """SIGTERM to its group, SIGKILL to what is left of it after the grace period. May be called twice."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()  # the supervisor's sign to end it
        try:
            self._process.wait(self._grace_s + (_REMOVED_WITHIN_S if self.is_container else 10))
        except subprocess.TimeoutExpired:  # the supervisor itself is stuck or stopped; the kernel ends the server then
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def launch(
    argv: Sequence[str],
    *,
    base_url: str,
    log_path: Path,
    ready_paths: Sequence[str] = READY_PATHS,
    ready_within_s: float = 300.0,
    env: Mapping[str, str] | None = None,
    cpus: Sequence[int] | None = None,
    secrets: Sequence[str] = (),
    grace_s: float = 10.0,
    failures: Sequence[Failure] = (),
    after: Sequence[str] = (),
    on_wait: Callable[[float, str], None] | None = None,
) -> Server:
    """Start a server command and wait until it answers at `base_url`. All it prints goes to `log_path`.

    `cpus`: the only cores it may use (Linux). `secrets`: what to mask in its log, beside what the command itself holds
    under a name like --api-key. `grace_s`: from SIGTERM to SIGKILL. `failures`: what this engine says when it cannot
    start. `after`: a command for the end, however it comes, that takes a container away. `on_wait`: told every now and
    then how long it has been loading, in seconds, and its last line.
    It is ready when one of `ready_paths`, asked in turn, says 200; 503 and refused connections mean "loading". A server
    that knows none of them (404 and the like) but answers is ready too.

    Raises: EngineError if the port is taken, or it cannot be started, dies, or does not answer in time.
    """
    if os.name != "posix":
        raise EngineError(
            "starting a server is possible on Linux and macOS only", "start it by hand and give its URL instead"
        )
    shown = redact_argv(argv)
    secrets = [*secrets, *_secrets_in(argv, shown)]
    _refuse_taken_port(base_url)
    if shutil.which(argv[0], path=None if env is None else env.get("PATH")) is None:
        raise EngineError(f"there is no command {shown[0]!r}", "check its name and PATH, or give its full path")
    clock = Clock()
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "inferometer.host.supervise"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle
            env=env,
        )
    server = Server(process, shown, log_path, grace_s, secrets)
    server.is_container = bool(after)
    try:
        _send_order(process, argv, cpus, secrets, grace_s, after)
        _await_ready(server, base_url, ready_paths, clock, ready_within_s, failures, on_wait)
    except BaseException:  # Ctrl-C while it loads included: nothing may be left running
        server.stop()
        raise
    server.ready_s = clock.now_ns() / NS_PER_S
    server.peak_memory_bytes()
    return server


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


def place_port(argv: Sequence[str], url: str | None) -> tuple[list[str], str]:
    """The command with `{port}` replaced, and the base URL at which its server will answer.

    The port is the URL's where one is given, else a free one on 127.0.0.1.
    Raises: UsageError if neither the command nor a URL tells the port.
    """
    if url is not None:
        port = port_of(url)
        base_url = url.rstrip("/")
    elif any(PORT_MARK in word for word in argv):
        port = free_port()
        base_url = f"http://127.0.0.1:{port}"
    else:
        raise UsageError(
            f"nothing tells on which port this command will listen: {shlex.join(redact_argv(argv))}",
            f"write {PORT_MARK} where the port belongs (--port {PORT_MARK}), or give the server's URL before --",
        )
    return [word.replace(PORT_MARK, str(port)) for word in argv], base_url


def divide_cores(n_client: int = 1) -> tuple[list[int], list[int] | None]:
    """(cores for the client, cores for the engine): one for each process of ours, the rest for it.

    ([], None) where that cannot be, for want of cores or of a way to keep to them.

    The highest core is ours: the lowest ones serve most interrupts.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [], None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[-n_client:], cores[:-n_client]) if len(cores) > n_client else ([], None)


def _secrets_in(argv: Sequence[str], shown: Sequence[str]) -> list[str]:
    """What was masked in a command line: engines like to print their settings."""
    found = []
    for word, masked in zip(argv, shown, strict=True):
        if word != masked:
            before, _, _ = masked.partition(MASK)
            _, _, after = masked.rpartition(MASK)
            found.append(word[len(before) : len(word) - len(after)])
    return found


def _send_order(
    process: subprocess.Popen[bytes],
    argv: Sequence[str],
    cpus: Sequence[int] | None,
    secrets: Sequence[str],
    grace_s: float,
    after: Sequence[str],
) -> None:
    order = {
        "argv": list(argv),
        "cpus": list(cpus) if cpus and hasattr(os, "sched_setaffinity") else None,
        "grace_s": grace_s,
        "secrets": list(secrets),
        "after": list(after),
    }
    if process.stdin is None:
        raise AssertionError("stdin is a pipe")
    with contextlib.suppress(BrokenPipeError):  # it died at once; waiting for the answer tells why
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()


def _await_ready(
    server: Server,
    base_url: str,
    ready_paths: Sequence[str],
    clock: Clock,
    ready_within_s: float,
    failures: Sequence[Failure],
    on_wait: Callable[[float, str], None] | None,
) -> None:
    state = ""
    while True:
        is_ready, state = _ask(base_url, ready_paths)
        if not server.is_running:
            raise _died(server, failures)
        if is_ready:
            return
        waited_s = clock.now_ns() / NS_PER_S
        if waited_s > ready_within_s:
            raise EngineError(
                f"the server did not answer within {format_duration(ready_within_s)} ({state})",
                f"allow it more time (--ready-timeout), or see {server.log_path}{_quoted(server.last_lines())}",
            )
        if waited_s >= 1:
            server.peak_memory_bytes()
            if on_wait is not None:
                on_wait(waited_s, next(iter(server.last_lines(1)), ""))
        sleep_s(_POLL_S if waited_s < 1 else _SLOW_POLL_S)


def _ask(base_url: str, paths: Sequence[str]) -> tuple[bool, str]:
    """(is it ready, what it said) by asking each path in turn."""
    said = ""
    for path in paths:
        try:
            status = _status(base_url, path)
        except (OSError, http.client.HTTPException) as error:
            return False, f"{redact_url(base_url)}: {error or type(error).__name__}"
        said = f"{path}: HTTP {status}"
        if status < 300 or status >= 500:
            return status < 300, said
    return True, said  # it speaks HTTP and is not loading; it only does not know these paths


def _status(base_url: str, path: str) -> int:
    """Status of one GET. Nothing secret is sent, so a certificate need not be trusted here."""
    parts = urlsplit(base_url)
    host = parts.hostname or "127.0.0.1"
    connection = (
        http.client.HTTPSConnection(
            host, parts.port, timeout=_ANSWER_WITHIN_S, context=ssl._create_unverified_context()
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=_ANSWER_WITHIN_S)
    )
    with contextlib.closing(connection):
        connection.request("GET", parts.path.rstrip("/").removesuffix("/v1") + path)
        return connection.getresponse().status


def _refuse_taken_port(base_url: str) -> None:
    """Another server at that address would be measured in place of ours."""
    host, port = urlsplit(base_url).hostname or "127.0.0.1", port_of(base_url)
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return
    raise EngineError(
        f"port {port} on {host} is already in use{_user_of(port)}",
        f"stop that server or measure it by its URL, or have a free port chosen ({PORT_MARK} in a command)",
    )


def listeners(port: int) -> list[int]:
    """Processes of this machine that listen on a port, as far as we may see them."""
    try:
        found = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS lets only root see them
        return []
    return sorted({c.pid for c in found if c.pid and c.laddr and c.laddr.port == port and c.status == _LISTEN})


def family(pid: int) -> list[int]:
    """A process and all its descendants, parents first; empty if it has ended."""
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _user_of(port: int) -> str:
    """ " by NAME (pid N)" where we are allowed to know."""
    with contextlib.suppress(psutil.Error):
        for pid in listeners(port):
            return f" by {psutil.Process(pid).name()} (pid {pid})"
    return ""


def _died(server: Server, failures: Sequence[Failure]) -> EngineError:
    """The engine's own words first, then what they usually mean."""
    lines = server.last_lines()
    told = _told_failure(server.last_lines(_N_SEARCHED_LINES), failures)
    code = server.exit_code or 0
    if code == CANNOT_START and not lines:
        how = "could not be started"
    elif code > 128:
        how = f"was ended by {_signal_name(code - 128)} before it answered"
    else:
        how = f"ended before it answered (exit code {code})"
    if told is not None:
        line, remedy = told
        remedy = f"{remedy}; all it said is in {server.log_path}{_quoted(lines)}"
        return EngineError(f"the server {how}: {line}", remedy)
    text = "\n".join(lines)
    remedy = next((remedy for pattern, remedy in _REMEDIES if re.search(pattern, text, re.IGNORECASE)), "")
    if not remedy and code == 128 + signal.SIGKILL:
        remedy = "the kernel kills a process like this when memory runs out; see `dmesg`"
    remedy = remedy or "run the command by hand"
    telling = lines[-1].strip() if lines else "it printed nothing"
    return EngineError(f"the server {how}: {telling}", f"{remedy}; all it said is in {server.log_path}{_quoted(lines)}")


def _told_failure(lines: Sequence[str], failures: Sequence[Failure]) -> tuple[str, str] | None:
    """(the line in which an engine says why it cannot start, what to do), by the first failure that is found. Its last
    line is often only the end of a trace."""
    for failure in failures:
        for line in reversed(lines):
            if re.search(failure.pattern, line, re.IGNORECASE):
                return line.strip()[:_MAX_LINE], failure.remedy
    return None


def _peak_bytes(pid: int) -> int:
    """Peak resident size of a process that runs (Linux), 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _quoted(lines: Sequence[str]) -> str:
    return "".join(f"\n    | {line}" for line in lines)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
