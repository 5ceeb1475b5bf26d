# SPDX-License-Identifier: Apache-2.0
"""The server of an emulated engine: the ground-truth server's loop and log, with the instants of a running batch.

Rule 1: the iteration that runs is planned when it begins, so that what it produces is ready before it is due.
Rule 2: iterations follow one another by the law, not by when the loop got there: a late send shifts no later one.
Rule 3: what it says of itself, it counts when the iteration has ended, as an engine would.

Beside the engine's own routes: GET /truth/log (what was sent, and when), /truth/setting (how it was started),
/truth/gauges (all that it counts, by our own names).
"""

from __future__ import annotations

import socket
import sys
from collections import deque
from pathlib import Path

import msgspec

from inferometer.clock import monotonic_ns
from inferometer.emulate import answer, prefixes, spoken
from inferometer.emulate.answer import Moment, Part, Reply, Unfolding
from inferometer.emulate.batch import NEVER_NS, Batch, Iteration, Sequence
from inferometer.emulate.catalogue import emulation_of
from inferometer.emulate.defects import (
    bytes_left,
    change_answer,
    change_batch,
    change_wish,
    change_wish_beside,
    n_threads,
)
from inferometer.emulate.emulation import Emulation, Live, Refused, Setting, Wish
from inferometer.emulate.gauges import Gauges, Histogram
from inferometer.emulate.mind import mind_of
from inferometer.truth.ask import HttpRequest
from inferometer.truth.options import Options
from inferometer.truth.script import HEAD, Ending, Prescription
from inferometer.truth.server import NO_WORK_NS, Connection, Server, serve
from inferometer.units import NS_PER_MS, NS_PER_S

MAX_BEHIND_NS = NS_PER_S  # a machine that slept: iterations go on from now instead of being made up for
MAX_ITERATIONS_PER_PASS = 16  # then what is due is sent, also when iterations are overdue


class Answering:
    """A generation under way."""

    __slots__ = ("connection", "is_cut", "is_streamed", "leaves_after_ns", "sequence", "unfolding")

    def __init__(
        self, connection: Connection, sequence: Sequence, unfolding: Unfolding, *, is_cut: bool, is_streamed: bool
    ) -> None:
        self.connection = connection
        self.sequence = sequence
        self.unfolding = unfolding
        self.is_cut = is_cut
        self.is_streamed = is_streamed
        self.leaves_after_ns = 0


class EmulatedServer(Server):
    """One emulated engine at one socket."""

    def __init__(self, listener: socket.socket, setting: Setting) -> None:
        super().__init__(listener, Prescription())
        self._emulation: Emulation = emulation_of(setting.engine)
        cache = prefixes.PrefixCache(setting.kv_tokens if "prefix-cache" in setting.traps else 0)
        batch = Batch(
            setting.law,
            n_slots=setting.slots,
            kv_tokens=setting.kv_tokens,
            prefixes=cache,
            seed=setting.seed,
            dies_when_full="kv-exhausted" in setting.traps,
        )
        self._mind = mind_of(setting.mind)
        change_batch(batch, setting)
        self._live = Live(setting, batch, Gauges(), cache)
        self._iteration: Iteration | None = None
        self._answering: dict[Sequence, Answering] = {}
        self._leaving: list[Sequence] = []  # their clients have left
        self._n_threads = n_threads(setting, self._emulation.threads(setting))
        self._n_bytes_left = bytes_left(setting)
        self._left_behind: list[bytes] = []  # by finished requests, if that is its defect
        self._unheard: deque[tuple[Connection, HttpRequest, int]] = deque()  # with the instant they came
        self._answering_at: dict[int, Answering] = {}  # by number of the connection
        self._routes = {path.replace("{model}", setting.model): r for path, r in self._emulation.routes.items()}
        self._own_pages = {
            (method, path.replace("{model}", setting.model).replace("{slot}", str(slot))): page
            for (method, path), page in self._emulation.pages.items()
            for slot in range(setting.slots)
        }

    # requests

    def _answer(self, connection: Connection, request: HttpRequest, t_arrival_ns: int) -> None:
        is_ours = request.path.startswith("/truth/")
        if self._n_threads is not None and len(self._answering_at) >= self._n_threads and not is_ours:
            connection.is_busy = True
            self._unheard.append((connection, request, t_arrival_ns))
        else:
            self._hear(connection, request, t_arrival_ns, t_arrival_ns)

    def _hear(self, connection: Connection, request: HttpRequest, t_arrival_ns: int, t_heard_ns: int) -> None:
        """`t_heard_ns`: when the engine takes notice, which is later where threads are few."""
        live = self._live
        route = self._routes.get(request.path) if request.method == "POST" else None
        try:
            if route is not None:
                live.gauges.n_requests += 1
                wish = change_wish_beside(change_wish(route(request.body, live), live.setting), live)
                self._generate(connection, request, wish, t_arrival_ns, t_heard_ns)
            else:
                self._reply(connection, request, self._page(request), t_arrival_ns)
        except Refused as refused:
            live.gauges.n_failed += 1
            self._reply(connection, request, refused.reply, t_arrival_ns, is_logged=True)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            is_json = isinstance(error, msgspec.ValidationError)
            self._reply(connection, request, self._emulation.malformed(str(error), is_json), t_arrival_ns)

    def _page(self, request: HttpRequest) -> Reply:
        if request.path == "/truth/log":
            return Reply(200, self.log_bytes(), "application/octet-stream")
        if request.path == "/truth/setting":
            return Reply(200, msgspec.json.encode(self._live.setting))
        if request.path == "/truth/gauges":
            return Reply(200, msgspec.json.encode(self._live.gauges, enc_hook=Histogram.as_dict))
        page = self._own_pages.get((request.method, request.path), self._emulation.unknown)
        return page(request.body, self._live)

    def _reply(
        self,
        connection: Connection,
        request: HttpRequest,
        reply: Reply,
        t_ns: int,
        *,
        is_logged: bool = False,
    ) -> None:
        """An answer that waits for nobody; only those to generation requests are of interest for the log."""
        data = answer.whole(reply, keeps_alive=request.keeps_alive)
        unfolding = Unfolding([Part(0, data, HEAD)])
        row, first_send = None, 0
        if is_logged:
            row, first_send = self.stamps.open_request(
                request.id, connection.number, unfolding, t_ns, t_ns, str(reply.status)
            )
        unfolding.release(0, 0, Moment(t_ns, t_ns, t_ns, t_ns, 0, 0, 0))
        self._start(connection, request, unfolding, t_ns, row, first_send)

    def _generate(self, connection: Connection, request: HttpRequest, wish: Wish, t_arrival_ns: int, t_ns: int) -> None:
        """`t_ns`: when the engine takes notice; what it calls the arrival."""
        live, setting = self._live, self._live.setting
        said = spoken.speak(
            seed=setting.seed,
            words=wish.words,
            n_prompt_tokens=wish.n_prompt_tokens,
            n_most=max(1, wish.n_most),
            n_least=wish.n_least,
            ends=not wish.ignores_end,
            style=wish.style,
            known=change_answer(self._mind(wish.words), wish, setting),
        )
        sequence = Sequence(
            wish.n_prompt_tokens,
            said.n_output_tokens,
            t_ns,
            blocks=_blocks(live, wish),
            t_ready_ns=t_ns + round(wish.load_ms * NS_PER_MS),
        )
        live.n_asked += 1
        parts = _framed(wish, wish.parts(said), keeps_alive=request.keeps_alive)
        unfolding = Unfolding(parts, is_chunked=wish.is_streamed)
        row, first_send = self.stamps.open_request(request.id, connection.number, unfolding, t_arrival_ns, t_ns)
        answering = Answering(connection, sequence, unfolding, is_cut=said.is_cut, is_streamed=wish.is_streamed)
        answering.leaves_after_ns = round(wish.leaves_after_s * NS_PER_S)
        self._answering[sequence] = self._answering_at[connection.number] = answering
        unfolding.release(0, 0, answer.moment_of(sequence, t_ns, 0))
        self._start(connection, request, unfolding, t_ns, row, first_send)
        if live.has("interrupts"):
            self._interrupt(t_ns)
        live.batch.arrive(sequence)
        if self._iteration is None:
            self._iterate(max(t_ns, live.batch.next_start_ns()))

    def _start(
        self,
        connection: Connection,
        request: HttpRequest,
        unfolding: Unfolding,
        t_ns: int,
        row: int | None,
        first_send: int,
    ) -> None:
        """What is released can go; the connection belongs to this answer until its last send."""
        connection.datas = unfolding.datas
        connection.offsets_ns = unfolding.offsets_ns
        connection.i_send = 0
        connection.n_sends = 0
        connection.t_start_ns = t_ns
        connection.row = row
        connection.first_send = first_send
        connection.is_busy = True
        connection.ending = _ending(request)
        self._feed(connection)

    def _feed(self, connection: Connection) -> None:
        """Sends that were released since the last time are put among those due."""
        was_idle = connection.i_send == connection.n_sends
        connection.n_sends = len(connection.offsets_ns)
        if was_idle and connection.i_send < connection.n_sends:
            self._put_due(connection, connection.t_start_ns + connection.offsets_ns[connection.i_send])

    def _finish(self, connection: Connection) -> None:
        if connection.n_sends < len(connection.datas):
            return  # more will be released
        connection.datas = ()
        answering = self._answering_at.pop(connection.number, None)
        if answering is not None:
            answering.unfolding.forget()
        super()._finish(connection)
        if answering is not None:
            self._hear_next()

    def _close(self, connection: Connection) -> None:
        answering = self._answering_at.pop(connection.number, None)
        if answering is not None:  # its client left: the engine notices now, or later
            self._live.batch.leave(answering.sequence, monotonic_ns() + answering.leaves_after_ns)
            self._leaving.append(answering.sequence)
            self._live.gauges.n_left += 1
            answering.unfolding.forget()
        super()._close(connection)
        if answering is not None:
            self._hear_next()

    def _hear_next(self) -> None:
        """A thread is free again."""
        while self._unheard and (self._n_threads is None or len(self._answering_at) < self._n_threads):
            connection, request, t_arrival_ns = self._unheard.popleft()
            if connection.number in self._connections:  # its client is still there
                connection.is_busy = False
                self._hear(connection, request, t_arrival_ns, monotonic_ns())

    # iterations

    def _work(self, now_ns: int) -> None:
        """The iteration has ended, or it is time for the first one."""
        for _ in range(MAX_ITERATIONS_PER_PASS):
            if self._work_ns > now_ns:
                return
            t_ns = self._work_ns
            if self._iteration is not None:
                self._complete(self._iteration)
            self._iterate(now_ns if now_ns - t_ns > MAX_BEHIND_NS else t_ns)

    def _iterate(self, t_ns: int) -> None:
        """Plan the iteration that starts at this instant, and release what it produces."""
        batch = self._live.batch
        iteration = self._iteration = batch.begin(t_ns)
        if iteration is None:
            next_ns = batch.next_start_ns()
            self._work_ns = NO_WORK_NS if next_ns == NEVER_NS else max(next_ns, t_ns + 1)
            return
        self._work_ns = iteration.t_end_ns
        for sequence in iteration.exhausted:
            self._exhaust(sequence, t_ns)
        for sequence in iteration.producing:
            answering = self._answering.get(sequence)
            if answering is None or sequence.t_gone_ns != NEVER_NS:
                continue
            n_done = sequence.n_done_tokens + 1
            offset_ns = iteration.t_end_ns - sequence.t_arrival_ns
            answering.unfolding.release(n_done, offset_ns, answer.moment_of(sequence, iteration.t_end_ns, n_done))
            self._feed(answering.connection)

    def _complete(self, iteration: Iteration) -> None:
        live = self._live
        live.gauges.note_iteration(iteration)
        for sequence in live.batch.complete(iteration):
            answering = self._answering.pop(sequence)
            live.gauges.note_end(sequence, is_cut=answering.is_cut)
            if self._n_bytes_left:
                self._left_behind.append(b"\x01" * self._n_bytes_left)  # written to, so that it is really there
        for sequence in [one for one in self._leaving if one.t_gone_ns <= iteration.t_end_ns]:
            self._leaving.remove(sequence)
            self._answering.pop(sequence, None)  # not there if it was finished

    def _interrupt(self, t_ns: int) -> None:
        """Somebody came: streams that run or wait end here, as if they were whole."""
        live, ends = self._live, self._emulation.interrupted
        for sequence in (*live.batch.running, *live.batch.waiting):
            answering = self._answering[sequence]
            is_over = sequence.t_gone_ns != NEVER_NS or answering.unfolding.is_released
            if ends is None or is_over or not answering.is_streamed:
                continue
            live.batch.leave(sequence, t_ns)
            self._leaving.append(sequence)
            moment = answer.moment_of(sequence, t_ns, sequence.n_done_tokens)
            answering.unfolding.cut(ends, t_ns - sequence.t_arrival_ns, moment)
            self._feed(answering.connection)

    def _exhaust(self, sequence: Sequence, t_ns: int) -> None:
        """No room is left for it: its answer ends here, with an error under the status that was sent long ago."""
        answering = self._answering.pop(sequence)
        if sequence.t_gone_ns == NEVER_NS and self._emulation.exhausted is not None:
            moment = answer.moment_of(sequence, t_ns, sequence.n_done_tokens)
            answering.unfolding.cut(self._emulation.exhausted, t_ns - sequence.t_arrival_ns, moment)
            self._feed(answering.connection)


def _blocks(live: Live, wish: Wish) -> tuple[int, ...]:
    return prefixes.chain(wish.words) if live.has("prefix-cache") else ()


def _framed(wish: Wish, parts: list[Part], *, keeps_alive: bool) -> list[Part]:
    """HTTP around an answer."""
    if wish.is_streamed:
        n_done = 0 if wish.head == "at_once" else parts[0].n_done
        return answer.streamed(parts, content_type=wish.content_type, head_n_done=n_done, keeps_alive=keeps_alive)
    (part,) = parts
    body = part.data

    def write(moment: Moment) -> bytes:
        return answer.whole(Reply(200, body if isinstance(body, bytes) else body(moment)), keeps_alive=keeps_alive)

    return [part._replace(data=write)]


def _ending(request: HttpRequest) -> Ending:
    return Ending.KEEP if request.keeps_alive else Ending.CLOSE


def run(setting: Setting, *, host: str, port: int, log: Path | None, stay: bool, cpu: int | None = None) -> None:
    """Serve until stopped (SIGTERM, SIGINT), or, without `stay`, until the parent process is gone.

    Raises: OSError if the address cannot be had.
    """
    options = Options(host, port, log, stay, cpu, shows_ceiling=False, prescription=Prescription())
    serve(options, lambda listener: EmulatedServer(listener, setting))


def main() -> None:
    """`python -m inferometer.emulate.server SETTING PORT LOG [CPU]`, as launch.py starts it."""
    setting = msgspec.json.decode(sys.argv[1], type=Setting)
    cpu = int(sys.argv[4]) if len(sys.argv) > 4 else None
    run(setting, host="127.0.0.1", port=int(sys.argv[2]), log=Path(sys.argv[3]), stay=False, cpu=cpu)


if __name__ == "__main__":
    main()
