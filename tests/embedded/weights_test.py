# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from inferometer.embedded.weights import read_weights, write_weights

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([1.5, -0.25, 65504], np.float16),
    "none": np.zeros((0, 4), np.float16),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, ARRAYS)
    return path


def test_what_is_written_is_read(path):
    found = read_weights(path)
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_the_file_is_laid_out_as_the_format_says(path):
    data = path.read_bytes()
    (n_header,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + n_header])
    assert (8 + n_header) % 8 == 0
    assert header["a"] == {"dtype": "F16", "shape": [3], "data_offsets": [0, 6]}
    assert header["b"] == {"dtype": "F32", "shape": [2, 3], "data_offsets": [6, 30]}
    assert header["__metadata__"] == {"format": "pt"}
    assert data[8 + n_header :] == ARRAYS["a"].tobytes() + ARRAYS["b"].tobytes()


def test_the_same_arrays_give_the_same_bytes_in_whatever_order(path, tmp_path):
    write_weights(tmp_path / "again", dict(reversed(ARRAYS.items())))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("n_kept", [0, 4, 40, -1])
def test_a_file_that_was_cut_off_is_an_error(path, n_kept):
    path.write_bytes(path.read_bytes()[:n_kept])
    with pytest.raises(ValueError, match=r"safetensors|reshape|buffer"):
        read_weights(path)


def test_a_number_format_that_is_not_ours_is_an_error(path):
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"F16"', b'"I16"'))
    with pytest.raises(ValueError, match="I16"):
        read_weights(path)
