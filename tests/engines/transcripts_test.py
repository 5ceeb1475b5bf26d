# SPDX-License-Identifier: Apache-2.0
"""The contract of dialects: recorded answers decode to their golden deltas. A new transcript is picked up by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferometer.engines import DIALECTS
from inferometer.engines.engine import Delta, DialectError
from inferometer.wire.sse import EventReader

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
GENERATIONS = ("stream", "complet", "chat", "reasoning", "tool-call", "error", "prefix")


def read_answers():
    """Recorded answers to requests for text (not those of the control plane): name, head, body."""
    for path in sorted(TRANSCRIPTS.glob("*.http")):
        if any(word in path.stem for word in GENERATIONS) and "tokenize" not in path.stem:
            head, _, body = path.read_bytes().partition(b"\r\n\r\n")
            yield pytest.param(path.stem, head.decode().lower(), body, id=path.stem)


ANSWERS = list(read_answers())


def line_of(delta: Delta) -> str:
    """One delta, on one line, without what is not told."""
    parts = [delta.kind.name]
    parts += [repr(delta.text)] if delta.text else []
    parts += [f"n={delta.n_tokens}"] if delta.n_tokens is not None else []
    parts += [f"finish={delta.finish}"] if delta.finish is not None else []
    if (usage := delta.usage) is not None:
        parts.append(f"usage={usage.n_prompt_tokens},{usage.n_output_tokens}")
        parts += [f"cached={usage.n_cached_tokens}"] if usage.n_cached_tokens is not None else []
        parts += [f"reasoning={usage.n_reasoning_tokens}"] if usage.n_reasoning_tokens is not None else []
    return " ".join(parts)


def decoded(dialect, head: str, body: bytes) -> str:
    if not head.startswith("http/1.1 200"):
        return f"error text: {dialect.error_text(body)}\n"
    lines = []
    try:
        if dialect.streams_as in head:
            reader, state = EventReader(), dialect.start()
            for event in [*reader.feed(body, 0), *reader.close(0)]:
                state, deltas = dialect.decode(state, event.type, event.data)
                lines += map(line_of, deltas)
        else:
            lines += map(line_of, dialect.decode_body(body))
    except DialectError as error:
        lines.append(f"DialectError: {error}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("name", "head", "body"), ANSWERS)
def test_a_recorded_answer_decodes_to_its_golden_deltas(name, head, body, golden):
    dialect = DIALECTS["chat" if "chat" in name else "completions"]
    golden(f"deltas/{name}.txt", decoded(dialect, head, body))


def test_both_routes_are_read_by_any_dialect():
    """What a route should not send is still read: proxies mix them up."""
    for name, head, body in (param.values for param in ANSWERS):
        assert decoded(DIALECTS["chat"], head, body) == decoded(DIALECTS["completions"], head, body), name
