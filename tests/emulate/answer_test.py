# SPDX-License-Identifier: Apache-2.0
"""An answer that unfolds: what is released when, in which sends, and what becomes of the rest."""

from __future__ import annotations

from inferometer.emulate.answer import END_CHUNK, LEAD_NS, Moment, Part, Unfolding, streamed
from inferometer.kinds import ChunkKind
from inferometer.truth.script import END, HEAD

MS = 1_000_000


def at(t_ns, n_done=0):
    return Moment(t_ns, 0, 0, 0, n_done, 7, 0)


def parts():
    return [
        Part(1, b"role", ChunkKind.ROLE, 0, LEAD_NS),
        Part(1, b"one", ChunkKind.CONTENT, 1),
        Part(2, lambda moment: b"two at %d" % moment.t_ns, ChunkKind.CONTENT, 1),
        Part(2, b"end", ChunkKind.DONE),
    ]


def test_a_token_releases_what_is_due_with_it():
    one = Unfolding(parts())
    one.release(0, 0, at(0))
    assert list(one.offsets_ns) == []
    one.release(1, 10 * MS, at(10 * MS, 1))
    assert list(one.offsets_ns) == [10 * MS - LEAD_NS, 10 * MS]
    assert one.datas[:2] == [b"role", b"one"]
    assert not one.is_released
    one.release(2, 20 * MS, at(20 * MS, 2))
    assert one.is_released
    assert one.datas[2] == b"two at 20000000end"
    assert list(one.n_bytes) == [4, 3, 18]
    assert list(one.send_of_step) == [0, 1, 2, 2]


def test_tokens_that_were_swallowed_are_released_with_the_next():
    one = Unfolding([Part(1, b"a", ChunkKind.CONTENT, 1), Part(3, b"bc", ChunkKind.CONTENT, 2)])
    one.release(1, MS, at(MS, 1))
    one.release(2, 2 * MS, at(2 * MS, 2))
    assert list(one.offsets_ns) == [MS]
    one.release(3, 3 * MS, at(3 * MS, 3))
    assert list(one.offsets_ns) == [MS, 3 * MS]


def test_instants_of_one_answer_do_not_decrease():
    one = Unfolding([Part(0, b"head", HEAD), Part(1, b"role", ChunkKind.ROLE, 0, LEAD_NS)])
    one.release(0, 0, at(0))
    one.release(1, LEAD_NS // 2, at(LEAD_NS // 2, 1))
    assert list(one.offsets_ns) == [0, 0]


def test_a_head_leaves_at_once_or_with_the_first_part():
    soon = streamed(parts(), content_type="x/y", head_n_done=0, keeps_alive=True)
    late = streamed(parts(), content_type="x/y", head_n_done=1, keeps_alive=False)
    assert (soon[0].n_done, late[0].n_done, late[0].lead_ns) == (0, 1, LEAD_NS)
    assert b"connection: close" in late[0].data
    assert soon[-1] == Part(2, END_CHUNK, END)
    one = Unfolding(late, is_chunked=True)
    one.release(1, 10 * MS, at(10 * MS, 1))
    assert one.datas[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert one.datas[0].endswith(b"4\r\nrole\r\n"), "the head and the role leave in one send"


def test_a_cut_answer_ends_where_it_was():
    one = Unfolding(parts())
    one.release(1, 10 * MS, at(10 * MS, 1))
    one.cut(Part(0, b"error", ChunkKind.ERROR), 15 * MS, at(15 * MS, 1))
    assert one.is_released
    assert one.datas[2] == b"error" + END_CHUNK
    assert list(one.offsets_ns) == [10 * MS - LEAD_NS, 10 * MS, 15 * MS]
    assert [step.kind for step in one.steps] == [ChunkKind.ROLE, ChunkKind.CONTENT, ChunkKind.ERROR, END]
    assert list(one.send_of_step) == [0, 1, 2, 2]
