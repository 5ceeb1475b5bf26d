# SPDX-License-Identifier: Apache-2.0
"""The contract of dialects: recorded answers decode to their golden deltas, however they are cut into reads. A new
transcript is picked up by itself; its name says which dialect it is of."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from inferometer.drive.answer import Answer
from inferometer.engines import DIALECTS
from inferometer.engines.engine import Delta, Dialect, DialectError
from inferometer.wire.streams import reader_of

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
GENERATIONS = ("stream", "complet", "chat", "generate", "reasoning", "tool-call", "error", "prefix")
# A word in the name of a transcript, and the dialect it is of; the first that fits.
NATIVE = {
    "xllamacpp-2026.10-native": "llamacpp-completion",
    "llama-server-0c1e570-native": "llamacpp-completion",
    "vllm-0.32.0-native": "vllm-tokens",
    "sglang-native": "sglang-generate",
    "lmdeploy-native": "lmdeploy-generate",
    "tgi-native": "tgi-generate",
    "ollama-native-chat": "ollama-chat",
    "ollama-native": "ollama-generate",
    "triton-native": "triton-generate",
}
N_SPLITS = 12


def read_answers():
    """Recorded and made answers to requests for text (not those of the control plane): name, head, body."""
    for path in sorted(TRANSCRIPTS.rglob("*.http")):
        if any(word in path.stem for word in GENERATIONS) and "tokenize" not in path.stem:
            head, _, body = path.read_bytes().partition(b"\r\n\r\n")
            name = path.stem if path.parent == TRANSCRIPTS else f"{path.parent.name}-{path.stem}"
            yield pytest.param(name, head.decode().lower(), body, id=name)


ANSWERS = list(read_answers())


def dialect_of(name: str) -> Dialect:
    native = next((dialect for word, dialect in NATIVE.items() if word in name), None)
    return DIALECTS[native or ("chat" if "chat" in name else "completions")]


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
    if (spent := delta.timings) is not None:
        told = (f"{name}={value}" for name in spent.__struct_fields__ if (value := getattr(spent, name)) is not None)
        parts.append(f"timings:{','.join(told)}")
    return " ".join(parts)


def decoded(dialect, head: str, body: bytes) -> str:
    if not head.startswith("http/1.1 200"):
        return f"error text: {dialect.error_text(body)}\n"
    lines = []
    try:
        if dialect.streams_as in head:
            reader, state = reader_of(dialect.streams_as), dialect.start()
            for event in [*reader.feed(body, 0), *reader.close(0)]:
                if event.is_comment:
                    continue
                state, deltas = dialect.decode(state, event.type, event.data)
                lines += map(line_of, deltas)
        else:
            lines += map(line_of, dialect.decode_body(body))
    except DialectError as error:
        lines.append(f"DialectError: {error}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("name", "head", "body"), ANSWERS)
def test_a_recorded_answer_decodes_to_its_golden_deltas(name, head, body, golden):
    golden(f"deltas/{name}.txt", decoded(dialect_of(name), head, body))


def test_both_routes_are_read_by_any_dialect():
    """What a route should not send is still read: proxies mix them up."""
    for name, head, body in (param.values for param in ANSWERS):
        if dialect_of(name).name in ("chat", "completions"):
            assert decoded(DIALECTS["chat"], head, body) == decoded(DIALECTS["completions"], head, body), name


def heard(reads: list[bytes], dialect: Dialect) -> tuple[object, ...]:
    """All that an answer means, but for the numbers of its reads."""
    answer = Answer(dialect)
    for i, data in enumerate(reads):
        answer.feed(data, i)
    answer.close(len(reads) - 1)
    columns = [column.tolist() for column in (answer.kinds, answer.n_tokens, answer.n_bytes)]
    return (*columns, answer.usage, answer.finish, answer.is_done_seen, answer.n_output_tokens, answer.outcome(8))


@pytest.mark.parametrize(("name", "head", "body"), ANSWERS)
def test_how_an_answer_is_cut_into_reads_changes_nothing(name, head, body):
    """In one, byte by byte, at random places; transfer chunks are cut elsewhere again."""
    dialect, rng = dialect_of(name), random.Random(name)
    whole = heard([answered(head, [body])], dialect)
    stream = answered(head, pieces_of(body, rng))
    assert heard([stream[i : i + 1] for i in range(len(stream))], dialect) == whole
    for _ in range(N_SPLITS):
        assert heard(pieces_of(answered(head, pieces_of(body, rng)), rng), dialect) == whole


def pieces_of(data: bytes, rng: random.Random) -> list[bytes]:
    places = sorted(rng.choices(range(1, len(data)), k=rng.randint(1, 9))) if len(data) > 1 else []
    return [data[start:stop] for start, stop in pairwise([0, *places, len(data)]) if start < stop]


def answered(head: str, pieces: list[bytes]) -> bytes:
    """The whole message, with its transfer chunks put back."""
    status, *fields = head.split("\r\n")
    kept = [field for field in fields if not field.startswith(("content-length", "transfer-encoding"))]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    lines = [status.replace("http/", "HTTP/"), *kept, "transfer-encoding: chunked"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + chunks + b"0\r\n\r\n"
