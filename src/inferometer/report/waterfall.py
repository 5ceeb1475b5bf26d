# SPDX-License-Identifier: Apache-2.0
"""One request under the magnifier: a waterfall of its instants, its facts, its raw bytes, and a curl line to repeat it.

Rule 1: times are milliseconds since the request was due; nothing else is derived from the records here.
Rule 2: the bytes are those of the recorder, from which secrets were masked before they were written; what a terminal
would act upon is escaped. The curl line names the key's variable, never the key.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inferometer.kinds import ChunkKind, Outcome, Phase
from inferometer.report.layout import painted, printable, wrapped
from inferometer.units import NS_PER_MS, NS_PER_US

LABEL_WIDTH = 12
TIME_WIDTH = 15
MAX_ARGUMENT_BYTES = 100_000  # Linux refuses arguments of 128 KiB; longer bodies go through stdin

# The rows of a waterfall that are instants of the request, in the order in which they should happen.
_INSTANTS = (("due", "t_due_ns"), ("sent", "t_sent_ns"), ("head", "t_head_ns"))
_SECRET_HEADERS = ("proxy-authorization", "api-key", "x-api-key", "cookie")
_AUTH_SCHEMES = ("bearer", "basic", "token")
_MADE_BY_CURL = ("host", "content-length", "connection", "accept-encoding")


class Row(Protocol):
    """One row of a table: a NumPy record or a plain dict."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Sending:
    """The request as it was sent. `body` is None where content was not kept; `key_name`: the key's variable."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    key_name: str = "API_KEY"
    is_insecure: bool = False


def waterfall(
    request: Row,
    chunks: Iterable[Row],
    reads: Sequence[tuple[int, int, bytes]],
    sending: Sending,
    *,
    width: int = 100,
    max_reads: int | None = 40,
    is_colour: bool = False,
) -> str:
    """Everything kept about one request, as text.

    Shapes: request one row of REQUEST; chunks its rows of CHUNK; reads (t_recv_ns, t_read_ns, data) in order, data
    empty where content was not kept. Of more than `max_reads` reads the middle is left out; None shows all.
    """
    lines = [painted(_title(request), "bold", is_colour=is_colour)]
    lines += _facts(request, width)
    lines += ["", *_bars(request, list(chunks), width)]
    lines += ["", *_raw(request, reads, width, max_reads)]
    lines += ["", *curl_lines(sending)]
    return "\n".join(lines) + "\n"


def curl_lines(sending: Sending) -> list[str]:
    """A shell command that sends the same request again; secrets as `$NAME`."""
    if sending.body is None:
        return ["  no curl line: the body was not kept (--no-content)"]
    flags = "-sSNk" if sending.is_insecure else "-sSN"
    headers = [_header_argument(*header, sending.key_name) for header in sending.headers]
    kept = " ".join(f"-H {argument}" for argument in headers if argument)
    command = f"curl {flags} {shlex.quote(printable(sending.url))} {kept}".rstrip()
    body = _harmless_json(sending.body)
    if len(sending.body) > MAX_ARGUMENT_BYTES:
        return [f"{command} --data-binary @- <<'END_OF_BODY'", body, "END_OF_BODY"]
    return [f"{command} --data-raw {shlex.quote(body)}"]


def _title(request: Row) -> str:
    outcome = Outcome(int(request["outcome"])).name.lower()
    place = f"trial {int(request['trial']) + 1}"
    if int(request["phase"]) == Phase.WARMUP:
        place += ", warm-up"
    return f"request {int(request['id'])}: {outcome}, {_since_due(request, 't_end_ns') or 'no end'}; {place}"


def _facts(request: Row, width: int) -> list[str]:
    """What the row says besides its instants."""
    facts = [
        f"due {int(request['t_due_ns']) / NS_PER_MS:,.2f} ms into the run",
        f"{_told(request['n_prompt_tokens'])} prompt tokens of {_told(request['n_prompt_tokens_asked'])} asked",
        f"{_told(request['n_output_tokens'])} output tokens of {_told(request['n_output_tokens_asked'])} asked",
    ]
    for name, words in (("n_cached_tokens", "cached"), ("n_reasoning_tokens", "of reasoning")):
        if int(request[name]) > 0:
            facts.append(f"{int(request[name]):,} {words}")
    facts += [
        f"status {_told(request['status'])}",
        f"finish {request['finish'] or 'not told'}",
        f"{int(request['n_chunks']):,} chunks in {int(request['n_reads']):,} reads, {int(request['n_bytes']):,} bytes",
        f"connection {_told(request['conn'])}, attempt {int(request['attempt'])}",
    ]
    lines = wrapped("  facts", "; ".join(printable(fact) for fact in facts), width=width, indent=LABEL_WIDTH)
    if request["error"]:
        lines += wrapped("  error", str(request["error"]), width=width, indent=LABEL_WIDTH)
    return lines


def _told(count: Any) -> str:
    return f"{int(count):,}" if int(count) >= 0 else "?"


def _bars(request: Row, chunks: Sequence[Row], width: int) -> list[str]:
    """One line per kind of event: where along the bar it happened, and when."""
    tracks = [(label, [int(request[name])]) for label, name in _INSTANTS if int(request[name]) >= 0]
    for kind in ChunkKind:
        stamps = [int(chunk["t_recv_ns"]) for chunk in chunks if int(chunk["kind"]) == kind]
        if stamps:
            tracks.append((kind.name.lower(), stamps))
    if int(request["t_end_ns"]) >= 0:
        tracks.append(("end", [int(request["t_end_ns"])]))
    due_ns = int(request["t_due_ns"])
    span_ns = max(max(max(stamps) for _, stamps in tracks) - due_ns, 1)
    n_cells = max(width - LABEL_WIDTH - 2 * TIME_WIDTH - 6, 20)
    return [_track(label, [t - due_ns for t in stamps], span_ns, n_cells) for label, stamps in tracks]


def _track(label: str, after_ns: Sequence[int], span_ns: int, n_cells: int) -> str:
    """`content  ....|||2|.|||....  300.00 ms to 1,060.00 ms`; a digit: so many events in a cell, `+`: ten or more."""
    counts = [0] * n_cells
    for t_ns in after_ns:
        counts[min(max(t_ns, 0) * n_cells // span_ns, n_cells - 1)] += 1
    cells = "".join("." if n == 0 else "|" if n == 1 else str(n) if n < 10 else "+" for n in counts)
    first = f"{min(after_ns) / NS_PER_MS:,.2f} ms".rjust(TIME_WIDTH)
    last = f" to {max(after_ns) / NS_PER_MS:,.2f} ms" if len(after_ns) > 1 else ""
    return f"  {label.ljust(LABEL_WIDTH - 2)}{cells}{first}{last}"


def _since_due(request: Row, name: str) -> str:
    if int(request[name]) < 0:
        return ""
    return f"{(int(request[name]) - int(request['t_due_ns'])) / NS_PER_MS:,.2f} ms after it was due"


def _raw(request: Row, reads: Sequence[tuple[int, int, bytes]], width: int, max_reads: int | None) -> list[str]:
    """Every read of the answer: when the kernel had it, how much later user space took it, and its bytes."""
    if not reads:
        return ["  nothing was received"]
    lines = ["  received (since due; + until user space read it)"]
    n_left_out = len(reads) - max_reads if max_reads is not None and len(reads) > max_reads else 0
    n_first = (len(reads) - n_left_out + 1) // 2
    for i, (t_recv_ns, t_read_ns, data) in enumerate(reads):
        if n_left_out and i == n_first:
            lines.append(f"  ... {n_left_out:,} reads left out ...")
        if n_first <= i < n_first + n_left_out:
            continue
        after = f"{(t_recv_ns - int(request['t_due_ns'])) / NS_PER_MS:,.2f} ms"
        stamp = f"{after:>{TIME_WIDTH}} {f'+{(t_read_ns - t_recv_ns) / NS_PER_US:,.0f} us':>10}  "
        texts = _escaped_lines(data, max(width - len(stamp), 20)) or ["(content not kept)"]
        lines += [stamp + texts[0], *(" " * len(stamp) + text for text in texts[1:])]
    return lines


def _escaped_lines(data: bytes, room: int) -> list[str]:
    """The bytes as text, one line end or `room` columns to a line; what is not printable written out as in Python."""
    lines = []
    for part in data.replace(b"\\", b"\\\\").splitlines(keepends=True):
        text = printable(part.decode("utf-8", "backslashreplace"))
        lines += [text[at : at + room] for at in range(0, len(text), room)]
    return lines


def _header_argument(name: str, value: str, key_name: str) -> str:
    """The header quoted for the shell; nothing for those that curl makes itself.

    A value that was not kept becomes a variable: of the key its own, of any other header one named after it.
    """
    if name.lower() in _MADE_BY_CURL:
        return ""
    if name.lower() == "authorization":
        scheme = value.split(" ", 1)[0] or "Bearer"
        kept = f"{scheme} " if scheme.lower() in _AUTH_SCHEMES else ""
        return f'"{name}: {kept}${key_name}"'
    if not value or name.lower() in _SECRET_HEADERS:
        return f'"{name}: ${re.sub("[^A-Z0-9]", "_", name.upper())}"'
    return shlex.quote(printable(f"{name}: {value}"))


def _harmless_json(body: bytes) -> str:
    """The same JSON text without a character that a terminal would act upon.

    Line ends outside of strings are blanks to JSON; inside of strings anything may be written as an escape.
    """
    text = body.decode("utf-8", "backslashreplace").translate({9: " ", 10: " ", 13: " "})
    return "".join(c if c.isprintable() else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    """`\\uXXXX`, two of them beyond the basic plane."""
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
