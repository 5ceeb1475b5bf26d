# SPDX-License-Identifier: Apache-2.0
"""Models described from files written by hand: what is read, what is damaged, and how long a big vocabulary takes."""

from __future__ import annotations

import json
import struct

import pytest

from inferometer.errors import UsageError
from inferometer.host.description import describe
from inferometer.host.gguf import NotGguf, read_tensors
from inferometer.host.safetensors import read_headers


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(tensors, lists=()):
    """`tensors`: (name, shape, type); `lists`: (key, texts)."""
    numbers = {"block_count": 2, "embedding_length": 64, "attention.head_count": 4, "attention.head_count_kv": 2}
    values = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    values += [text(f"llama.{key}") + struct.pack("<II", 4, value) for key, value in numbers.items()]
    values += [text(key) + struct.pack("<IIQ", 9, 8, len(items)) + b"".join(map(text, items)) for key, items in lists]
    infos = [
        text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0) for name, shape, kind in tensors
    ]
    return b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(values)) + b"".join([*values, *infos])


TENSORS = [
    ("token_embd.weight", (64, 100), 1),
    ("blk.0.attn_k.weight", (64, 32), 8),
    ("blk.1.attn_k.weight", (64, 32), 2),
]


def test_a_gguf_is_described_by_its_header_alone(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(TENSORS, [("tokenizer.ggml.tokens", ["a", "longer", "x" * 5000])]))
    found = describe(str(path))
    assert (found.name, found.architecture.vocabulary, found.architecture.n_attention_layers) == ("m", 100, 2)
    assert found.stored.types == {"F16": 12800, "Q8_0": 64 * 34, "Q4_0": 64 * 18}
    assert found.architecture.parameters.total == 64 * 100 + 2 * 64 * 32


def test_parts_of_a_gguf_are_added(tmp_path):
    for i, tensors in enumerate((TENSORS[:2], TENSORS[2:]), 1):
        (tmp_path / f"m-0000{i}-of-00002.gguf").write_bytes(gguf(tensors))
    found = describe(str(tmp_path / "m-00001-of-00002.gguf"))
    assert found.stored.n_bytes == 12800 + 64 * 34 + 64 * 18
    assert found.architecture.n_attention_layers == 2


@pytest.mark.parametrize("n_missing", [1, 8, 20, 40])
def test_a_table_of_tensors_that_is_cut_off(tmp_path, n_missing):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(TENSORS)[:-n_missing])
    with pytest.raises(NotGguf, match="cut off or damaged"):
        read_tensors(path)
    with pytest.raises(UsageError, match="is not a GGUF file"):
        describe(str(path))


def test_a_tensor_type_that_is_not_known(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf([("token_embd.weight", (64, 100), 99)]))
    with pytest.raises(UsageError, match="tensor type 99 of token_embd"):
        describe(str(path))


def safetensors(entries):
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header


def test_headers_of_several_safetensors(tmp_path):
    for i in range(2):
        entries = {f"t{i}": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, "__metadata__": {"a": "b"}}
        (tmp_path / f"model-{i}.safetensors").write_bytes(safetensors(entries))
    found = read_headers(tmp_path)
    assert [(tensor.name, tensor.shape, tensor.type, tensor.n_bytes) for tensor in found] == [
        ("t0", (2, 3), "BF16", 12),
        ("t1", (2, 3), "BF16", 12),
    ]


@pytest.mark.parametrize(
    "data",
    [b"", b"1234", struct.pack("<Q", 1 << 40), struct.pack("<Q", 5) + b"{", safetensors({"t": {"dtype": "F16"}})],
)
def test_damaged_safetensors(tmp_path, data):
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(UsageError, match="is no safetensors file"):
        read_headers(tmp_path)


def test_a_folder_with_several_gguf_files_is_asked_about(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.gguf").write_bytes(gguf(TENSORS))
    with pytest.raises(UsageError, match="holds 2 GGUF files") as refused:
        describe(str(tmp_path))
    assert "a.gguf, b.gguf" in refused.value.remedy
