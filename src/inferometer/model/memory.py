# SPDX-License-Identifier: Apache-2.0
"""The whole answer on memory: what fits, what takes the room, and how that changes with number format and devices.

Rule: everything that is printed is a number here first; what was assumed is marked as assumed, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from inferometer.errors import UsageError
from inferometer.model import fit, kv
from inferometer.model.architecture import Architecture, Parameters
from inferometer.model.fit import Overhead, Setting
from inferometer.model.formats import KV_FORMATS, WEIGHT_FORMATS, weight_format, weights_bytes
from inferometer.model.stored import Stored
from inferometer.units import parse_bytes

DEGREES = (1, 2, 4, 8)
_COMPARED = ("fp8", "int4", "q4_k_m")  # beside the model's own format: what most checkpoints on offer are
_LENGTHS = (512, 2048, 8192, 32768, 131072, 524288, 1048576)
_SHARES = {"gpu": 0.9, "tpu": 0.9}
_OF_SERVING = Overhead(3_500_000_000, 3_000_000_000, 9_000_000_000, "activations, graphs and what else an engine holds")
_OF_EDGE = Overhead(500_000_000, 250_000_000, 2_000_000_000, "compute buffers of a small engine such as llama.cpp")
_SERVING_BYTES = 20 * 10**9  # devices with less are served by small engines
_SHARED = 0.75  # of memory that an operating system and its programs share


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is to run. `kind`: gpu, tpu, unified, cpu; `n_bytes`: of one device."""

    name: str
    kind: str
    n_bytes: int

    @property
    def share(self) -> float:
        return _SHARES.get(self.kind, _SHARED)

    @property
    def overhead(self) -> Overhead:
        return _OF_SERVING if self.kind in _SHARES and self.n_bytes >= _SERVING_BYTES else _OF_EDGE


@dataclass(frozen=True, slots=True)
class Weights:
    """`n_bytes`: None if nobody knows; `why`: how the size is known."""

    format: str
    n_bytes: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Sequences that fit, None where this number of devices cannot split the heads; -1: the weights do not fit."""

    degree: int
    n_sequences: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of number formats."""

    weights: Weights
    kv_format: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for; None: by default. `weights`: a format or a size; `share`: of the memory that is used."""

    n_tokens: int | None = None
    degree: int = 1
    weights: str | None = None
    kv_format: str | None = None
    share: float | None = None
    other: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """The answer. Bytes are per device unless they are said to be of the whole; `low` and `high`: sequences with the
    most and the least that an engine may need beside weights and cache."""

    architecture: Architecture
    parameters: Parameters | None
    place: Place
    n_tokens: int
    weights: Weights
    kv_format: str
    setting: Setting | None
    overhead: Overhead | None
    n_sequences: int | None
    low: int | None
    high: int | None
    longest: int | None
    total_tokens: int | None
    bytes_per_token: int
    bytes_per_token_beyond: int
    state_bytes: int
    sequence_bytes: int
    rows: tuple[Row, ...]
    lengths: tuple[tuple[int, int], ...]


def picture(architecture: Architecture, stored: Stored | None, place: Place, wish: Wish) -> Picture:
    """Raises: UsageError if what was wished cannot be."""
    parameters = stored.parameters if stored is not None and stored.parameters else architecture.parameters
    n_tokens = wish.n_tokens or min(architecture.context_tokens or 8192, 8192)
    check(architecture, wish.n_tokens, wish.degree)
    own = _own_weights(architecture, stored, parameters)
    weights = _wished_weights(wish.weights, own, parameters)
    own_kv = architecture.dtype if architecture.dtype in KV_FORMATS else "bf16"
    kv_format = wish.kv_format or own_kv
    setting, overhead = _setting(architecture, place, wish, weights, kv_format)
    n = low = high = longest = total = None
    if setting is not None and overhead is not None:
        n = fit.n_sequences(architecture, n_tokens, setting)
        low, high = fit.range_of(architecture, n_tokens, setting, overhead)
        longest = fit.longest(architecture, setting, 1 << 24)
        total = fit.total_tokens(architecture, setting)
    bits, state_bits = KV_FORMATS[kv_format], KV_FORMATS[own_kv]
    degree, state = wish.degree, kv.state_bytes(architecture, KV_FORMATS[own_kv], degree=wish.degree)
    return Picture(
        architecture,
        parameters,
        place,
        n_tokens,
        weights,
        kv_format,
        setting,
        overhead,
        n,
        low,
        high,
        longest,
        total,
        kv.bytes_per_token(architecture, bits, degree=degree),
        kv.bytes_per_token(architecture, bits, degree=degree, is_beyond=True),
        state,
        kv.bytes_of(architecture, n_tokens, bits, degree=degree, block=kv.BLOCK_TOKENS)
        + kv.state_bytes(architecture, state_bits, degree=degree),
        _rows(architecture, place, wish, [weights, *_others(weights, parameters)], kv_format, n_tokens),
        _by_length(architecture, setting, n_tokens),
    )


def check(architecture: Architecture, n_tokens: int | None, degree: int) -> None:
    """Raises: UsageError for a context longer than the model's, or a number of devices that its heads do not allow."""
    if n_tokens is not None and architecture.context_tokens and n_tokens > architecture.context_tokens:
        raise UsageError(
            f"--context {n_tokens:,}: this model was made for {architecture.context_tokens:,} tokens",
            f"ask for at most {architecture.context_tokens:,}",
        )
    if not _can_split(architecture, degree):
        n_heads = architecture.attention[0].n_heads
        raise UsageError(
            f"--tp {degree}: its {n_heads} attention heads cannot be split among {degree} devices",
            "engines refuse it too; choose a number that divides them: "
            + ", ".join(str(n) for n in range(1, min(n_heads, 16) + 1) if n_heads % n == 0),
        )


def _can_split(architecture: Architecture, degree: int) -> bool:
    return all(part.n_heads % degree == 0 for part in architecture.attention)


def _own_weights(architecture: Architecture, stored: Stored | None, parameters: Parameters | None) -> Weights:
    if stored is not None:
        return Weights("as stored", stored.n_bytes, "the file's own tensors" if stored.types else "the file's index")
    name = architecture.stored_as or architecture.dtype
    if parameters is None:
        return Weights(name, None, "not known: neither weights nor a number of parameters")
    return Weights(name, weights_bytes(parameters, WEIGHT_FORMATS[name]), f"{parameters.total:,} parameters")


def _wished_weights(wished: str | None, own: Weights, parameters: Parameters | None) -> Weights:
    if wished is None:
        return own
    if wished[:1].isdigit():
        return Weights("as given", parse_bytes(wished), "as given by --weights")
    format = weight_format(wished)
    if parameters is None:
        raise UsageError(
            f"--weights {wished}: how many parameters the model has is not known", "give its size: --weights 54GB"
        )
    return _in_format(format.name, parameters)


def _in_format(name: str, parameters: Parameters) -> Weights:
    format = WEIGHT_FORMATS[name]
    why = f"{parameters.total:,} parameters" + (f"; {format.note}" if format.note else "")
    return Weights(name, weights_bytes(parameters, format), why)


def _others(weights: Weights, parameters: Parameters | None) -> list[Weights]:
    """The formats to compare with, without those that would weigh more."""
    if parameters is None or weights.n_bytes is None:
        return []
    found = [_in_format(name, parameters) for name in _COMPARED if name != weights.format]
    return [other for other in found if other.n_bytes is not None and other.n_bytes < 0.98 * weights.n_bytes]


def _setting(
    architecture: Architecture, place: Place, wish: Wish, weights: Weights, kv_format: str, degree: int | None = None
) -> tuple[Setting | None, Overhead | None]:
    """None where nobody knows what the weights weigh."""
    if weights.n_bytes is None:
        return None, None
    degree = wish.degree if degree is None else degree
    overhead, links = place.overhead, fit.communication_bytes(degree)
    if wish.other is not None:
        overhead = Overhead(wish.other, wish.other, wish.other, "as given by --other")
    else:
        sizes = (overhead.likely + links, overhead.least + links, overhead.most + links)
        overhead = Overhead(*sizes, overhead.why)
    setting = Setting(
        place.n_bytes,
        weights.n_bytes,
        KV_FORMATS[kv_format],
        degree,
        place.share if wish.share is None else wish.share,
        overhead.likely,
        KV_FORMATS.get(architecture.dtype, Fraction(16)),
    )
    return setting, overhead


def _rows(
    architecture: Architecture, place: Place, wish: Wish, weights: Sequence[Weights], kv_format: str, n_tokens: int
) -> tuple[Row, ...]:
    smaller = "q8_0" if architecture.dtype == "fp16" else "fp8"
    caches = [kv_format] + ([smaller] if KV_FORMATS[smaller] < KV_FORMATS[kv_format] else [])
    degrees = DEGREES if place.kind in _SHARES else (1,)
    rows = []
    for its in weights:
        for cache in caches:
            cells = []
            for degree in dict.fromkeys((*degrees, wish.degree)):
                setting, _ = _setting(architecture, place, wish, its, cache, degree)
                can = setting is not None and _can_split(architecture, degree)
                n = fit.n_sequences(architecture, n_tokens, setting) if can and setting is not None else None
                cells.append(Cell(degree, n))
            rows.append(Row(its, cache, tuple(cells)))
    return tuple(rows)


def _by_length(architecture: Architecture, setting: Setting | None, n_tokens: int) -> tuple[tuple[int, int], ...]:
    if setting is None or setting.room < 0:
        return ()
    most = architecture.context_tokens or max(_LENGTHS)
    lengths = sorted({n for n in (*_LENGTHS, n_tokens, most) if n <= most})
    return tuple((n, fit.n_sequences(architecture, n, setting)) for n in lengths)
