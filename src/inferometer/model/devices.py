# SPDX-License-Identifier: Apache-2.0
"""The table of devices: memory, bandwidth, dense peak rates, each row with its source and how well it is known."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from inferometer.errors import UsageError

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Device:
    """`memory_gb`: as it is sold; `visible_mib`: as the driver tells, None where that was not looked up; rates: dense,
    in TFLOP/s (int8: TOP/s); `kind`: gpu, unified (memory shared with a CPU), cpu or tpu."""

    name: str
    vendor: str
    kind: str
    year: int
    memory_gb: float | None
    visible_mib: int | None
    bandwidth_gb_per_s: float
    bf16_tflops: float | None
    fp8_tflops: float | None
    fp4_tflops: float | None
    int8_tops: float | None
    power_w: float | None
    status: str
    source: str
    note: str

    @property
    def memory_bytes(self) -> int | None:
        """What an engine sees. Makers sell what the driver calls 80 GiB as 80 GB: the driver is believed."""
        if self.visible_mib is not None:
            return self.visible_mib * _MIB
        return None if self.memory_gb is None else int(self.memory_gb * 10**9)


def read_table(text: str) -> tuple[Device, ...]:
    """Rows of data/devices.csv."""
    rows = csv.DictReader(io.StringIO(text))
    return tuple(
        Device(
            row["device"],
            row["vendor"],
            row["kind"],
            int(row["year"]),
            _number(row["memory_gb"]),
            int(row["visible_mib"]) if row["visible_mib"] else None,
            float(row["memory_bw_gbps"]),
            _number(row["bf16_dense_tflops"]),
            _number(row["fp8_dense_tflops"]),
            _number(row["fp4_dense_tflops"]),
            _number(row["int8_dense_tops"]),
            _number(row["tdp_w"]),
            row["status"],
            row["source"],
            row["note"],
        )
        for row in rows
    )


def find(wanted: str, devices: Sequence[Device]) -> tuple[Device, tuple[Device, ...]]:
    """By name or a part of it that begins a word (`H200`, `rtx 4090`), and the others that it could mean.

    Raises: UsageError with what is meant, perhaps.
    """
    words = _words(wanted)
    exact = [device for device in devices if _words(device.name) == words]
    found = exact or [device for device in devices if words and _holds(_words(device.name), words)]
    if found:
        return found[0], tuple(found[1:])
    heads = {" ".join(_words(device.name)): device.name for device in devices}
    parts = {word: name for key, name in heads.items() for word in key.split()}
    close = difflib.get_close_matches(" ".join(words), [*heads, *parts], n=1, cutoff=0.55)
    near = (heads | parts)[close[0]] if close else ""
    raise UsageError(
        f"there is no device {wanted!r} in the table",
        (f"did you mean {near}? " if near else "") + "`explain memory --list` has all; --memory 24GB describes any",
    )


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9.]+", name.lower())


def _holds(name: Sequence[str], words: Sequence[str]) -> bool:
    """Whether the words are among those of the name, in order, or stand there in one piece (`rtx4090`)."""
    spans = {"".join(name[i:j]) for i in range(len(name)) for j in range(i + 1, len(name) + 1)}
    left = iter(name)
    return "".join(words) in spans or all(word in left for word in words)


def _number(text: str) -> float | None:
    return float(text) if text else None
