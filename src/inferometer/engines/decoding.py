# SPDX-License-Identifier: Apache-2.0
"""What decoders have in common: JSON to a shape, events that are none of the dialect's own, counts.

Rule 1: half a surrogate pair (an emoji split over two events) is text; JSON allows it, the compiled decoder does not.
Rule 2: a count is what can be true and what the records can hold; nonsense is as good as not told.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from inferometer.engines.engine import Delta, DialectError, Timings
from inferometer.engines.error_text import error_text
from inferometer.kinds import ChunkKind
from inferometer.units import NS_PER_MS, NS_PER_S

COUNT_UNKNOWN = -1  # of a running count: not told, or not to be believed any more
MAX_CHUNK_TOKENS = 32_767  # what the records can hold of one event (int16)
_MAX_TOKENS = 2_147_483_647  # and of one request (int32)
_MAX_DURATION_NS = 7 * 24 * 3600 * NS_PER_S  # a week: longer than any run may last

_MAX_REASON_CHARS = 200  # a place deep in nested JSON is told with its whole path, thousands of characters

_NO_UTF8 = "not JSON: the bytes are no UTF-8"

_T = TypeVar("_T")


def parser(kind: type[_T], whose: str) -> Callable[[bytes], _T]:
    """A function from JSON to a `kind` of msgspec.Struct. `whose`: for messages, e.g. "an OpenAI answer".

    It raises DialectError, one line.
    """
    decoder = msgspec.json.Decoder(kind)

    def parse(data: bytes) -> _T:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError as error:
            raise DialectError(f"not the shape of {whose}: {_reason(error)}") from error
        except msgspec.DecodeError as error:
            return _parse_slowly(data, kind, whose, error)
        except UnicodeDecodeError as error:
            raise DialectError(_NO_UTF8) from error
        except RecursionError as error:
            raise DialectError("not JSON that anybody sends: it is nested without end") from error

    return parse


def _parse_slowly(data: bytes, kind: type[_T], whose: str, reason: msgspec.DecodeError) -> _T:
    try:
        return msgspec.convert(json.loads(data), kind)
    except msgspec.ValidationError as error:
        raise DialectError(f"not the shape of {whose}: {_reason(error)}") from error
    except UnicodeDecodeError as error:  # versions of msgspec differ in what they raise for it
        raise DialectError(_NO_UTF8) from error
    except (ValueError, RecursionError) as error:
        raise DialectError(f"not JSON: {_reason(reason)}") from error


def _reason(error: msgspec.DecodeError) -> str:
    text = str(error)
    return text if len(text) <= _MAX_REASON_CHARS else text[: _MAX_REASON_CHARS - 1] + "…"


def beside(event_type: str, data: bytes) -> list[Delta] | None:
    """What an event of any SSE dialect may be beside an answer: end marker, nothing, ping, error. None: an answer."""
    if data[:1] != b"{":
        bare = data.strip()
        if bare == b"[DONE]":
            return [Delta(ChunkKind.DONE)]
        if not bare:
            return [Delta(ChunkKind.EMPTY)]
    if event_type == "error":
        return [Delta(ChunkKind.ERROR, error_text(data))]
    if event_type == "ping":
        return [Delta(ChunkKind.PING)]
    return None


def is_told(error: Any) -> bool:
    """Whether a field for errors holds one: some servers always send it, empty."""
    return error is not None and error != ""


def possible(count: int | None) -> int | None:
    """A count of tokens of a request, or None."""
    return count if count is not None and 0 <= count <= _MAX_TOKENS else None


def possible_ns(told_ms: float | None) -> int | None:
    """A duration that a server told in milliseconds, or None where it is none."""
    if told_ms is None or not 0 <= told_ms * NS_PER_MS <= _MAX_DURATION_NS:  # NaN is not in there either
        return None
    return round(told_ms * NS_PER_MS)


def times(
    *,
    ttft_ms: float | None = None,
    queue_ms: float | None = None,
    prefill_ms: float | None = None,
    decode_ms: float | None = None,
) -> Timings | None:
    """What a server told of its own time; None where that was nothing."""
    told = [possible_ns(told_ms) for told_ms in (ttft_ms, queue_ms, prefill_ms, decode_ms)]
    return None if all(told_ns is None for told_ns in told) else Timings(*told)


def growth(state: int, running: int | None) -> tuple[int, int | None]:
    """For a count that stands in every event: the state after this one, and its tokens (None: cannot tell)."""
    if running is None or state == COUNT_UNKNOWN or running < state:
        return COUNT_UNKNOWN, None
    n_tokens = running - state
    return running, n_tokens if n_tokens <= MAX_CHUNK_TOKENS else None
