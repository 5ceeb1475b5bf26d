# SPDX-License-Identifier: Apache-2.0
"""The answer on memory as text and as JSON: how many sequences fit, what takes the room, then by format and devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from inferometer.model.architecture import Attention
from inferometer.model.formats import KV_FORMATS
from inferometer.model.kv import replication
from inferometer.model.memory import Cell, Picture, Row
from inferometer.report.layout import columns, cut_middle, filled, wrapped
from inferometer.units import format_bytes, format_number

SCHEMA = "inferometer/memory/1"
_INDENT = 12
_NO_ROOM = "no"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the model is called, where it was read, what is to be known about that; `others`: devices that the words
    given could mean, too."""

    name: str
    source: str
    note: str = ""
    others: tuple[str, ...] = ()


def render(picture: Picture, origin: Origin, *, width: int = 100) -> str:
    """One screen, the answer first."""
    lines = _answer(picture, origin, width)
    if (beside := _range(picture) or _way_out(picture)) is not None:
        lines += wrapped("", beside, width=width, indent=_INDENT)
    lines.append("")
    for label, parts in _facts(picture, origin):
        lines += filled(label, parts, width=width, indent=_INDENT)
    lines += _table(picture) + _lengths(picture)
    doubts = picture.architecture.doubts
    told = [("" if i else "not known", doubt) for i, doubt in enumerate(doubts)]
    told += [("note", origin.note)] if origin.note else []
    for i, (label, text) in enumerate(told):
        lines += [*([] if i else [""]), *wrapped(label, text, width=width, indent=_INDENT)]
    return "\n".join(lines) + "\n"


def answered(head: str, answer: str, width: int) -> list[str]:
    """One line, or two where it would be too long."""
    if len(head) + len(answer) < width:
        return [f"{head} {answer}"]
    return [head, *wrapped("", answer, width=width, indent=_INDENT)]


def _answer(picture: Picture, origin: Origin, width: int) -> list[str]:
    degree = picture.setting.degree if picture.setting is not None else 1
    where = f"{degree} x {picture.place.name}" if degree > 1 else picture.place.name
    head = f"{cut_middle(origin.name, width // 3)} on {cut_middle(where, width // 3)}:"
    return answered(head, _fits(picture), width)


def _fits(picture: Picture) -> str:
    n, tokens = picture.n_sequences, f"{picture.n_tokens:,} tokens"
    if n is None:
        return "cannot tell what fits, for nobody knows what the weights weigh"
    if n < 0:
        return "the weights do not fit" if _is_too_heavy(picture) else "the weights fit, but no engine beside"
    if n == 0:
        return f"the weights fit, but no sequence of {tokens}"
    return f"{n:,} {'sequence fits' if n == 1 else 'sequences fit'}, of {tokens} each"


def _is_too_heavy(picture: Picture) -> bool:
    """Whether the weights alone are too much; else it is what an engine needs beside them."""
    setting = picture.setting
    return setting is not None and setting.weights / setting.degree > setting.device_bytes * setting.share


def _way_out(picture: Picture) -> str | None:
    """The least change of those in the table with which something fits, if nothing does."""
    if picture.n_sequences is None or picture.n_sequences > 0 or picture.setting is None:
        return None
    found = [
        (cell.degree, i, row, cell.n_sequences)
        for i, row in enumerate(picture.rows)
        for cell in row.cells
        if cell.n_sequences is not None and cell.n_sequences > 0
    ]
    if not found:
        return "nor does it in any other format or number of devices in the table"
    ways = []
    for degree, _, row, n in sorted(found, key=lambda way: way[:2])[:1] + sorted(found, key=lambda way: way[1])[:1]:
        devices = f" on {degree} devices" if degree > 1 else ""
        ways.append(f"with weights in {row.weights.format} and cache in {row.kv_format}{devices}: {n:,}")
    return "; ".join(dict.fromkeys(ways))


def _range(picture: Picture) -> str | None:
    if picture.overhead is None or picture.low is None or picture.high is None or picture.low == picture.high:
        return None
    if picture.high <= 0:
        return None
    low, overhead = max(picture.low, 0), picture.overhead
    return (
        f"between {low:,} and {picture.high:,}: an engine needs some {format_bytes(overhead.least)} to "
        f"{format_bytes(overhead.most)} beside weights and cache, and {format_bytes(overhead.likely)} is assumed"
    )


def _facts(picture: Picture, origin: Origin) -> list[tuple[str, list[str]]]:
    architecture, setting = picture.architecture, picture.setting
    counted, parts = picture.parameters, list[str]()
    if counted is not None:
        parts.append(f"{_billions(counted.total)} parameters")
        parts += [f"{_billions(counted.active)} active"] if counted.active < counted.total else []
    parts += [f"{architecture.n_layers} layers", *architecture.kinds]
    if architecture.context_tokens:
        parts.append(f"made for {architecture.context_tokens:,} tokens")
    facts = [("model", [", ".join(parts)]), ("", [f"read from {origin.source}"])]
    if origin.others:
        facts.append(("device", [f"{picture.place.name}; the same words could mean {', '.join(origin.others)}"]))
    if setting is not None:
        facts.append(("memory", _memory(picture)))
        facts += [("", [told]) for told in [_eater(picture)] if told]
    size = "size not known" if picture.weights.n_bytes is None else format_bytes(picture.weights.n_bytes)
    facts.append(("weights", [f"{size}, {picture.weights.format} ({picture.weights.why})"]))
    facts += [(label, [text]) for label, text in _cache(picture)]
    return facts


def _memory(picture: Picture) -> list[str]:
    """What a device's memory goes to. Percentages of what the driver shows."""
    setting = picture.setting
    assert setting is not None
    whole = setting.device_bytes
    weights = -(-setting.weights // setting.degree)
    free = whole - int(whole * setting.share)
    told = [
        f"{name} {format_bytes(n_bytes)} ({100 * n_bytes / whole:.0f} %)"
        for name, n_bytes in (
            ("weights", weights),
            ("cache", max(setting.room, 0)),
            ("other", setting.other),
            ("left free", free),
        )
    ]
    each = " on each device" if setting.degree > 1 else ""
    return [f"{format_bytes(whole)}{each}: {told[0]}", *told[1:]]


def _eater(picture: Picture) -> str:
    """What the next sequence competes with."""
    setting = picture.setting
    if setting is None or setting.room < 0 or not picture.sequence_bytes:
        return ""
    weights = -(-setting.weights // setting.degree)
    n = weights / picture.sequence_bytes
    if n >= 1:
        return f"the weights take as much as {format_number(n)} sequences of {picture.n_tokens:,} tokens"
    return f"one sequence of {picture.n_tokens:,} tokens takes {format_number(1 / n)} times what the weights take"


def _cache(picture: Picture) -> list[tuple[str, str]]:
    of = " on each device" if picture.setting is not None and picture.setting.degree > 1 else ""
    facts = []
    bits = float(KV_FORMATS[picture.kv_format])
    for i, part in enumerate(picture.architecture.attention):
        facts.append(("" if i else "cache", _of_layers(part, bits)))
    told = f"{picture.bytes_per_token:,} B per token in {picture.kv_format}{of}"
    if picture.bytes_per_token_beyond != picture.bytes_per_token:
        told += f", {picture.bytes_per_token_beyond:,} B beyond the window if the engine drops what lies outside"
    facts.append(("" if facts else "cache", told))
    if picture.state_bytes:
        facts.append(("", f"a state of {format_bytes(picture.state_bytes)} per sequence, whatever its length"))
    told = f"{format_bytes(picture.sequence_bytes)} per sequence of {picture.n_tokens:,} tokens"
    if picture.total_tokens:
        told += f"; room for {picture.total_tokens:,} tokens in all"
    if picture.longest and picture.n_sequences == 0:
        told += f"; the longest that fits has {picture.longest:,} tokens"
    facts.append(("", told))
    return facts


def _of_layers(part: Attention, bits: float) -> str:
    n_bytes = f"{format_number(bits / 8).removesuffix('.00')} B"
    if part.latent is not None:
        latent = f"({part.latent.rank} + {part.latent.rope_dim})"
        return f"{part.n_layers} layers x {latent} x {n_bytes}, one latent for all heads"
    over = f" over the last {part.window:,} tokens" if part.window is not None else ""
    width = f"2 x {part.key_dim}" if part.key_dim == part.value_dim else f"({part.key_dim} + {part.value_dim})"
    heads = "head" if part.n_kv_heads == 1 else "heads"
    return f"{part.n_layers} layers{over} x {part.n_kv_heads} {heads} x {width} x {n_bytes}"


def _table(picture: Picture) -> list[str]:
    if not picture.rows or picture.setting is None:
        return []
    degrees = [cell.degree for cell in picture.rows[0].cells]
    is_parallel = len(degrees) > 1
    heads = ("weights", "", "cache", *(f"{degree} device{'s' * (degree > 1)}" for degree in degrees))
    cells: list[Sequence[str]] = [heads if is_parallel else (*heads[:3], "sequences")]
    before = ""
    for row in picture.rows:
        size = "" if row.weights.n_bytes is None else format_bytes(row.weights.n_bytes)
        is_new, before = row.weights.format != before, row.weights.format
        own = (row.weights.format, size) if is_new else ("", "")
        cells.append((*own, row.kv_format, *(_cell(cell) for cell in row.cells)))
    title = f"sequences of {picture.n_tokens:,} tokens by number format"
    title += " and devices (tensor parallel)" if is_parallel else ""
    copied = [degree for degree in degrees if replication(picture.architecture, degree) > 1]
    told = f"  from {copied[0]} devices on, parts of the cache are kept more than once" if copied else ""
    return ["", title, *columns(cells, "<><" + ">" * len(degrees), indent=2), *([told] if told else [])]


def _cell(cell: Cell) -> str:
    if cell.n_sequences is None:
        return "-"
    return _NO_ROOM if cell.n_sequences < 0 else f"{cell.n_sequences:,}"


def _lengths(picture: Picture) -> list[str]:
    if len(picture.lengths) < 2:
        return []
    heads = ("tokens", *(f"{n_tokens:,}" for n_tokens, _ in picture.lengths))
    cells = ("sequences", *(f"{n:,}" for _, n in picture.lengths))
    return ["", "by length", *columns([heads, cells], "<" + ">" * len(picture.lengths), indent=2)]


def _billions(n: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6)):
        if n >= size:
            return f"{format_number(n / size)} {unit}"
    return f"{n:,}"


def to_json(picture: Picture, origin: Origin) -> bytes:
    """Every number of the page and those below it, in bytes and tokens; see docs/reference/json.md."""
    setting, overhead, architecture = picture.setting, picture.overhead, picture.architecture
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "model": {
            "name": origin.name,
            "source": origin.source,
            "family": architecture.family,
            "kinds": architecture.kinds,
            "n_layers": architecture.n_layers,
            "n_attention_layers": architecture.n_attention_layers,
            "n_sliding_layers": architecture.n_sliding_layers,
            "context_tokens": architecture.context_tokens,
            "n_parameters": picture.parameters.total if picture.parameters else None,
            "n_active_parameters": picture.parameters.active if picture.parameters else None,
            "not_known": architecture.doubts,
            "note": origin.note,
        },
        "device": {"name": picture.place.name, "kind": picture.place.kind, "memory_bytes": picture.place.n_bytes},
        "context_tokens": picture.n_tokens,
        "tensor_parallel": setting.degree if setting else None,
        "n_sequences": picture.n_sequences,
        "n_sequences_range": [picture.low, picture.high] if picture.low is not None else None,
        "weights": {
            "format": picture.weights.format,
            "bytes": picture.weights.n_bytes,
            "known_from": picture.weights.why,
        },
        "cache": {
            "format": picture.kv_format,
            "bytes_per_token": picture.bytes_per_token,
            "bytes_per_token_beyond_window": picture.bytes_per_token_beyond,
            "state_bytes_per_sequence": picture.state_bytes,
            "bytes_per_sequence": picture.sequence_bytes,
            "room_bytes": setting.room if setting else None,
            "room_tokens": picture.total_tokens,
            "longest_sequence_tokens": picture.longest,
        },
        "assumed": {
            "share_used": setting.share if setting else None,
            "other_bytes": overhead.likely if overhead else None,
            "other_bytes_range": [overhead.least, overhead.most] if overhead else None,
            "other_is": overhead.why if overhead else None,
        },
        "by_format": [_row_json(row) for row in picture.rows],
        "by_length": [{"context_tokens": n_tokens, "n_sequences": n} for n_tokens, n in picture.lengths],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "weights": row.weights.format,
        "weights_bytes": row.weights.n_bytes,
        "cache": row.kv_format,
        "n_sequences": {str(cell.degree): cell.n_sequences for cell in row.cells},
    }
