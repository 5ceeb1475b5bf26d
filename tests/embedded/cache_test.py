# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inferometer.embedded import model_name, served_name
from inferometer.embedded.cache import cache_folder, ensure_model
from inferometer.embedded.tiny_model import Shape
from inferometer.errors import EngineError

pytest.importorskip("gguf")

MAKE = """
import pathlib, sys
from inferometer.embedded.cache import ensure_model
print(ensure_model(folder=pathlib.Path(sys.argv[1])))
"""
SMALL = Shape(n_tokens=600, n_hidden=64, n_layers=1, n_feed_forward=64, n_kv_heads=1)


def test_made_once_then_taken_as_it_is(tmp_path):
    first = ensure_model(folder=tmp_path, shape=SMALL)
    made_at = first.stat().st_mtime_ns
    assert ensure_model(folder=tmp_path, shape=SMALL) == first
    assert first.stat().st_mtime_ns == made_at
    assert list(tmp_path.iterdir()) == [first]


def test_the_name_tells_version_and_seed(tmp_path):
    path = ensure_model(9, folder=tmp_path, shape=SMALL)
    assert path.name.startswith(model_name(9) + "-")
    assert served_name(path) == model_name(9) == "inferometer-tiny-v1-s9"


def test_somebody_elses_model_is_served_under_its_own_name():
    assert served_name(Path("/models/Llama-3.2-1B-Q4_K_M.gguf")) == "Llama-3.2-1B-Q4_K_M"


@pytest.mark.parametrize("damage", [b"", b"GGUF but short", None])
def test_a_damaged_file_is_made_anew(tmp_path, damage):
    path = ensure_model(folder=tmp_path, shape=SMALL)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    assert ensure_model(folder=tmp_path, shape=SMALL) == path
    assert path.read_bytes() == whole


def test_two_processes_at_once_both_get_the_same_whole_file(tmp_path):
    both = [
        subprocess.Popen([sys.executable, "-c", MAKE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert paths[0] == paths[1]
    assert [str(path) for path in tmp_path.iterdir()] == paths[:1]
    assert ensure_model(folder=tmp_path) == Path(paths[0])  # its digest is right


def test_a_folder_that_cannot_be_written_is_an_error_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="cannot write the embedded model") as caught:
        ensure_model(folder=tmp_path / "file" / "folder", shape=SMALL)
    assert "XDG_CACHE_HOME" in caught.value.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="the custom of Linux")
def test_the_cache_folder_follows_the_xdg_rules(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/else")
    assert cache_folder() == Path("/somewhere/else/inferometer")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache_folder() == Path.home() / ".cache" / "inferometer"
