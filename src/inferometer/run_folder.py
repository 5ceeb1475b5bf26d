# SPDX-License-Identifier: Apache-2.0
"""A run is a folder; this is the object for it.

    manifest.json      what was asked, of whom, on which machine; the state the run is in
    plan.jsonl         what was to be sent
    recorder.bin       everything that came back, as it came (recorder.py)
    requests.parquet   chunks.parquet   samples.parquet     the same, decoded (records.py)
    engine.log         output of the engine, when we started it
    report.json        the summary as printed with --format json

Rule 1: no run writes into an existing folder; every file but the recorder is written beside and renamed.
Rule 2: the tables can be made again from the recorder at any time; a killed run gets them when it is first read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inferometer import clock, records
from inferometer.drive.decode import Asked, Decoded, decode
from inferometer.drive.texts import texts, told
from inferometer.engines.likelihoods import Likelihood, likelihoods
from inferometer.engines.registry import dialects
from inferometer.errors import FormatError, RunError, UsageError
from inferometer.kinds import Phase
from inferometer.plan.plan import Plan, load
from inferometer.recorder import all_paths
from inferometer.records import MEASURED, SCHEMA_VERSION, TABLES, Array, Trace

MANIFEST = "manifest.json"
PLAN = "plan.jsonl"
RECORDER = "recorder.bin"
ENGINE_LOG = "engine.log"
REPORT = "report.json"
DEFAULT_PARENT = "inferometer-runs"
STATE_STARTING, STATE_FAILED = "starting", "failed"  # nothing was measured yet, or ever will be
STATE_RUNNING, STATE_FINISHED, STATE_STOPPED = "running", "finished", "stopped"


def write_atomically(path: Path, data: bytes) -> None:
    """All or nothing: written beside, flushed to disk, renamed."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}", "free some space or choose another --out") from error


@dataclass(frozen=True, slots=True)
class Run:
    """`Run.create` for a new one, `Run.open` for one that is there."""

    path: Path

    @staticmethod
    def refuse_existing(out: str) -> None:
        """Raises: UsageError if something is there already."""
        if os.path.lexists(out):
            raise UsageError(f"{out} exists already", "choose another folder with --out; runs are never overwritten")

    @staticmethod
    def create(out: str | None, name: str) -> Run:
        """Make the folder: `out` as given, or a dated name under ./inferometer-runs.

        Raises: UsageError if it exists already or cannot be made.
        """
        stamp = clock.utc_now().strftime("%Y%m%dT%H%M%SZ")
        safe_name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "run"
        path = Path(out) if out else Path(DEFAULT_PARENT) / f"{stamp}-{safe_name}"
        for n_tries in range(100):
            candidate = path if out or not n_tries else path.with_name(f"{path.name}-{n_tries + 1}")
            try:
                candidate.mkdir(parents=True)
            except FileExistsError:
                if out:
                    Run.refuse_existing(out)
            except OSError as error:
                raise UsageError(
                    f"cannot make the folder {candidate}: {error.strerror}", "choose another with --out"
                ) from error
            else:
                return Run(candidate)
        raise RunError(f"no free name beside {path}", "give one with --out")

    @staticmethod
    def open(path: str) -> Run:
        """Raises: UsageError if there is no such folder, FormatError if it is not a run of a version we can read."""
        run = Run(Path(path))
        if not run.path.is_dir():
            raise UsageError(
                f"there is no folder {path}", f"runs are in ./{DEFAULT_PARENT} unless --out said otherwise"
            )
        manifest = run.manifest()
        schema = manifest.get("schema")
        if not isinstance(schema, int) or manifest.get("state") is None:
            raise FormatError(f"{run.path / MANIFEST} is not the manifest of a run")
        if schema > SCHEMA_VERSION:
            raise FormatError(
                f"{path} has schema {manifest['schema']}, newer than {SCHEMA_VERSION}", "update inferometer"
            )
        return run

    def manifest(self) -> dict[str, Any]:
        try:
            return msgspec.json.decode((self.path / MANIFEST).read_bytes(), type=dict[str, Any])
        except FileNotFoundError as error:
            raise FormatError(f"{self.path} is not a run folder: it has no {MANIFEST}") from error
        except msgspec.DecodeError as error:
            raise FormatError(f"{self.path / MANIFEST} is damaged: {error}") from error

    def write_manifest(self, facts: Mapping[str, Any]) -> None:
        write_atomically(self.path / MANIFEST, msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")

    def plan(self) -> Plan:
        return load(self.path / PLAN)

    def decode(self) -> Decoded:
        """Decode the recorder again, whatever tables are there."""
        plan = self.plan()
        manifest = self.manifest()
        asked = Asked(
            [request.n_prompt_tokens for request in plan.requests],
            [request.max_output_tokens for request in plan.requests],
            is_obeyed=manifest.get("plan", {}).get("counts_outputs_by") == "length",
        )
        name = manifest["dialect"]
        if name not in dialects():
            raise FormatError(
                f"{self.path} was answered in the dialect {name!r}, which no engine speaks that is known here",
                "install the package that brings that engine",
            )
        return decode(all_paths(self.path / RECORDER), dialects()[name], asked)

    def texts(self) -> dict[int, str]:
        """What each request was answered, by its id, without what was reasoned before; "" where nothing came.

        Raises: RunError if content was not kept.
        """
        return texts(all_paths(self.path / RECORDER), dialects()[self._dialect_with_content()])

    def likelihoods(self) -> dict[int, list[Likelihood]]:
        """Log-probabilities of each answer, by its id; none where none were asked for or told.

        Raises: RunError if content was not kept.
        """
        return told(all_paths(self.path / RECORDER), dialects()[self._dialect_with_content()], likelihoods)

    def _dialect_with_content(self) -> str:
        manifest = self.manifest()
        if not manifest.get("wire", {}).get("keeps_content", True):
            raise RunError(f"{self.path} holds no answers: it was told to keep no content")
        return str(manifest["dialect"])

    def write_tables(self) -> Decoded:
        """Recorder to Parquet."""
        decoded = self.decode()
        records.write_table(decoded.requests, self.path / "requests.parquet")
        records.write_parts(decoded.chunk_parts(), self.path / "chunks.parquet")
        records.write_table(decoded.samples, self.path / "samples.parquet")
        return decoded

    def trace(self, *, is_whole: bool = True) -> Trace:
        """All records with the manifest as `meta`; a run that never finished is decoded first and marked as cut off.

        `is_whole`: with all columns of the requests, not only those that metrics read.
        """
        meta = self.manifest()
        if not (self.path / RECORDER).exists():
            reason = meta.get("stop_reason") or "it ended before the first request was sent"
            raise RunError(f"{self.path} holds no measurement: {reason}", self._where_to_look())
        is_cut_off = meta["state"] == STATE_RUNNING
        if is_cut_off or not all((self.path / f"{name}.parquet").exists() for name in TABLES):
            decoded = self.write_tables()
            if is_cut_off:
                meta |= {"is_cut_off": True, "n_torn_bytes": decoded.tail.n_torn_bytes}
                meta["windows"] = _windows_seen(decoded)
        dtypes = TABLES if is_whole else TABLES | {"requests": MEASURED}
        tables = {name: records.read_table(self.path / f"{name}.parquet", dtype) for name, dtype in dtypes.items()}
        return Trace(tables["requests"], tables["chunks"], tables["samples"], meta)

    def _where_to_look(self) -> str:
        log = self.path / ENGINE_LOG
        return f"see {log}" if log.exists() and log.stat().st_size else ""


def _windows_seen(decoded: Decoded) -> list[dict[str, int]]:
    """Windows of a killed run: those noted, and for the trial cut off from its first main request to the end."""
    windows = [note.fact["window"] for note in decoded.notes if note.fact.get("note") == "window"]
    noted = {window["trial"] for window in windows}
    main = decoded.requests[decoded.requests["phase"] == Phase.MAIN]
    for trial in np.unique(main["trial"]).tolist():
        if trial not in noted:
            rows = main[main["trial"] == trial]
            windows.append({"trial": trial, "t_start_ns": int(rows["t_due_ns"].min()), "t_end_ns": _last_instant(rows)})
    return windows


def _last_instant(rows: Array) -> int:
    return max(int(rows[name].max()) for name in ("t_due_ns", "t_sent_ns", "t_last_content_ns", "t_end_ns"))
