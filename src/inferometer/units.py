# SPDX-License-Identifier: Apache-2.0
"""Units: nanoseconds and seconds, reading durations and sizes, and printing numbers for people.

Inside, instants and durations are int nanoseconds; metrics are float seconds; milliseconds exist only in printed text.
"""

from __future__ import annotations

import math
import re

from inferometer.errors import UsageError

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|min|h)?", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[kmgt]i?)?b)?", re.ASCII | re.IGNORECASE)
_BYTES_PER = {"b": 1}
_BYTES_PER |= {f"{letter}b": 1000**n for n, letter in enumerate("kmgt", 1)}
_BYTES_PER |= {f"{letter}ib": 1024**n for n, letter in enumerate("kmgt", 1)}
_SECONDS_PER = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_duration_s(text: str) -> float:
    """Seconds of `500ms`, `60s`, `2m`, `1.5h`; a bare number is seconds.

    Raises: UsageError if the text is no duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a duration", "write a number and a unit: 500ms, 60s, 2m, 1h")
    return float(match[1]) * _SECONDS_PER[match[2] or "s"]


def parse_percent(text: str) -> float:
    """Share of `5%`, `2.5 %` or `0.05`.

    Raises: UsageError if the text is no share between 0 and 1.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip(), re.ASCII)
    share = float(match[1]) / (100 if match[2] else 1) if match else math.nan
    if not 0 < share < 1:
        raise UsageError(f"{text!r} is not a share", "write 5% or 0.05")
    return share


def parse_bytes(text: str) -> int:
    """Bytes of `24GB` (decimal), `24GiB` (binary), `512MB`; a bare number is bytes.

    Raises: UsageError if the text is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size", "write a number and a unit: 24GB, 80GiB, 512MB")
    return int(float(match[1]) * _BYTES_PER[(match[2] or "b").lower()])


def parse_price_per_hour(text: str) -> float:
    """Dollars of `2.5/h` or `2.5`. Raises: UsageError."""
    match = re.fullmatch(r"\$?(\d+(?:\.\d+)?)\s*(?:/\s*h)?", text.strip())
    if match is None:
        raise UsageError(f"--price {text!r} is no price per hour", "write dollars: --price 2.5/h")
    return float(match[1])


def parse_prices(text: str) -> tuple[float, float]:
    """Dollars per million input and output tokens of `0.15,0.60`. Raises: UsageError."""
    match = re.fullmatch(r"\$?(\d+(?:\.\d+)?)\s*,\s*\$?(\d+(?:\.\d+)?)", text.strip())
    if match is None:
        raise UsageError(
            f"--api-price {text!r} is not two prices", "write dollars per million input and output tokens: 0.15,0.60"
        )
    return float(match[1]), float(match[2])


def format_duration(seconds: float) -> str:
    """Three significant digits with the unit a person would choose: `182 ms`, `2.10 s`, `31.0 us`."""
    if not math.isfinite(seconds):
        return "-"
    size = abs(seconds)
    if size >= 100:
        return f"{seconds:.0f} s"
    if size >= 0.9995:  # where rounding makes it the next unit's 1.00
        return f"{_three(seconds)} s"
    if size >= 0.9995e-3 or size == 0:
        return f"{_three(seconds * 1e3)} ms"
    return f"{_three(seconds * 1e6)} us"


def format_span(seconds: float) -> str:
    """How long something lasts, as a person says it: `2.5 s`, `45 s`, `3 min 15 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.3g} s"
    n_s = round(seconds)
    if n_s < 120:
        return f"{n_s} s"
    if n_s < 7200:
        return f"{n_s // 60} min {n_s % 60} s".removesuffix(" 0 s")
    return f"{n_s // 3600} h {n_s % 3600 // 60} min".removesuffix(" 0 min")


def format_bytes(n_bytes: float) -> str:
    """Decimal units, as disks and networks count: `1.2 MB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= 0.9995 * size:
            return f"{_three(n_bytes / size)} {unit}"
    return f"{n_bytes:.0f} B"


def format_number(value: float) -> str:
    """Three significant digits, thousands separated, no exponent: `1,234`, `12.3`, `0.0456`."""
    if not math.isfinite(value):
        return "-"
    return _three(value)


def _three(value: float) -> str:
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.9995 or size == 0:
        return f"{value:.2f}"
    return f"{value:.3g}"
