# SPDX-License-Identifier: Apache-2.0
"""Answers decoded while a run lasts: in slices, each once, nothing lost that nobody else will see."""

from __future__ import annotations

import pytest

from inferometer.drive.answer import Answer
from inferometer.drive.decode import facts_of
from inferometer.drive.digest import MAX_WAITING, READS_PER_LOOK, Digest
from inferometer.drive.exchange import Finished
from inferometer.engines.openai import CHAT
from inferometer.kinds import Outcome, Phase

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(i, finish="null"):
    return chunk(b'data: {"choices":[{"delta":{"content":" w%d"},"finish_reason":%b}]}\n\n' % (i, finish.encode()))


def finished(request_id=0, n_events=100, outcome=Outcome.OK):
    """An answer of one read for its head, one for each event, and one for its end."""
    datas = [HEAD, *(event(i) for i in range(n_events - 1)), event(n_events, '"length"'), b"0\r\n\r\n"]
    reads = [(data, i * 1000, i * 1000 + 20) for i, data in enumerate(datas)]
    return Finished(request_id, Phase.MAIN, outcome, 0, 10**6, "", reads)


class Ticking:
    """A clock that moves on by one at every look."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        self.now += 1
        return self.now


class Desk:
    """A digest with what it delivered, and a clock that counts the looks at it."""

    def __init__(self, n_wanted=lambda item: len(item.reads), *, must_take_all=True):
        self.delivered = []
        self.clock = Ticking()
        self.digest = Digest(CHAT, n_wanted, lambda *pair: self.delivered.append(pair), must_take_all=must_take_all)

    def work(self, n_looks):
        return self.digest.work(self.clock.now + n_looks, self.clock)

    @property
    def ids(self):
        return [item.request_id for item, _ in self.delivered]


def whole(item):
    answer = Answer(CHAT)
    for i, (data, _, _) in enumerate(item.reads):
        answer.feed(data, i)
    return answer


@pytest.mark.parametrize("n_looks", [2, 3, 7, 1000])
def test_an_answer_in_slices_is_the_answer_at_once(n_looks):
    desk, item = Desk(), finished(7)
    desk.digest.add(item)
    while not desk.work(n_looks):
        pass
    [(of, answer)] = desk.delivered
    assert of is item
    assert facts_of(answer, 7) == facts_of(whole(item), 7)
    assert len(answer.kinds) == 100


def test_work_stops_in_mid_answer_and_goes_on_there():
    desk = Desk()
    desk.digest.add(finished(0, n_events=10 * READS_PER_LOOK))
    n_slices = 0
    while not desk.work(2):  # the first look lets it begin, the second stops it
        n_slices += 1
        assert desk.digest.n_waiting == 1
    assert n_slices == 10
    assert desk.ids == [0]


def test_no_work_is_done_when_there_is_no_time():
    desk = Desk()
    desk.digest.add(finished())
    assert desk.work(1) is False
    assert desk.delivered == []
    assert desk.digest.n_waiting == 1


def test_only_as_many_reads_are_decoded_as_are_wanted():
    desk = Desk(n_wanted=lambda item: 0 if item.request_id == 1 else 11, must_take_all=False)
    for i in range(3):
        desk.digest.add(finished(i))
    assert desk.digest.n_waiting == 2
    assert desk.work(1000) is True
    assert desk.ids == [0, 2]
    assert [len(answer.kinds) for _, answer in desk.delivered] == [10, 10]
    assert not any(answer.is_complete for _, answer in desk.delivered)


def test_what_others_can_still_read_is_left_out_when_too_much_waits():
    desk = Desk(must_take_all=False)
    desk.digest.add(finished(0))
    desk.work(2)  # begun: its other half must not end up in the next answer
    for i in range(1, MAX_WAITING + 3):
        desk.digest.add(finished(i))
    assert desk.digest.n_waiting == MAX_WAITING
    assert not desk.digest.is_behind
    desk.work(10**6)
    assert desk.ids == list(range(3, MAX_WAITING + 3))
    assert all(len(answer.kinds) == 100 and not answer.fault for _, answer in desk.delivered)


def test_what_nobody_else_will_see_is_never_left_out():
    desk = Desk()
    for i in range(MAX_WAITING + 5):
        desk.digest.add(finished(i, n_events=5))
        assert desk.digest.n_waiting <= MAX_WAITING
    assert desk.digest.is_behind
    assert desk.ids == list(range(5)), "decoded at once"
    desk.digest.finish()
    assert desk.ids == list(range(MAX_WAITING + 5))
    assert desk.digest.n_waiting == 0


def test_at_the_end_what_others_can_read_is_forgotten():
    desk = Desk(must_take_all=False)
    desk.digest.add(finished())
    desk.digest.finish()
    assert desk.digest.n_waiting == 0
    assert desk.delivered == []


def test_a_cut_answer_is_not_taken_for_one_that_the_end_of_the_connection_ends():
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    body = b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'
    answers = {}
    for outcome in (Outcome.OK, Outcome.STALLED):
        desk = Desk()
        desk.digest.add(Finished(0, Phase.MAIN, outcome, 0, 5, "", [(head, 1, 1), (body, 2, 2)]))
        desk.work(1000)
        answers[outcome] = desk.delivered[0][1]
    assert answers[Outcome.OK].is_complete
    assert not answers[Outcome.STALLED].is_complete
