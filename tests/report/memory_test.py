# SPDX-License-Identifier: Apache-2.0
"""Pages on memory and cost as they are printed, for models and devices that show every line."""

from __future__ import annotations

import pytest

from inferometer.host.description import describe, devices
from inferometer.model.cost import CostWish, cost_picture
from inferometer.model.devices import find
from inferometer.model.memory import Place, Wish, picture
from inferometer.report import cost, memory, memory_check
from inferometer.report.memory import Origin
from inferometer.report.memory_check import Check

CASES = {
    "latent": ("DeepSeek-V3", "H200", Wish(degree=8)),
    "window": ("gpt-oss-20b", "RTX 4090", Wish(n_tokens=16384)),
    "state": ("Nemotron-H-56B", "B200", Wish(weights="112GB")),
    "not-known": ("Qwen3.5-27B", "H200", Wish()),
    "too-heavy": ("Llama-3.1-70B", "L4", Wish()),
    "edge": ("Qwen3-0.6B", "Raspberry Pi", Wish(weights="q4_k_m", kv_format="q8_0")),
}


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("case", CASES)
def test_the_page_on_memory(golden, case, width):
    model, device, wish = CASES[case]
    described, (found, others) = describe(model), find(device, devices())
    answer = picture(described.architecture, described.stored, Place(found.name, found.kind, found.memory_bytes), wish)
    origin = Origin(described.name, described.source, described.note, tuple(other.name for other in others))
    text = memory.render(answer, origin, width=width)
    assert max(map(len, text.splitlines())) <= width
    golden(f"memory-{case}-{width}.txt", text)


@pytest.mark.parametrize(
    ("case", "model", "device", "wish"),
    [
        ("experts", "Qwen3-30B-A3B", "H100", CostWish(degree=2, price_per_hour=2.0)),
        ("no-rate", "Llama-3.1-8B", "M4 Max", CostWish(weights="q4_k_m")),
    ],
)
def test_the_page_on_cost(golden, case, model, device, wish):
    described = describe(model)
    answer = cost_picture(described.architecture, described.stored, find(device, devices())[0], wish)
    golden(f"cost-{case}-100.txt", cost.render(answer, Origin(described.name, described.source)))


def checked(**changes):
    sizes = {"kv_predicted": 1000, "kv_told": 1000.0, "state_predicted": 0, "state_told": 0.0}
    sizes |= {"weights_predicted": 500, "weights_told": 500.0, "repacked_told": 0.0, "other_told": 10.0, "held": None}
    sizes |= {"n_tokens_short": 2, "kv_more_predicted": 750, "kv_more_told": 750.0, "more_measured": None}
    words = {"model": "m", "engine": "e", "n_sequences": 4, "context_tokens": 2, "n_tokens": 8, "kv_format": "fp16"}
    return Check(**words, **{**sizes, **changes})


@pytest.mark.parametrize(
    ("told", "words"),
    [(1000.0, "as predicted, +0.00 %"), (985.0, "as predicted, +1.52 %"), (900.0, "NOT as predicted")],
)
def test_the_page_on_a_check(told, words):
    assert words in memory_check.render(checked(kv_told=told)).splitlines()[0]


def test_what_could_not_be_measured_is_left_out():
    assert "measured" not in memory_check.render(checked())
    assert "hold 760 B more" in memory_check.render(checked(held=9000, more_measured=760))
