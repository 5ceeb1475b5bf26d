# SPDX-License-Identifier: Apache-2.0
"""Models and devices by their names: those of the table, of this package, of this machine."""

from __future__ import annotations

from dataclasses import replace

from inferometer.embedded.models import DEFAULT_MODEL, models
from inferometer.errors import UsageError
from inferometer.host import description, hardware
from inferometer.host.description import Description
from inferometer.model.devices import Device, find
from inferometer.model.memory import Place
from inferometer.report.layout import columns, wrapped
from inferometer.units import format_number, parse_bytes


def model_of(given: str | None) -> Description:
    """The embedded one if none is given; its short names come before files of the same name.

    Raises: UsageError; EngineError.
    """
    embedded = {name: model for model in models() for name in (model.name, model.served)}
    if given is None or given in embedded:
        found = embedded[given or DEFAULT_MODEL]
        return replace(description.describe(str(found.ensure())), name=found.served)
    return description.describe(given)


def place_of(device: str | None, memory: str | None) -> tuple[Place, tuple[str, ...]]:
    """A device of the table, one of that size, or this machine's best; and what the words could mean, too.

    Raises: UsageError.
    """
    if device is not None:
        found, others = find(device, description.devices())
        n_bytes = parse_bytes(memory) if memory is not None else found.memory_bytes
        if n_bytes is None:
            raise UsageError(f"{found.name} has no memory of its own size in the table", "say how much: --memory 512GB")
        return Place(found.name, found.kind, n_bytes), tuple(other.name for other in others)
    if memory is not None:
        return Place(f"a device of {memory}", "gpu", parse_bytes(memory)), ()
    machine = hardware.look()
    for card in machine.devices:
        if card.memory_bytes is not None:
            return Place(card.name, "gpu", card.memory_bytes), ()
    return Place("this machine", "cpu", machine.memory_bytes), ()


def listing(width: int) -> str:
    """All devices and models that are known by name."""
    heads = ("device", "memory", "GB/s", "bf16 TFLOP/s", "known")
    rows = [heads, *(_row(device) for device in description.devices())]
    models = ", ".join(name for name, _ in description.known_models())
    lines = columns(rows, "<>>><")
    return "\n".join([*lines, "", *wrapped("models", models, width=width, indent=8), ""])


def _row(device: Device) -> tuple[str, ...]:
    memory = "-" if device.memory_gb is None else f"{format_number(device.memory_gb)} GB"
    rate = "-" if device.bf16_tflops is None else format_number(device.bf16_tflops)
    return (device.name, memory, format_number(device.bandwidth_gb_per_s), rate, device.status)
