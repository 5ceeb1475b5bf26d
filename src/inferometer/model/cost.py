# SPDX-License-Identifier: Apache-2.0
"""The whole answer on cost, from a model's description and a device's data sheet: floors, bounds, the least price."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from inferometer.errors import UsageError
from inferometer.model import fit, flops, memory, roofline
from inferometer.model.architecture import Architecture, Parameters
from inferometer.model.devices import Device
from inferometer.model.formats import (
    KV_FORMATS,
    WEIGHT_FORMATS,
    WeightFormat,
    multiplied_in,
    weight_format,
    weights_bytes,
)
from inferometer.model.memory import Place
from inferometer.model.roofline import Ceilings, Law, Served, Step
from inferometer.model.stored import Stored

_BATCHES = (1, 4, 16, 64, 256)


@dataclass(frozen=True, slots=True)
class CostWish:
    """What was asked for. `n_output`: tokens of an answer, for the price; `price_per_hour`: of one device."""

    n_tokens: int | None = None
    n_output: int = 256
    degree: int = 1
    weights: str | None = None
    kv_format: str | None = None
    price_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One number of sequences decoded together. `fits`: None where the device's memory is not known; `per_1000`: the
    least that 1,000 requests cost, None without a price or a rate."""

    step: Step
    fits: bool | None
    per_1000: float | None


@dataclass(frozen=True, slots=True)
class CostPicture:
    """`n_fit`: sequences of this length that the memory holds, with what is assumed in fit.py."""

    served: Served
    device: Device
    roof: Ceilings
    n_tokens: int
    n_output: int
    matrix_flops: int
    attention_flops: int
    read_bytes: int
    cache_bytes: int
    law: Law
    prefill_flops: int
    prefill_s: float | None
    compute_bound_from: int | None
    n_fit: int | None
    lines: tuple[Line, ...]
    price_per_hour: float | None


def cost_picture(architecture: Architecture, stored: Stored | None, device: Device, wish: CostWish) -> CostPicture:
    """Raises: UsageError if what was wished cannot be, or the number of parameters is not known."""
    memory.check(architecture, wish.n_tokens, wish.degree)
    parameters = stored.parameters if stored is not None and stored.parameters else architecture.parameters
    if parameters is None:
        raise UsageError(
            f"how many parameters this model has is not known ({architecture.family})",
            "give a GGUF or the folder with its safetensors: they are counted there",
        )
    weights = weights_of(architecture, stored, parameters, wish.weights)
    kv_format = wish.kv_format or (architecture.dtype if architecture.dtype in KV_FORMATS else "bf16")
    served = Served(architecture, parameters, weights, kv_format, wish.degree)
    roof = roofline.ceilings(device, weights)
    n_tokens = wish.n_tokens or min(architecture.context_tokens or 2048, 2048)
    n_fit = _n_fit(served, device, n_tokens)
    one = roofline.step(served, roof, 1, n_tokens)
    return CostPicture(
        served,
        device,
        roof,
        n_tokens,
        wish.n_output,
        flops.matrix_flops(parameters),
        flops.attention_flops(architecture, n_tokens),
        one.weights_bytes,
        one.cache_bytes,
        roofline.law(served, roof),
        flops.prefill_flops(architecture, parameters, n_tokens),
        roofline.prefill_s(served, roof, n_tokens),
        roofline.compute_bound_from(served, roof, n_tokens),
        n_fit,
        tuple(_line(served, roof, wish, n, n_tokens, n_fit) for n in _batches(n_fit)),
        wish.price_per_hour,
    )


def weights_of(
    architecture: Architecture, stored: Stored | None, parameters: Parameters, wished: str | None
) -> WeightFormat:
    """The one asked for, the average of what lies in the file, or what the config declares.

    What lies in a file is multiplied as the config declares, else as most of its bytes are: packed weights of several
    formats have the same type.
    """
    if wished is not None:
        return weight_format(wished)
    declared = WEIGHT_FORMATS[architecture.stored_as or architecture.dtype]
    if stored is None:
        return declared
    is_told = bool(architecture.stored_as) or not stored.types
    multiplied = declared.multiplied if is_told else multiplied_in(max(stored.types, key=lambda t: stored.types[t]))
    bits = Fraction(8 * stored.n_bytes, parameters.total)
    return WeightFormat("as stored", bits, "all", multiplied=multiplied)


def _n_fit(served: Served, device: Device, n_tokens: int) -> int | None:
    if device.memory_bytes is None:
        return None
    place = Place(device.name, device.kind, device.memory_bytes)
    setting = fit.Setting(
        place.n_bytes,
        weights_bytes(served.parameters, served.weights),
        KV_FORMATS[served.kv_format],
        served.degree,
        place.share,
        place.overhead.likely + fit.communication_bytes(served.degree),
    )
    return fit.n_sequences(served.architecture, n_tokens, setting)


def _batches(n_fit: int | None) -> list[int]:
    return sorted({*_BATCHES, *([n_fit] if n_fit is not None and n_fit > 0 else [])})


def _line(served: Served, roof: Ceilings, wish: CostWish, n_sequences: int, n_tokens: int, n_fit: int | None) -> Line:
    price = None
    if wish.price_per_hour is not None:
        price = roofline.cost_per_1000(
            served,
            roof,
            n_sequences=n_sequences,
            n_prompt=n_tokens,
            n_output=wish.n_output,
            price_per_hour=wish.price_per_hour,
        )
    fits = None if n_fit is None else n_sequences <= n_fit
    return Line(roofline.step(served, roof, n_sequences, n_tokens), fits, price)
