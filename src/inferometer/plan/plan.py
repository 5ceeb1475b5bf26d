# SPDX-License-Identifier: Apache-2.0
"""A plan: requests times schedule, with a seed and a digest that does not depend on the engine; and its file.

File history (PLAN_VERSION is written into every plan file):
  1  first: one JSON line for the plan, then one per request.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from inferometer.errors import FormatError, RunError
from inferometer.plan.request import Request, Sampling
from inferometer.plan.schedule import Schedule, Stage

PLAN_VERSION = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` are drawn in order, over all trials; request i of the tuple has id i.

    `digest`: sha256 over version, seed, lengths asked, sampling and schedule; not over synthetic texts, which depend
    on the engine's tokenizer. `lengths_from`: how prompt lengths were made exact ("token ids", ...). `notes`: what the
    user should know, one line each.
    """

    requests: tuple[Request, ...]
    schedule: Schedule
    seed: int
    digest: str
    lengths_from: str = ""
    notes: tuple[str, ...] = ()


class _StageLine(msgspec.Struct):
    due_ns: list[int] | None = None
    concurrency: int | None = None
    n_requests: int | None = None
    duration_ns: int | None = None
    n_warmup: int = 0
    warmup_ns: int = 0


class _Header(msgspec.Struct):
    inferometer_plan: int
    n_requests: int
    seed: int
    digest: str
    lengths_from: str
    notes: tuple[str, ...]
    mode: str
    law: str
    concurrency: int | None
    rate_per_s: float | None
    trials: list[list[_StageLine]]
    has_content: bool


class _Version(msgspec.Struct):
    inferometer_plan: int


class _RequestLine(msgspec.Struct, omit_defaults=True):
    """`prompt_bytes`: UTF-8 size of a text; stands in for the content where that was not kept."""

    id: int
    n_prompt_tokens: int
    max_output_tokens: int
    prompt: str | tuple[int, ...] = ""
    messages: tuple[tuple[str, str], ...] | None = None
    prompt_bytes: int = 0
    temperature: float = 0.0
    seed: int | None = None
    is_streamed: bool = True
    session: int = 0
    turn: int = 0


def save(plan: Plan, path: Path, *, with_content: bool = True) -> None:
    """One JSON line for the plan, then one per request; written beside and renamed.

    Without content neither prompts nor messages are written, only sizes.
    Raises: RunError if it cannot be written.
    """
    lines = [msgspec.json.encode(_header(plan, with_content))]
    lines += [msgspec.json.encode(_request_line(request, with_content)) for request in plan.requests]
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(b"\n".join(lines) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}", "free some space or choose another --out") from error


def load(path: Path) -> Plan:
    """The inverse of `save`; prompts that were not kept are "".

    Raises: FormatError if the file is damaged, not a plan, or of a newer version.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error
    header = _read_header(path, lines[0] if lines else b"")
    if len(lines) != header.n_requests + 1:
        raise FormatError(f"{path} is damaged: {len(lines) - 1} requests of {header.n_requests}")
    requests = tuple(_read_request(path, i, line) for i, line in enumerate(lines[1:]))
    schedule = Schedule(
        header.mode,
        header.law,
        tuple(tuple(_read_stage(stage) for stage in stages) for stages in header.trials),
        header.concurrency,
        header.rate_per_s,
    )
    return Plan(requests, schedule, header.seed, header.digest, header.lengths_from, header.notes)


def _header(plan: Plan, with_content: bool) -> _Header:
    schedule = plan.schedule
    trials = [
        [
            _StageLine(
                None if stage.due_ns is None else stage.due_ns.tolist(),
                stage.concurrency,
                stage.n_requests,
                stage.duration_ns,
                stage.n_warmup,
                stage.warmup_ns,
            )
            for stage in stages
        ]
        for stages in schedule.trials
    ]
    return _Header(
        inferometer_plan=PLAN_VERSION,
        n_requests=len(plan.requests),
        seed=plan.seed,
        digest=plan.digest,
        lengths_from=plan.lengths_from,
        notes=plan.notes,
        mode=schedule.mode,
        law=schedule.law,
        concurrency=schedule.concurrency,
        rate_per_s=schedule.rate_per_s,
        trials=trials,
        has_content=with_content,
    )


def _request_line(request: Request, with_content: bool) -> _RequestLine:
    texts = [request.prompt] if isinstance(request.prompt, str) else []
    texts += [content for _, content in request.messages or ()]
    return _RequestLine(
        id=request.id,
        n_prompt_tokens=request.n_prompt_tokens,
        max_output_tokens=request.max_output_tokens,
        prompt=request.prompt if with_content else "",
        messages=request.messages if with_content else None,
        prompt_bytes=sum(len(text.encode(errors="surrogatepass")) for text in texts),
        temperature=request.sampling.temperature,
        seed=request.sampling.seed,
        is_streamed=request.is_streamed,
        session=request.session,
        turn=request.turn,
    )


def _read_header(path: Path, line: bytes) -> _Header:
    try:
        version = msgspec.json.decode(line, type=_Version).inferometer_plan
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is not a plan file") from error
    if version > PLAN_VERSION:
        raise FormatError(f"{path} is of version {version}, newer than {PLAN_VERSION}", "update inferometer")
    try:
        return msgspec.json.decode(line, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}, line 1, is damaged: {error}") from error


_REQUEST_LINE = msgspec.json.Decoder(_RequestLine)


def _read_request(path: Path, i: int, data: bytes) -> Request:
    try:
        line = _REQUEST_LINE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}, line {i + 2}, is damaged: {error}") from error
    if line.id != i:
        raise FormatError(f"{path}, line {i + 2}, is damaged: request {line.id} where {i} was expected")
    return Request(
        line.id,
        line.prompt,
        line.n_prompt_tokens,
        line.max_output_tokens,
        Sampling(line.temperature, line.seed),
        line.is_streamed,
        line.messages,
        line.session,
        line.turn,
    )


def _read_stage(line: _StageLine) -> Stage:
    due_ns = None if line.due_ns is None else np.array(line.due_ns, np.int64)
    return Stage(due_ns, line.concurrency, line.n_requests, line.duration_ns, line.n_warmup, line.warmup_ns)
