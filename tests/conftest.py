# SPDX-License-Identifier: Apache-2.0
"""For every test: golden text, the command line in a folder of its own, and ground-truth servers.

`golden(name, text)` compares with tests/golden/<name>, `page_block(path, marker, text)` with the part of a page that is
made from the code. `pytest --update` rewrites both. `shell("run", ...)` is `inferometer run ...`, a real process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from inferometer.clock import Clock
from inferometer.truth.launch import TruthServer
from inferometer.truth.script import Prescription
from inferometer.units import NS_PER_S

# What one submission draws by chance must not refuse another; fresh draws are the fuzzer's.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")

# A suite started in the background of a shell inherits an ignored SIGINT, and so would the programs whose Ctrl-C is
# tested; a signal with a handler is back at its default in a program that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)


GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).parents[1] / "docs"

Golden = Callable[[str, str], None]
PageBlock = Callable[[str, str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite golden text from what the code says now")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Fails with a readable difference when `text` is not what the golden file holds."""
    is_update = request.config.getoption("--update")

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if is_update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        if not path.exists():
            pytest.fail(f"{path} is missing: run `pytest --update` and read what it wrote")
        assert text == path.read_bytes().decode("utf-8")

    return check


@pytest.fixture
def page_block(request: pytest.FixtureRequest) -> PageBlock:
    """Fails when the text between `<!-- marker -->` and `<!-- /marker -->` of a page under docs/ is not `text`."""
    is_update = request.config.getoption("--update")

    def check(path: str, marker: str, text: str) -> None:
        page = DOCS / path
        begin, end = f"<!-- {marker} -->\n", f"<!-- /{marker} -->\n"
        before, _, rest = page.read_text(encoding="utf-8").partition(begin)
        found, _, after = rest.partition(end)
        assert rest, f"{path} has no {begin!r}"
        if is_update:
            page.write_text(before + begin + text + end + after, encoding="utf-8")
        else:
            assert found == text

    return check


@dataclass(frozen=True)
class Done:
    """One command that has ended. `seconds`: how long it took, interpreter start included."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class Warm:
    """The process that forks for each command (see `warm.py`): one for all tests, begun with the first."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, folder: Path, args: tuple[str, ...], environment: Mapping[str, str], timeout: float) -> Done:
        with tempfile.TemporaryDirectory(prefix="inferometer-said-") as said:
            sinks = {name: str(Path(said) / name) for name in ("stdout", "stderr")}
            order = {"args": args, "folder": str(folder), "environment": dict(environment)} | sinks
            clock = Clock()
            exit_code = self._ask(order, timeout)
            seconds = clock.now_ns() / NS_PER_S
            stdout, stderr = (Path(sink).read_text(encoding="utf-8") for sink in sinks.values())
        assert seconds < timeout, f"inferometer {' '.join(args)} took more than {timeout:.0f} s\n{stdout}{stderr}"
        return Done(exit_code, stdout, stderr, seconds)

    def _ask(self, order: Mapping[str, Any], timeout: float) -> int:
        """The exit code; a command that takes longer is killed."""
        if self._process is None:
            argv = [sys.executable, str(Path(__file__).with_name("warm.py"))]
            self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            print(json.dumps(order), file=process.stdin, flush=True)
            watchdog = threading.Timer(timeout, os.kill, (int(process.stdout.readline()), signal.SIGKILL))
            watchdog.start()
            exit_code = int(process.stdout.readline())
            watchdog.cancel()
        except BaseException:  # a test that is given up in the middle: the next would read this one's answer
            process.kill()
            self._process = None
            raise
        return exit_code

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    warm = Warm()
    yield warm
    warm.close()


class Shell:
    """`inferometer` as processes in one folder; `shell("run", url)` waits for the end, `start` does not.

    What is waited for comes from the warm process; `start`, for what is killed or watched, is `python -m inferometer`.
    """

    def __init__(self, folder: Path, warm: Warm) -> None:
        self.folder = folder
        self._warm = warm
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> Done:
        return self._warm.run(self.folder, args, _environment(env), timeout)

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "inferometer", *args],
            cwd=self.folder,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    return os.environ | {"COLUMNS": "100"} | (more or {})


@pytest.fixture
def shell(tmp_path: Path, warm: Warm) -> Iterator[Shell]:
    shell = Shell(tmp_path, warm)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def module_shell(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Iterator[Shell]:
    """For a run that several tests of a module look at."""
    shell = Shell(tmp_path_factory.mktemp("shell"), warm)
    yield shell
    shell.close()


@pytest.fixture(scope="session")
def truth() -> Iterator[Callable[..., TruthServer]]:
    """`truth(ttft_ms=20, ...)`: a running server with that prescription, the same one for the same prescription."""
    servers: dict[Prescription, TruthServer] = {}
    with ExitStack() as stack:

        def start(**fields: Any) -> TruthServer:
            prescription = Prescription(**fields)
            if prescription not in servers:
                servers[prescription] = stack.enter_context(TruthServer(prescription))
            return servers[prescription]

        yield start
