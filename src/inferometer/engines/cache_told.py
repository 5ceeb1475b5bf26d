# SPDX-License-Identifier: Apache-2.0
"""What an engine says of its own cache for keys and values, and what else it keeps: out of its pages and its log.

Rule: what it does not say is None, never computed from what it does; that is the prediction's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is to read it from. `answers`: control path -> decoded JSON; `metrics`: the page of metrics, "" where
    there is none; `log`: what it printed, "" where it was not started here."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    metrics: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True)
class CacheTold:
    """Bytes and tokens as the engine says; None where it does not.

    `cache_bytes`: of keys and values; `n_tokens`: that it has room for, in all; `slots`: parts of equal size that the
    room is divided into for good, None where sequences get blocks of it as they grow; `block_tokens`: of such a block;
    `cache_format`: as in model/formats.py; `copied_bytes`: of the weights, a second copy in another order;
    `source`: where it says so.
    """

    source: str
    cache_bytes: float | None = None
    n_tokens: int | None = None
    slots: int | None = None
    block_tokens: int | None = None
    cache_format: str | None = None
    state_bytes: float | None = None
    weights_bytes: float | None = None
    copied_bytes: float | None = None
    other_bytes: float | None = None
