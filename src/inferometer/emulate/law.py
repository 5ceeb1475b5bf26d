# SPDX-License-Identifier: Apache-2.0
"""The service law: how long one iteration of an emulated engine takes.

    t = a + b * tokens prefilled + c * sequences decoding + d * context tokens of these

`a` is what every iteration costs (weights are read once), `b` what a token of a prompt costs, `c` what a sequence costs
beside that, `d` what a token of context costs (its keys and values are read again). All in milliseconds.
"""

from __future__ import annotations

import math
import random
from typing import Annotated

import msgspec

from inferometer.errors import UsageError
from inferometer.units import NS_PER_MS

_MAX_MS = 600_000.0
_Cost = Annotated[float, msgspec.Meta(ge=0, le=_MAX_MS)]


class ServiceLaw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults: TensorRT-LLM 1.0 with Llama 3.1 8B in bf16 on an H100, fitted to published measurements.

    `noise`: standard deviation of the logarithm of a factor on each iteration, whose mean is 1; 0: none.
    """

    a: Annotated[float, msgspec.Meta(ge=0.1, le=_MAX_MS)] = 6.59  # at least so much: an engine cannot take no time
    b: _Cost = 0.0224
    c: _Cost = 0.0
    d: _Cost = 0.000047
    noise: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0

    def iteration_ns(self, n_prefill: int, n_decode: int, n_context: int, rng: random.Random) -> int:
        """`rng` is drawn from once if there is noise, else not at all."""
        t_ms = self.a + self.b * n_prefill + self.c * n_decode + self.d * n_context
        if self.noise:
            t_ms *= math.exp(rng.gauss(-self.noise * self.noise / 2, self.noise))
        return round(t_ms * NS_PER_MS)


def read_law(text: str) -> ServiceLaw:
    """`a=8,b=0.05` as a person writes it; what is not said keeps its default, except that noise is never a default.

    Raises: UsageError.
    """
    fields: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            fields[name.strip()] = float(value)
        except ValueError as error:
            raise UsageError(f"--service-law: {part.strip()!r} is not NAME=MILLISECONDS", _REMEDY) from error
    try:
        return msgspec.convert(fields, ServiceLaw)
    except msgspec.ValidationError as error:
        raise UsageError(f"--service-law: {error}", _REMEDY) from error


_REMEDY = "write for example --service-law a=8,b=0.05,c=0.2,d=0.0001 (milliseconds) or add noise=0.1"
