# SPDX-License-Identifier: Apache-2.0
"""Room for sequences: worked by hand, and against where an engine was measured to run out of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

import inferometer.embedded
from inferometer.errors import UsageError
from inferometer.host.description import describe, devices
from inferometer.model import fit, kv
from inferometer.model.devices import find
from inferometer.model.fit import Setting
from inferometer.model.formats import WEIGHT_FORMATS, kv_format, weight_format, weights_bytes
from inferometer.model.memory import Place, Wish, picture

GIB = 2**30


def of(name):
    return describe(name).architecture


def place(name):
    found, _ = find(name, devices())
    return Place(found.name, found.kind, found.memory_bytes)


def answer(model, device, **wished):
    described = describe(model)
    return picture(described.architecture, described.stored, place(device), Wish(**wished))


@pytest.mark.parametrize(
    ("model", "format", "gib"),
    [
        ("Llama-3.1-8B", "bf16", 14.96),  # as llama.cpp prints for F16
        ("Llama-3.1-8B", "q4_k_m", 4.58),
        ("Llama-3.1-8B", "q8_0", 7.95),
        ("Llama-3.1-405B", "bf16", 756),
        ("gpt-oss-120b", "mxfp4", 60.8),  # both as the model card prints the size of its checkpoint
        ("gpt-oss-20b", "mxfp4", 12.8),
    ],
)
def test_weights_as_they_are_published(model, format, gib):
    assert weights_bytes(of(model).parameters, WEIGHT_FORMATS[format]) / GIB == pytest.approx(gib, rel=2e-3)


def test_a_quantized_checkpoint_keeps_embeddings_and_head():
    parameters = of("Llama-3.1-8B").parameters
    assert weights_bytes(parameters, WEIGHT_FORMATS["int4"]) == pytest.approx(5.73e9, rel=1e-3)
    assert parameters.total * 4.15625 / 8 == pytest.approx(4.17e9, rel=1e-3)  # what one would think


def test_where_qwen3_32b_was_measured_to_run_out_of_room():
    """Two H100: 250,000 to 307,000 tokens explain the measured wall; `other` from 3 to 9 GB per device gives that."""
    found = answer("Qwen3-32B", "H100", degree=2, n_tokens=4096 + 128)
    assert 260_000 < found.total_tokens < 312_000
    assert (found.low, found.high) == (62, 73)
    assert found.low <= found.n_sequences <= found.high


def test_a_sequence_takes_whole_blocks():
    llama = of("Llama-3.1-8B")
    setting = Setting(10 * 131072 * 16, 0, Fraction(16), 1, 1.0, 0)
    assert fit.sequence_bytes(llama, 17, setting) == 2 * 16 * 131072
    assert fit.n_sequences(llama, 16, setting) == 10
    assert fit.n_sequences(llama, 17, setting) == 5
    assert fit.total_tokens(llama, setting) == 160
    assert fit.longest(llama, setting, 10**6) == 160


def test_tokens_in_all_as_vllm_logged_them():
    """vLLM 0.32 (CPU), the trained model, 1 GiB for keys and values in fp16, blocks of 128 tokens."""
    its = describe(str(Path(inferometer.embedded.__file__).parent / "data" / "config.json")).architecture
    setting = Setting(GIB, 0, Fraction(16), 1, 1.0, 0, block=128)
    assert fit.total_tokens(its, setting) == 174_720


def test_weights_that_do_not_fit():
    found = answer("Llama-3.1-70B", "L4")
    assert found.n_sequences == -1
    assert found.place.overhead.likely == 3_500_000_000
    assert found.setting.room < 0
    assert found.lengths == ()
    assert found.longest == 0


@pytest.mark.parametrize(("degree", "heads"), [(1, 8), (2, 4), (8, 1), (16, 1)])
def test_heads_are_split_and_then_replicated(degree, heads):
    llama = of("Llama-3.1-70B")
    assert kv.bytes_per_token(llama, degree=degree) == 2 * 80 * heads * 128 * 2
    assert kv.replication(llama, degree) == max(1, Fraction(degree, 8))


def test_a_latent_is_whole_on_every_device():
    deepseek = of("DeepSeek-V3")
    assert kv.bytes_per_token(deepseek, degree=8) == kv.bytes_per_token(deepseek) == 70272
    assert kv.replication(deepseek, 8) == 8


def test_a_window_caps_what_is_kept_unless_the_engine_keeps_all():
    gemma = of("Gemma-3-27B")
    per_layer = 8192
    assert kv.bytes_of(gemma, 4096) == per_layer * (10 * 4096 + 52 * 1024)
    assert kv.bytes_of(gemma, 4096, drops=False) == per_layer * 62 * 4096
    assert kv.bytes_of(gemma, 100) == per_layer * 62 * 100


@pytest.mark.parametrize(("format", "share"), [("fp8", 1 / 2), ("q8_0", 8.5 / 16), ("q4_0", 4.5 / 16), ("fp32", 2)])
def test_formats_of_keys_and_values(format, share):
    from inferometer.model.formats import KV_FORMATS

    llama = of("Llama-3.1-8B")
    assert kv.bytes_per_token(llama, KV_FORMATS[format]) == 131072 * share


def test_a_state_is_counted_once_per_sequence():
    found = answer("Nemotron-H-56B", "B300", weights="112GB", n_tokens=1600)
    assert found.sequence_bytes == 459_620_352 + 1600 * 40960
    assert found.total_tokens is None  # no one size of a token


def test_what_nobody_knows_is_not_guessed():
    found = answer("Qwen3.5-27B", "H200")
    assert found.weights.n_bytes is None
    assert found.n_sequences is None
    assert found.bytes_per_token == 65536
    with pytest.raises(UsageError, match="how many parameters"):
        answer("Qwen3.5-27B", "H200", weights="fp8")


def test_heads_that_cannot_be_split():
    with pytest.raises(UsageError, match="28 attention heads cannot be split among 8 devices"):
        answer("Qwen2.5-7B", "H200", degree=8)
    row = answer("Qwen2.5-7B", "H200").rows[0]
    assert [cell.n_sequences is None for cell in row.cells] == [False, False, False, True]


def test_a_longer_context_than_the_model_was_made_for():
    with pytest.raises(UsageError, match="made for 40,960 tokens"):
        answer("Qwen3-32B", "H200", n_tokens=50_000)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("H200", "H200-SXM-141GB"),
        ("h100", "H100-SXM-80GB"),
        ("h100 pcie", "H100-PCIe-80GB"),
        ("rtx4090", "RTX-4090-24GB"),
        ("RTX 4090", "RTX-4090-24GB"),
        ("m4 pro", "Apple M4 Pro"),
        ("jetson orin nano", "Jetson Orin Nano Super 8GB"),
    ],
)
def test_devices_by_what_people_call_them(wanted, name):
    assert find(wanted, devices())[0].name == name


@pytest.mark.parametrize(("wanted", "near"), [("H20", "H200"), ("A10", "A100"), ("MI300", "MI300X"), ("", "")])
def test_a_device_that_is_not_there(wanted, near):
    with pytest.raises(UsageError, match="no device") as refused:
        find(wanted, devices())
    assert near in refused.value.remedy


def test_memory_is_what_the_driver_tells():
    found, _ = find("H100-SXM", devices())
    assert (found.memory_gb, found.memory_bytes) == (80, 81559 * 2**20)


def test_every_device_says_how_well_it_is_known():
    for device in devices():
        assert device.status in ("verified", "partly", "disputed", "derived", "unverified")
        assert device.source or device.status == "unverified"
        assert device.kind in ("gpu", "unified", "cpu", "tpu")
        assert device.memory_bytes is None or device.memory_bytes >= device.memory_gb * 0.99e9


@pytest.mark.parametrize(("ask", "near"), [(weight_format, "q4_k_m"), (kv_format, "q4_0")])
def test_a_format_that_is_not_known(ask, near):
    with pytest.raises(UsageError) as refused:
        ask("q4_k" if ask is weight_format else "q4_1x")
    assert "did you mean" in refused.value.remedy


def test_names_of_formats_as_others_write_them():
    assert weight_format("F16").name == "fp16"
    assert weight_format("Q4_K_M").name == "q4_k_m"
    assert kv_format("bfloat16") == "bf16"
