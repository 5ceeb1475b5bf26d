# SPDX-License-Identifier: Apache-2.0
"""The process between us and a server that we started: it ends the server and all its children when we are gone.

Rule 1: it holds one end of a pipe (its stdin). End of file means "stop", whether we closed it, were killed with -9 or
lost our terminal; so no way of dying leaves a server behind.
Rule 2: it sleeps until something happens (no polling, no clock), so that it costs a measurement nothing.
Rule 3: on Linux it is the reaper of whatever the server abandons (a daemonised grandchild is still found), and should
it be killed itself, the kernel ends the server. Elsewhere only what is still a descendant by parentage is found.

The order comes as one line of JSON on stdin: {"argv", "cpus": list or null, "grace_s", "secrets", "after"}; stdout is
the log. `after` is a command for the very end, however it comes: what takes a container away, which is nobody's child.
Exit code: the server's own, 128 + n if signal n ended it, CANNOT_START if it could not be started.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from inferometer.secrecy import Scrubber

CANNOT_START = 127

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_AFTER_S = 30.0
_KILL_AGAIN_S = 0.05  # children forked while we killed are found in the next round


def main() -> int:
    """Read the order, run it. Returns the exit code."""
    order = json.loads(sys.stdin.buffer.readline() or b"null")
    if order is None:
        return 0  # our starter died before it said what to do
    if order["cpus"] is not None:
        os.sched_setaffinity(0, order["cpus"])
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        supervisor = Supervisor(order["argv"], order["grace_s"], order["secrets"])
    except OSError as error:
        print(f"inferometer: cannot start {order['argv'][0]!r}: {error.strerror}", flush=True)  # noqa: T201 - the log
        return CANNOT_START
    try:
        return supervisor.run()
    finally:
        if order["after"]:
            _run_after(order["after"])


def _run_after(argv: Sequence[str]) -> None:
    """Whatever it says: the container may be gone already."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_AFTER_S
        )


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends (Linux; elsewhere nothing).

    Hazard: "parent" is the thread that forked; call it only under parents that fork from a thread that stays.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Supervisor:
    """One command, until neither it nor anything that it started is left.

    Raises: OSError if the command cannot be started.
    """

    def __init__(self, argv: Sequence[str], grace_s: float, secrets: Sequence[str]) -> None:
        self._grace_s = grace_s
        self._exit_code = 0
        self._is_gone = False  # the command itself; its children may live on
        self._is_stopping = False
        self._log_fd = sys.stdout.fileno()
        self._signal_fd = _signals_as_bytes(signal.SIGCHLD, signal.SIGTERM, signal.SIGALRM)
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._on_lifeline)
        self._selector.register(self._signal_fd, selectors.EVENT_READ, self._on_signals)
        # A pipe only where there is something to hide: otherwise the server writes the log itself, at no cost to us.
        self._scrubber = Scrubber([secret.encode() for secret in secrets])
        self._output_fd, server_end = os.pipe() if secrets else (-1, self._log_fd)
        self._child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=server_end,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        if secrets:
            os.close(server_end)
            os.set_blocking(self._output_fd, False)
            self._selector.register(self._output_fd, selectors.EVENT_READ, self._on_output)

    def run(self) -> int:
        """Until the last child is reaped. Returns the exit code."""
        while self._reap():
            for key, _ in self._selector.select():
                handle: Callable[[], None] = key.data
                handle()
        signal.setitimer(signal.ITIMER_REAL, 0)  # an interpreter on its way out has no handler left for the alarm
        if self._output_fd >= 0:
            self._on_output()
            _write_all(self._log_fd, self._scrubber.flush())
        return self._exit_code

    def _on_lifeline(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            self._selector.unregister(sys.stdin.fileno())
            self._stop()

    def _on_signals(self) -> None:
        numbers = os.read(self._signal_fd, 4096)
        if signal.SIGTERM in numbers:
            self._stop()
        if signal.SIGALRM in numbers:
            _signal_descendants(signal.SIGKILL)
            signal.setitimer(signal.ITIMER_REAL, _KILL_AGAIN_S)

    def _on_output(self) -> None:
        """Move what the server wrote into the log, secrets masked."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._output_fd, 65_536):
                _write_all(self._log_fd, self._scrubber.feed(data))
            if self._output_fd in self._selector.get_map():  # end of file: nobody writes any more
                self._selector.unregister(self._output_fd)

    def _reap(self) -> bool:
        """Collect the dead; False when no child is left."""
        with contextlib.suppress(ChildProcessError):
            while (dead := os.waitpid(-1, os.WNOHANG))[0] != 0:
                if dead[0] == self._child.pid:
                    self._on_gone(os.waitstatus_to_exitcode(dead[1]))
            return True
        return False

    def _on_gone(self, code: int) -> None:
        self._is_gone = True
        self._child.returncode = code  # reaped here: Popen must not ask again
        self._exit_code = 128 - code if code < 0 else code
        if self._is_stopping:
            _signal_descendants(signal.SIGTERM, except_group=self._child.pid)  # its group was asked already
        elif code != 0:
            self._stop()  # a command that ends well may have left the server running behind it; one that fails has not

    def _stop(self) -> None:
        """Ask politely, once, and set the alarm after which it is no longer a question."""
        if self._is_stopping:
            return
        self._is_stopping = True
        signal.setitimer(signal.ITIMER_REAL, max(self._grace_s, 1e-3))
        if self._is_gone:
            _signal_descendants(signal.SIGTERM)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)


def _signals_as_bytes(*numbers: signal.Signals) -> int:
    """A file descriptor from which the numbers of arriving signals can be read.

    They are caught, not ignored: an ignored signal would stay ignored in the server, a caught one does not.
    """
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return read_fd


def _signal_descendants(number: signal.Signals, except_group: int | None = None) -> None:
    for pid in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != except_group:
                os.kill(pid, number)


def _descendants(ancestor: int) -> list[int]:
    """Every process below `ancestor`, parents before children. What appears meanwhile is left to the next round."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _parents() -> list[tuple[int, int]]:
    """(pid, parent) of all processes."""
    if sys.platform != "linux":
        listing = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return [(int(pid), int(parent)) for pid, parent in (line.split() for line in listing.splitlines())]
    pairs: list[tuple[int, int]] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):  # gone meanwhile
                # "pid (name) state ppid ...", where the name may hold spaces and brackets
                pairs.append((int(folder.name), int((folder / "stat").read_text().rpartition(")")[2].split()[1])))
    return pairs


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    sys.exit(main())
