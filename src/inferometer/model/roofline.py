# SPDX-License-Identifier: Apache-2.0
"""The least time that a step can take on a device: what must be computed by its peak rate, what must be read by its
bandwidth, whichever is longer. Communication and the engine's own work come on top.

Rule 1: rates are dense peaks of the data sheet (vendors like to print twice that, for 2:4 sparse matrices), of the
number format in which matrices are multiplied (formats.py): that of weights of 4 bits is hardly ever 4 bits.
Rule 2: these are ceilings. An engine that seems to beat one is measured wrong, or the ceiling is not its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.model import flops, kv
from inferometer.model.architecture import Architecture, Parameters
from inferometer.model.devices import Device
from inferometer.model.formats import KV_FORMATS, WeightFormat


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Of one device. `flops_per_s`: None where the table does not have it; `computed_in`: the number format meant."""

    bytes_per_s: float
    flops_per_s: float | None
    computed_in: str

    @property
    def ridge(self) -> float | None:
        """FLOP per byte from which on computing takes longer than reading."""
        return None if self.flops_per_s is None else self.flops_per_s / self.bytes_per_s


def ceilings(device: Device, weights: WeightFormat) -> Ceilings:
    """For weights of this format, multiplied as engines do where the device can, else as bf16."""
    rates = {"fp8": device.fp8_tflops, "fp4": device.fp4_tflops, "int8": device.int8_tops}
    fast = rates.get(weights.multiplied)
    rate, computed_in = (device.bf16_tflops, "bf16") if fast is None else (fast, weights.multiplied)
    return Ceilings(device.bandwidth_gb_per_s * 1e9, None if rate is None else rate * 1e12, computed_in)


@dataclass(frozen=True, slots=True)
class Served:
    """A model as it is served: what the floors are of. `kv_format`: its name in formats.py."""

    architecture: Architecture
    parameters: Parameters
    weights: WeightFormat
    kv_format: str
    degree: int = 1

    @property
    def weights_bytes(self) -> int:
        """That a step of one token reads."""
        return flops.read_bytes(self.parameters, self.weights, self.architecture.experts, 1)


@dataclass(frozen=True, slots=True)
class Law:
    """The iteration law's coefficients at their floor: t = a + b prompt tokens + d context tokens. `b_s`: None where
    the peak rate is not known."""

    a_s: float
    b_s: float | None
    d_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """One decode step of `n_sequences`, each with `n_tokens` of context: the least time it can take, and why.

    `bound_by`: weights, cache or computing: what most of the time would go to.
    """

    n_sequences: int
    n_tokens: int
    weights_bytes: int
    cache_bytes: int
    n_flops: int
    read_s: float
    compute_s: float | None

    @property
    def least_s(self) -> float:
        return max(self.read_s, self.compute_s or 0.0)

    @property
    def bound_by(self) -> str:
        if self.compute_s is not None and self.compute_s > self.read_s:
            return "computing"
        return "weights" if self.weights_bytes >= self.cache_bytes else "cache"

    @property
    def tokens_per_s(self) -> float:
        return self.n_sequences / self.least_s


def law(served: Served, roof: Ceilings) -> Law:
    """Floors of a, b and d for one sequence: weights read once, the FLOPs of one token, the cache of one token."""
    of_weights = flops.read_bytes(served.parameters, served.weights, served.architecture.experts, 1)
    compute = None
    if roof.flops_per_s is not None:
        compute = flops.matrix_flops(served.parameters) / (served.degree * roof.flops_per_s)
    per_token = kv.bytes_per_token(served.architecture, KV_FORMATS[served.kv_format], degree=served.degree)
    return Law(of_weights / served.degree / roof.bytes_per_s, compute, per_token / roof.bytes_per_s)


def step(served: Served, roof: Ceilings, n_sequences: int, n_tokens: int) -> Step:
    """Bytes are per device, FLOPs of all; with several devices each does its share, and nothing is lost in between."""
    its, bits = served.architecture, KV_FORMATS[served.kv_format]
    weights = flops.read_bytes(served.parameters, served.weights, its.experts, n_sequences)
    weights = -(-weights // served.degree)
    cache = kv.bytes_of(its, n_tokens, bits, degree=served.degree) + 2 * kv.state_bytes(its, degree=served.degree)
    one = flops.matrix_flops(served.parameters) + flops.attention_flops(its, n_tokens)
    n_flops, cache = n_sequences * one, n_sequences * cache
    compute = None if roof.flops_per_s is None else n_flops / (served.degree * roof.flops_per_s)
    return Step(n_sequences, n_tokens, weights, cache, n_flops, (weights + cache) / roof.bytes_per_s, compute)


def prefill_s(served: Served, roof: Ceilings, n_tokens: int) -> float | None:
    """The least time from a prompt to its first token, nothing else being done; None where the rate is not known."""
    if roof.flops_per_s is None:
        return None
    n_flops = flops.prefill_flops(served.architecture, served.parameters, n_tokens)
    of_weights = flops.read_bytes(served.parameters, served.weights, served.architecture.experts, n_tokens)
    reading = of_weights / served.degree / roof.bytes_per_s
    return max(n_flops / (served.degree * roof.flops_per_s), reading)


def compute_bound_from(served: Served, roof: Ceilings, n_tokens: int, most: int = 1 << 16) -> int | None:
    """The fewest sequences decoded together for which computing takes longer than reading; None: never, or not known.

    With long contexts there is none: the cache of every sequence is read for it alone.
    """
    if roof.flops_per_s is None or step(served, roof, most, n_tokens).bound_by != "computing":
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if step(served, roof, middle, n_tokens).bound_by == "computing":
            high = middle
        else:
            low = middle + 1
    return low


def cost_per_1000(
    served: Served, roof: Ceilings, *, n_sequences: int, n_prompt: int, n_output: int, price_per_hour: float
) -> float | None:
    """The least that 1,000 requests can cost, the devices never idle: device time of the prompt and of a share of each
    step. It is of whole requests: a price per input token and one per output token would each have to be told what
    part of the device it pays for."""
    prompt = prefill_s(served, roof, n_prompt)
    if prompt is None:
        return None
    decoding = n_output * step(served, roof, n_sequences, n_prompt + n_output // 2).least_s / n_sequences
    return 1000 * (prompt + decoding) / 3600 * price_per_hour * served.degree
