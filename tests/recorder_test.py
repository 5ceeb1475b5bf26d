# SPDX-License-Identifier: Apache-2.0
"""The flight recorder: what is written comes back, and a file cut anywhere gives every whole block before the cut."""

from __future__ import annotations

import os

import pytest

from inferometer.errors import FormatError, RunError
from inferometer.recorder import MAGIC, Due, End, Note, Read, Sent, Tail, Writer, read_frames


def write_three_passes(path):
    """Three blocks; returns the file's size after each."""
    writer = Writer(path)
    sizes = []
    writer.due(0, 0, 1, 1_000)
    writer.sent(0, 1, 7, 1_500)
    writer.flush()
    sizes.append(writer.n_written_bytes)
    writer.read(0, 2_000, 2_100, 11, b"hello world")
    writer.read(0, 3_000, 3_100, 5, b"")  # content not kept
    writer.flush()
    sizes.append(writer.n_written_bytes)
    writer.end(0, 0, 3_000, "")
    writer.note(4_000, {"note": "samples", "source": "client", "gauges": [["cpu_s", 0.5]]})
    writer.close()
    sizes.append(writer.n_written_bytes)
    return sizes


FRAMES = [
    Due(0, 0, 1, 1_000),
    Sent(0, 1, 7, 1_500),
    Read(0, 2_000, 2_100, 11, b"hello world"),
    Read(0, 3_000, 3_100, 5, b""),
    End(0, 0, 3_000, ""),
    Note(4_000, {"note": "samples", "source": "client", "gauges": [["cpu_s", 0.5]]}),
]


def test_frames_come_back_in_order(tmp_path):
    path = tmp_path / "recorder.bin"
    sizes = write_three_passes(path)
    tail = Tail()
    assert list(read_frames(path, tail)) == FRAMES
    assert (tail.n_blocks, tail.n_torn_bytes) == (3, 0)
    assert path.stat().st_size == sizes[-1]


def test_a_file_cut_at_any_byte_gives_the_whole_blocks_before_the_cut(tmp_path):
    path = tmp_path / "recorder.bin"
    sizes = write_three_passes(path)
    whole = path.read_bytes()
    n_frames_after = {len(MAGIC): 0, sizes[0]: 2, sizes[1]: 4, sizes[2]: 6}
    for cut in range(len(MAGIC), len(whole) + 1):
        path.write_bytes(whole[:cut])
        last = max(size for size in n_frames_after if size <= cut)
        tail = Tail()
        assert list(read_frames(path, tail)) == FRAMES[: n_frames_after[last]]
        assert tail.n_torn_bytes == cut - last


def test_a_flipped_bit_ends_reading_at_its_block(tmp_path):
    path = tmp_path / "recorder.bin"
    sizes = write_three_passes(path)
    damaged = bytearray(path.read_bytes())
    damaged[sizes[0] + 20] ^= 1
    path.write_bytes(damaged)
    tail = Tail()
    assert list(read_frames(path, tail)) == FRAMES[:2]
    assert tail.n_torn_bytes == len(damaged) - sizes[0]


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "other"
    path.write_bytes(b"not a recorder")
    with pytest.raises(FormatError, match="not a flight recorder"):
        list(read_frames(path))


def test_an_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / "recorder.bin"
    write_three_passes(path)
    with pytest.raises(FileExistsError):
        Writer(path)


def test_a_full_disk_is_one_clear_error_and_keeps_what_was_written(tmp_path):
    full = "/dev/full"
    writer = Writer(tmp_path / "recorder.bin")
    writer.due(0, 0, 1, 1)
    writer.flush()

    device = os.open(full, os.O_WRONLY)
    os.dup2(device, writer._fd)
    os.close(device)
    writer.due(1, 0, 1, 2)
    with pytest.raises(RunError, match="No space left"):
        writer.flush()
    assert list(read_frames(tmp_path / "recorder.bin")) == [Due(0, 0, 1, 1)]
