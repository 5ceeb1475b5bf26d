# SPDX-License-Identifier: Apache-2.0
"""The body of a request: what the dialect says, and what the engine wants to hear beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inferometer.engines.engine import OUTPUT_TOKENS_ASKED, Encoded
from inferometer.plan.request import Request


def encoded(path: str, body: dict[str, Any], request: Request, extras: Mapping[str, Any]) -> Encoded:
    """`body` with `extras` merged into it, as bytes.

    A dot in the name of an extra leads into an object (`options.num_predict`). A value None takes the field out, an
    object is merged with the one that is there, OUTPUT_TOKENS_ASKED stands for the request's own wish. All of that is
    JSON-like, so that a manifest can hold it.
    """
    for name, value in extras.items():
        *outer, last = name.split(".")
        place = body
        for part in outer:
            place = place.get(part, {}) if value is None else place.setdefault(part, {})
        if value is None:
            place.pop(last, None)
        elif isinstance(value, Mapping) and isinstance(place.get(last), dict):
            place[last] = place[last] | value
        else:
            place[last] = request.max_output_tokens if value == OUTPUT_TOKENS_ASKED else value
    return Encoded(path, msgspec.json.encode(body))
