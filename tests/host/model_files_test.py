# SPDX-License-Identifier: Apache-2.0
"""Models on disk, written out by hand: recognised by what they hold, refused with what would be right."""

from __future__ import annotations

import json
import struct

import pytest

from inferometer.engines.launch import GGUF, HUGGING_FACE, OWN_NAME
from inferometer.errors import UsageError
from inferometer.host.gguf import NotGguf, read_header
from inferometer.host.model_files import find_model


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(*entries, version=3):
    """A header with these entries, each (key, type, bytes of the value)."""
    body = b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in entries)
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(entries)) + body


WORDS = struct.pack("<IQ", 8, 3) + text("a") + text("") + text("longer")
NUMBERS = struct.pack("<IQ", 4, 2) + struct.pack("<II", 1, 2)
NESTED = struct.pack("<IQ", 9, 2) + NUMBERS + WORDS
WHOLE = gguf(
    ("general.architecture", 8, text("llama")),
    ("tokens", 9, WORDS),
    ("numbers", 9, NUMBERS),
    ("nested", 9, NESTED),
    ("llama.context_length", 4, struct.pack("<I", 8192)),
    ("flag", 7, b"\x01"),
)


@pytest.fixture
def model(tmp_path):
    """`model(name, bytes)`: a file; `model(name, config=..., files=...)`: a folder."""

    def make(name, data=None, config=None, files=()):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
            return path
        path.mkdir()
        if config is not None:
            (path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        for file, content in files:
            (path / file).write_bytes(content)
        return path

    return make


def test_a_header_is_read_and_its_lists_are_skipped(model):
    header = read_header(model("m.gguf", WHOLE))
    assert (header.version, header.architecture, header.context_tokens) == (3, "llama", 8192)
    assert header.values == {"general.architecture": "llama", "llama.context_length": 8192, "flag": True}


@pytest.mark.parametrize("n_bytes", range(len(WHOLE)))
def test_a_header_that_is_cut_off_anywhere_is_told(model, n_bytes):
    with pytest.raises(NotGguf):
        read_header(model("m.gguf", WHOLE[:n_bytes]))


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04",
        gguf(("x", 99, b"")),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40),
        gguf(("x", 8, struct.pack("<Q", 1 << 50))),
        gguf(("x", 8, struct.pack("<Q", 1) + b"\xff")),
    ],
)
def test_what_is_no_header(model, data):
    with pytest.raises(NotGguf):
        read_header(model("m.gguf", data))


def test_a_file(model):
    found = find_model(str(model("tiny-q4.gguf", WHOLE)), (GGUF,), "llama.cpp")
    assert (found.name, found.format, found.architecture, found.context_tokens) == ("tiny-q4", GGUF, "llama", 8192)
    assert found.n_bytes == len(WHOLE)
    assert found.path.is_absolute()


def test_a_file_in_parts_counts_all_of_them(model):
    first = model("m-00001-of-00002.gguf", WHOLE)
    model("m-00002-of-00002.gguf", b"12345")
    model("other-00002-of-00002.gguf", b"12345")
    assert find_model(str(first), (GGUF,), "llama.cpp").n_bytes == len(WHOLE) + 5


def test_a_folder(model):
    config = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096}
    folder = model("tiny", config=config, files=[("model.safetensors", b"123"), ("tokenizer.json", b"{}")])
    found = find_model(str(folder), (HUGGING_FACE,), "vLLM")
    assert (found.name, found.format, found.n_bytes) == ("tiny", HUGGING_FACE, 3)
    assert (found.architecture, found.context_tokens) == ("LlamaForCausalLM", 4096)


def test_a_folder_with_one_gguf_is_that_file(model):
    folder = model("tiny", files=[("m.gguf", WHOLE)])
    assert find_model(str(folder), (GGUF,), "llama.cpp").path == folder / "m.gguf"


@pytest.mark.parametrize(
    ("files", "config", "says"),
    [
        ([], None, "neither a config.json nor a GGUF file"),
        ([("a.gguf", WHOLE), ("b.gguf", WHOLE)], None, "holds 2 of them: a.gguf, b.gguf"),
        ([], {}, "has a config.json but no weights"),
        ([("m.safetensors", b"1")], "{", "is not JSON"),
    ],
)
def test_a_folder_that_is_no_model(model, files, config, says):
    with pytest.raises(UsageError, match=says):
        find_model(str(model("tiny", config=config, files=files)), (GGUF, HUGGING_FACE), "it")


@pytest.mark.parametrize(
    ("formats", "remedy"), [((HUGGING_FACE,), "folder of the original model"), ((OWN_NAME,), "ollama create NAME")]
)
def test_a_format_that_the_engine_cannot_read(model, formats, remedy):
    with pytest.raises(UsageError, match=r"E cannot serve .*: it is a GGUF file") as caught:
        find_model(str(model("m.gguf", WHOLE)), formats, "E")
    assert remedy in caught.value.remedy


def test_weights_that_llama_cpp_cannot_read(model):
    folder = model("tiny", config={}, files=[("m.safetensors", b"1")])
    with pytest.raises(UsageError, match=r"llama\.cpp cannot serve") as caught:
        find_model(str(folder), (GGUF,), "llama.cpp")
    assert "convert_hf_to_gguf.py" in caught.value.remedy


def test_a_name_that_only_the_engine_knows():
    found = find_model("llama3.2:1b", (OWN_NAME,), "Ollama")
    assert (found.name, found.path) == ("llama3.2:1b", None)


@pytest.mark.parametrize("given", ["/nowhere/m.gguf", "./m", "m.gguf", "one-word", "a/b/c"])
def test_what_is_not_there_and_no_name_on_the_hub_either(given):
    with pytest.raises(UsageError, match="there is no file or folder"):
        find_model(given, (GGUF,), "llama.cpp")


def test_a_dry_look_asks_nobody():
    found = find_model("owner/name:Q4_K_M", (GGUF,), "llama.cpp", is_dry=True, revision="abc")
    assert (found.name, found.path, found.revision) == ("name-Q4_K_M", None, "abc")
