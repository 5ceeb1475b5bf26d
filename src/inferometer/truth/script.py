# SPDX-License-Identifier: Apache-2.0
"""Scripts: what the ground-truth server sends in answer to one request, and when; decided before the first byte goes.

    Prescription (what was asked of the server) x Ask (what the request said) -> Script (bytes at offsets from arrival)

Rule 1: pure. The server executes a script without looking at what is in it; faults are scripts like any other.
Rule 2: offsets are absolute from the arrival of the request, so that a late send does not shift the next.
Rule 3: steps due at the same instant leave in one send.
"""

from __future__ import annotations

import random
import re
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import groupby
from typing import Annotated, Literal, NamedTuple

import msgspec

from inferometer.kinds import ChunkKind
from inferometer.truth import events
from inferometer.units import NS_PER_MS

# Kinds of steps beside those of ChunkKind.
HEAD = -1  # status line and headers
END = -2  # transfer framing, or no bytes at all: the instant of an ending
RAW = -3  # bytes of a fault

# Streams with jitter differ from each other; so many scripts are drawn per prescription, then reused in turn.
N_VARIANTS = 64
DEFAULT_N_TOKENS = 32

NonNegative = Annotated[float, msgspec.Meta(ge=0, le=86_400_000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
FaultName = Literal[
    "none",
    "reset_before_head",
    "reset_in_head",
    "reset",
    "truncate",
    "end_early",
    "stall",
    "error_event",
    "named_error_event",
    "bad_chunk_size",
    "wrong_chunk_size",
    "bad_json",
    "empty",
    "never_ends",
    "never_answers",
    "not_http",
    "not_streamed",
    "html_page",
    "wrong_type",
    "big_head",
    "big_event",
    "flood",
    "held_open",
    "echo_authorization",
    "idle_close",
    "drop_reuse",
]
# In a list of faults an error answer is its status, with the kind of its body: "429", "500_html", "503_empty".
_STATUS_FAULT = re.compile(r"([3-5]\d\d)(?:_(html|empty))?")
_NEEDS_CHUNKS = {"bad_chunk_size", "wrong_chunk_size"}
_EXCEEDS_LENGTH = {"big_event", "flood"}  # they send more than a content-length could have told


class Prescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Field `truth` of a request body, or the server's defaults. Times in milliseconds: this is written by people.

    Token-bearing chunk i is due at ttft_ms + the first i gaps after the arrival of the request.
    """

    ttft_ms: NonNegative = 50.0
    gap_ms: NonNegative = 10.0
    n_chunks: Positive | None = None  # token-bearing chunks; default: as many as max_tokens needs
    tokens_per_chunk: Positive = 1
    reasoning_chunks: Count = 0  # the first so many chunks are reasoning text
    head: Literal["at_once", "with_first"] = "at_once"
    role: Literal["at_once", "with_first", "empty", "none"] = "at_once"  # empty: at once an empty text, no role
    finish: Literal["inside", "own", "none"] = "inside"  # finish reason: in the last chunk, in an event after it
    usage: Literal["asked", "own", "last", "every", "none"] = "asked"  # asked: own event if the request asks for it
    usage_delay_ms: NonNegative = 0.0  # from the last chunk to usage and end marker
    done: bool = True  # end marker [DONE]
    ping_ms: NonNegative = 0.0  # an SSE comment so often until the first chunk; 0: none
    jitter: Literal["constant", "lognormal", "pauses"] = "constant"  # law of the gaps
    sigma: Annotated[float, msgspec.Meta(ge=0, le=4)] = 0.5  # of lognormal gaps; their mean is gap_ms
    pause_ratio: Ratio = 0.03  # share of gaps that are pause_ms
    pause_ms: NonNegative = 210.0
    seed: Count = 0
    # Request k (by the number in its x-request-id, else as it came) starts (k mod stagger_n) * stagger_ms late.
    stagger_ms: NonNegative = 0.0
    stagger_n: Positive = 32
    cached_tokens: Count | None = None  # prompt tokens that usage says came from a prefix cache; default: not told
    most_tokens: Positive | None = None  # answers end there whatever was asked; not with `n_chunks`
    slots: Count = 0  # answers at a time, of the server's defaults only; more requests wait their turn; 0: no limit
    slow_from: Count = 0  # from request k of the server on, times to and between chunks are longer by slow_factor
    slow_factor: Annotated[float, msgspec.Meta(ge=0.01, le=100)] = 1.0
    framing: Literal["chunked", "close", "length"] = "chunked"
    line_end: Literal["lf", "crlf", "cr"] = "lf"
    space: bool = True  # after "data:"
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 200  # anything else is an error answer; 3xx a redirect
    body: str | None = None  # of an error answer; default: what `body_type` says
    body_type: Literal["json", "html", "empty"] = "json"
    retry_after_s: Count | None = None  # header Retry-After of an error answer
    fault: FaultName = "none"  # see faults.py
    fault_at: Count = 10  # after so many token-bearing chunks
    fault_ms: NonNegative = 1000.0  # how long a stall lasts, an idle connection stays open
    fault_bytes: Annotated[int, msgspec.Meta(ge=65_536, le=1 << 30)] = 20_000_000  # of a head or an event too big
    # A mix: of the requests with a number (`x-request-id: 17-...`) this share gets one of these, see `drawn`.
    faults: tuple[str, ...] = ()
    fault_ratio: Ratio = 1.0
    fault_seed: Count = 0

    def __post_init__(self) -> None:
        for name in (self.fault, *self.faults):
            if name not in typing.get_args(FaultName) and not _STATUS_FAULT.fullmatch(name):
                raise ValueError(f"no fault is called {name!r}")
            if name in _NEEDS_CHUNKS and self.framing != "chunked":
                raise ValueError(f"fault {name} needs chunked framing")
            if name in _EXCEEDS_LENGTH and self.framing == "length":
                raise ValueError(f"fault {name} needs a framing that tells no length")

    @property
    def fault_name(self) -> str:
        """What goes wrong, as a list of faults would say it; "none" if nothing does."""
        if self.status == 200:
            return self.fault
        return str(self.status) if self.body_type == "json" else f"{self.status}_{self.body_type}"


def drawn(prescription: Prescription, request_id: str) -> Prescription:
    """What one request gets of a mix: with chance `fault_ratio` one of `faults`, struck after 0 to `fault_at` chunks.

    Decided by `fault_seed` and the number of the request alone, so that who is to judge can draw it again. Requests
    without a number, such as a client's questions before it measures, get the good answer.
    """
    if not prescription.faults:
        return prescription
    plain = msgspec.structs.replace(prescription, faults=())
    number = leading_integer(request_id)
    rng = random.Random(f"{prescription.fault_seed}/{number}")
    if number < 0 or rng.random() >= prescription.fault_ratio:
        return plain
    name = rng.choice(prescription.faults)
    status = _STATUS_FAULT.fullmatch(name)
    if status is not None:
        return msgspec.structs.replace(plain, status=int(status[1]), body_type=status[2] or "json")
    return msgspec.structs.replace(plain, fault=name, fault_at=rng.randint(0, prescription.fault_at))


def leading_integer(text: str) -> int:
    """The plan's id in `<plan id>-<run nonce>`; -1 if the text does not begin with one."""
    digits = text.partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else -1


# Role at once, first content at 300 ms, 20 chunks of 2 tokens every 40 ms, usage 250 ms after the last:
# TTFT 300 ms, last content 1060 ms, TPOT 760 / 39 = 19.49 ms, usage tail 250 ms.
PRESETS = {
    "default": Prescription(),
    "awkward": Prescription(
        ttft_ms=300, gap_ms=40, n_chunks=20, tokens_per_chunk=2, usage="own", usage_delay_ms=250, finish="own"
    ),
    "pauses": Prescription(ttft_ms=200, gap_ms=15, jitter="pauses", usage="own"),
}


class Ask(NamedTuple):
    """What one generation request said, as far as it changes the answer."""

    api: str = events.CHAT
    is_streamed: bool = True
    n_output_tokens: int | None = None
    n_prompt_tokens: int = 0
    wants_usage: bool = False
    keeps_alive: bool = True
    authorization: str = ""  # told only to the fault that echoes it; never logged


class Ending(IntEnum):
    """What becomes of the connection after the last step."""

    KEEP = 0  # it waits for the next request
    CLOSE = 1
    RESET = 2
    HOLD = 3  # it stays open, and nothing more comes
    DROP_NEXT = 4  # it waits, and is closed without an answer when the next request comes
    REPEAT = 5  # the last send goes out again and again, as far apart as the last two, until the client leaves
    IDLE_CLOSE = 6  # the last step is a close, unless the next request comes before it


class Step(NamedTuple):
    """Bytes due at an offset from the start. `kind`: a ChunkKind, or HEAD, END, RAW. `n_tokens`: text tokens inside."""

    offset_ns: int
    data: bytes
    kind: int
    n_tokens: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """The steps in order, and the sends they make: `datas[j]` leaves `offsets_ns[j]` after the start.

    `send_of_step[i]`: which send carries step i.
    """

    steps: tuple[Step, ...]
    ending: Ending = Ending.KEEP
    offsets_ns: tuple[int, ...] = field(init=False)
    datas: tuple[bytes, ...] = field(init=False)
    n_bytes: tuple[int, ...] = field(init=False)
    send_of_step: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        offsets: list[int] = []
        datas: list[bytes] = []
        sends: list[int] = []
        for offset_ns, group in groupby(self.steps, key=lambda step: step.offset_ns):
            steps = list(group)
            sends += [len(offsets)] * len(steps)
            offsets.append(offset_ns)
            datas.append(b"".join(step.data for step in steps))
        if offsets != sorted(offsets):
            raise ValueError("steps of a script must be in the order of their offsets")
        object.__setattr__(self, "offsets_ns", tuple(offsets))
        object.__setattr__(self, "datas", tuple(datas))
        object.__setattr__(self, "n_bytes", tuple(map(len, datas)))
        object.__setattr__(self, "send_of_step", tuple(sends))


def slowed(prescription: Prescription) -> Prescription:
    """What a server prescribes that has been throttled."""
    factor = prescription.slow_factor
    times = {name: factor * getattr(prescription, name) for name in ("ttft_ms", "gap_ms", "pause_ms")}
    return msgspec.structs.replace(prescription, **times)


def chunk_offsets_ns(prescription: Prescription, n_chunks: int, variant: int) -> list[int]:
    """When the token-bearing chunks are due: running sums of float gaps, rounded once each."""
    rng = random.Random(prescription.seed * N_VARIANTS + variant)
    offset_ms = prescription.ttft_ms
    offsets = []
    for gap_ms in _gaps_ms(prescription, rng):
        offsets.append(round(offset_ms * NS_PER_MS))
        if len(offsets) == n_chunks:
            break
        offset_ms += gap_ms
    return offsets


def _gaps_ms(prescription: Prescription, rng: random.Random) -> Iterator[float]:
    """An endless row of gaps under the prescribed law."""
    gap_ms, sigma = prescription.gap_ms, prescription.sigma
    while True:
        if prescription.jitter == "lognormal":
            yield gap_ms * rng.lognormvariate(-sigma * sigma / 2, sigma)
        elif prescription.jitter == "pauses":
            yield prescription.pause_ms if rng.random() < prescription.pause_ratio else gap_ms
        else:
            yield gap_ms


def chunk_tokens(prescription: Prescription, ask: Ask) -> list[int]:
    """Tokens in each token-bearing chunk; without `n_chunks` they add up to what the request asked for."""
    per_chunk = prescription.tokens_per_chunk
    if prescription.n_chunks is not None:
        return [per_chunk] * prescription.n_chunks
    n_tokens = DEFAULT_N_TOKENS if ask.n_output_tokens is None else max(1, ask.n_output_tokens)
    n_tokens = min(n_tokens, prescription.most_tokens or n_tokens)
    n_full, n_rest = divmod(n_tokens, per_chunk)
    return [per_chunk] * n_full + ([n_rest] if n_rest else [])


def event_steps(prescription: Prescription, ask: Ask, variant: int = 0) -> list[Step]:
    """The events of a stream without faults, as Server-Sent Events before any HTTP framing."""
    style = _style(prescription, ask)
    counts = chunk_tokens(prescription, ask)
    offsets = chunk_offsets_ns(prescription, len(counts), variant)
    steps = [*_waiting(prescription, ask, style, offsets[0])]
    n_done = 0
    for i, (offset_ns, n_tokens) in enumerate(zip(offsets, counts, strict=True)):
        is_last = i == len(counts) - 1
        kind = ChunkKind.REASONING if i < prescription.reasoning_chunks else ChunkKind.CONTENT
        text = events.words(n_done, n_tokens)
        n_done += n_tokens
        event = events.token_event(
            style,
            kind,
            text,
            has_role=i == 0 and prescription.role == "with_first",
            finish="length" if is_last and prescription.finish == "inside" else None,
            usage=_usage(prescription, ask, counts[: i + 1]) if _tells_usage(prescription, is_last=is_last) else None,
        )
        steps.append(Step(offset_ns, event, kind, n_tokens))
    return [*steps, *_closing(prescription, ask, style, offsets[-1], counts)]


def _waiting(prescription: Prescription, ask: Ask, style: events.Style, first_ns: int) -> Iterator[Step]:
    """What comes before the first chunk: the role or an empty text, and comments that keep the connection alive."""
    if prescription.role == "at_once" and ask.api == events.CHAT:
        yield Step(0, events.token_event(style, ChunkKind.ROLE, "", has_role=True), ChunkKind.ROLE)
    elif prescription.role == "empty":
        yield Step(0, events.token_event(style, ChunkKind.CONTENT, ""), ChunkKind.EMPTY)
    every_ns = round(prescription.ping_ms * NS_PER_MS)
    if every_ns:
        for offset_ns in range(every_ns, first_ns, every_ns):
            yield Step(offset_ns, events.ping_event(style), ChunkKind.PING)


def _closing(
    prescription: Prescription, ask: Ask, style: events.Style, last_ns: int, counts: list[int]
) -> Iterator[Step]:
    """What comes after the last chunk: finish reason, usage, end marker."""
    if prescription.finish == "own":
        yield Step(last_ns, events.token_event(style, ChunkKind.EMPTY, "", finish="length"), ChunkKind.EMPTY)
    end_ns = last_ns + round(prescription.usage_delay_ms * NS_PER_MS)
    if prescription.usage == "own" or (prescription.usage == "asked" and ask.wants_usage):
        yield Step(end_ns, events.usage_event(style, _usage(prescription, ask, counts)), ChunkKind.USAGE)
    if prescription.done:
        yield Step(end_ns, events.done_event(style), ChunkKind.DONE)


def _tells_usage(prescription: Prescription, *, is_last: bool) -> bool:
    return prescription.usage == "every" or (prescription.usage == "last" and is_last)


def _usage(prescription: Prescription, ask: Ask, counts: list[int]) -> events.Usage:
    cached = prescription.cached_tokens
    return events.Usage(
        ask.n_prompt_tokens,
        sum(counts),
        sum(counts[: prescription.reasoning_chunks]),
        None if cached is None else min(cached, ask.n_prompt_tokens),
    )


def _style(prescription: Prescription, ask: Ask) -> events.Style:
    return events.Style(ask.api, prescription.line_end, prescription.space)


# HTTP around the events


def streamed(prescription: Prescription, ask: Ask, body: Iterable[Step]) -> list[Step]:
    """A 200 answer with `body` as event stream, in the prescribed framing."""
    steps = list(body)
    headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
    if prescription.framing == "length":
        headers.append(("content-length", str(sum(len(step.data) for step in steps))))
    elif prescription.framing == "chunked":
        headers.append(("transfer-encoding", "chunked"))
        steps = [step._replace(data=transfer_chunk(step.data)) for step in steps]
        steps.append(Step(steps[-1].offset_ns if steps else 0, b"0\r\n\r\n", END))
    head_ns = 0 if prescription.head == "at_once" or not steps else steps[0].offset_ns
    return [Step(head_ns, head(200, headers, keeps_alive=will_keep(prescription, ask)), HEAD), *steps]


def transfer_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def will_keep(prescription: Prescription, ask: Ask) -> bool:
    """Whether the connection can serve another request after this answer."""
    return ask.keeps_alive and prescription.framing != "close"


def head(status: int, headers: Iterable[tuple[str, str]], *, keeps_alive: bool) -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", "server: inferometer-truth"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not keeps_alive:
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer(
    status: int,
    body: bytes,
    *,
    content_type: str = "application/json",
    more: Iterable[tuple[str, str]] = (),
    offset_ns: int = 0,
    keeps_alive: bool = True,
) -> Script:
    """An answer that leaves in one send. `more`: further headers."""
    headers = [("content-type", content_type), ("content-length", str(len(body))), *more]
    if 300 <= status < 400:
        headers.append(("location", "/elsewhere"))
    data = head(status, headers, keeps_alive=keeps_alive) + body
    return Script((Step(offset_ns, data, HEAD),), Ending.KEEP if keeps_alive else Ending.CLOSE)


def error_answer(status: int, message: str, *, keeps_alive: bool = True) -> Script:
    return answer(status, msgspec.json.encode(events.error_body(message, status)), keeps_alive=keeps_alive)


def whole_steps(prescription: Prescription, ask: Ask, variant: int = 0) -> list[Step]:
    """An answer that does not stream: complete when its last token would have been."""
    counts = chunk_tokens(prescription, ask)
    end_ns = chunk_offsets_ns(prescription, len(counts), variant)[-1]
    usage = _usage(prescription, ask, counts)
    body = events.whole_answer(ask.api, events.words(0, usage.n_output_tokens), usage)
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    data = head(200, headers, keeps_alive=will_keep(prescription, ask)) + body
    return [Step(end_ns, data, ChunkKind.CONTENT, usage.n_output_tokens)]


_REASONS = {
    200: "OK",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    413: "Content Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
