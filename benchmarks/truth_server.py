# SPDX-License-Identifier: Apache-2.0
"""The C ground-truth server (truth_server.c) as a child process: compiled, started, stopped with its log in hand.

Its log becomes a `TruthLog`, so that everything in inferometer.truth.log works with it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from inferometer.kinds import ChunkKind
from inferometer.truth.launch import LoggedServer
from inferometer.truth.log import TRUTH_REQUEST, TRUTH_STEP, TruthLog, leading_integer

HERE = Path(__file__).parent
STOP_WITHIN_S = 120.0  # a log of ten million sends is 240 MB
_REQUEST = np.dtype(
    [(name, "i8") for name in ("conn", "t_arrival_ns", "t_start_ns", "t_gone_ns", "first_send", "n_sends", "n_sent")]
    + [("x_request_id", "S48")]
)
_SEND = np.dtype([("t_due_ns", "i8"), ("t_before_ns", "i8"), ("t_after_ns", "i8")])
_HEAD = ("n_requests", "n_sends", "n_retries", "run_delay_ns", "n_without_room", "t_first_ns")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the server prescribes. Spreads: uniform, half their width; `seed` draws them.

    `n_chunks` 0: as many as a request asks for. Request k starts (k mod `stagger_n`) * `stagger_ms` late.
    """

    ttft_ms: float = 60.0
    ttft_spread_ms: float = 0.0
    gap_ms: float = 20.0
    gap_spread_ms: float = 0.0
    n_chunks: int = 0
    stagger_ms: float = 0.0
    stagger_n: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What the log has memory for; it is had before the first request. `log_every` n: only each n-th, 0: none."""

    max_requests: int = 10_000
    max_sends: int = 4_000_000
    log_every: int = 1


class TruthServer(LoggedServer):
    """A running server. `cpu`: the core it stays on. `spin_us`: the last stretch before an instant, waited for without
    sleeping. `prefix`: words before the command, e.g. ("chrt", "-f", "10").
    """

    def __init__(
        self,
        answers: Answers,
        room: Room | None = None,
        *,
        cpu: int | None = None,
        spin_us: float = 50.0,
        prefix: Sequence[str] = (),
    ) -> None:
        program = compiled(HERE / "truth_server.c")
        told = asdict(answers) | asdict(room or Room()) | {"spin_us": spin_us, "cpu": -1 if cpu is None else cpu}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in told.items()]

        def command(log: Path) -> list[str]:
            return [*prefix, str(program), *flags, f"--log={log}"]

        remedy = f"try it alone: {program}"
        super().__init__(command, "the ground-truth server", remedy, read=read_log, stop_within_s=STOP_WITHIN_S)


def compiled(source: Path) -> Path:
    """The program of one C file, made once for each of its versions."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("needs a C compiler (cc)")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    program = Path(tempfile.gettempdir()) / f"inferometer-{source.stem}-{digest}"
    if not program.exists():
        with tempfile.TemporaryDirectory() as folder:  # written beside and renamed: two at once do no harm
            made = Path(folder) / source.stem
            subprocess.run([compiler, "-O2", "-Wall", "-o", made, source], check=True)
            shutil.move(made, program)
    return program


def read_log(path: Path) -> TruthLog:
    """The file that truth_server.c writes; `meta` has `t_first_ns` too, when the first request of any kind came.

    Ends the program if the log had not room for all.
    """
    head = dict(zip(_HEAD, np.fromfile(path, "<i8", len(_HEAD)).tolist(), strict=True))
    if head["n_without_room"]:
        raise SystemExit(f"the server's log had no room for {head['n_without_room']} requests")
    at = 8 * len(_HEAD)
    rows = np.fromfile(path, _REQUEST, head["n_requests"], offset=at)
    sends = np.fromfile(path, _SEND, head["n_sends"], offset=at + rows.nbytes)
    requests = np.zeros(len(rows), TRUTH_REQUEST)
    for name in ("conn", "t_arrival_ns", "t_start_ns", "t_gone_ns", "n_sends", "n_sent"):
        requests[name] = rows[name]
    requests["x_request_id"] = [text.decode("latin-1") for text in rows["x_request_id"]]
    requests["id"] = [leading_integer(text) for text in requests["x_request_id"]]
    requests["n_steps"] = rows["n_sent"]
    requests["step_start"] = np.cumsum(rows["n_sent"]) - rows["n_sent"]
    row_of_step = np.repeat(np.arange(len(rows)), rows["n_sent"])
    send_id = np.arange(len(row_of_step)) - requests["step_start"][row_of_step] + rows["first_send"][row_of_step]
    steps = np.zeros(len(send_id), TRUTH_STEP)
    steps["row"], steps["send_id"], steps["kind"], steps["n_tokens"] = row_of_step, send_id, ChunkKind.CONTENT, 1
    for name in ("t_due_ns", "t_before_ns", "t_after_ns"):
        steps[name] = sends[name][send_id]
    return TruthLog(requests, steps, head)
