# SPDX-License-Identifier: Apache-2.0
"""The driving loop: send what is due on time, stamp what arrives, write both down.

Rule 1: between two reads of a socket nothing heavy happens: no JSON, no statistics, no lock, no random draw. Requests
are bytes before they are due; answers are decoded after the run, or in slack by the digest that was injected.
Rule 2: every request that becomes due is written down then, and ends exactly once. The loop never raises for one.
Rule 3: one pass = launch a small batch, poll, read each ready socket once, one write to the recorder. What may wait
(samples, panel, live decoding) runs in passes where no socket was ready, or when it is long overdue.
"""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from inferometer.clock import MAX_BRACKET_NS, Clock, monotonic_ns
from inferometer.drive.arrivals import Arrivals, Window
from inferometer.drive.connection import STAMP_TOLERANCE_NS, Connection, State, Target, connect_outcome
from inferometer.drive.digest import Digest
from inferometer.drive.exchange import Exchange, Finished
from inferometer.drive.poller import SPIN_NS, make_poller
from inferometer.kinds import Outcome, Phase
from inferometer.plan.schedule import Stage
from inferometer.recorder import Writer
from inferometer.secrecy import Scrubber
from inferometer.units import NS_PER_MS, NS_PER_S

LAUNCH_BATCH = 64  # a burst goes out in batches with a look at the sockets in between; 64 sends take about 0.6 ms
START_AHEAD_NS = 2 * NS_PER_MS  # a stage begins so long after it was made ready, so that its first request is not late
N_SPARE = 1_024  # exchanges made ahead of a burst: a third of the price of a launch, and most of it for fresh memory
# Where nothing hangs on the end of an answer (open loop), the sockets are looked at once in so long while streams flow:
# the kernel has the stamps, and in a pass with a dozen reads each costs half of what one alone does. What came merged,
# or without a stamp, ends that for a while.
REST_NS = NS_PER_MS
MIN_REST_NS = 20_000
SWEEP_NS = 50 * NS_PER_MS  # how often time-outs are looked for,
SWEEP_SLICE = 500  # on so many connections at a time: 0.2 ms. Of 10,000 each has its turn once a second
OVERDUE_NS = 200 * NS_PER_MS  # ticks are forced when there was no room for them for so long
TICK_ROOM_NS = NS_PER_MS // 2  # a tick takes up to half a millisecond: it runs only if nothing is due for so long
SLACK_NS = 2 * NS_PER_MS  # answers are decoded only when nothing is due for so long,
DIGEST_NS = NS_PER_MS // 2  # and for no longer than this between two looks at the sockets
CONNECT_TIMEOUT_NS = 10 * NS_PER_S
CONNECT_BATCH = 128  # connections asked for at a time: servers queue some hundreds, and what is beyond waits a second
MAX_CONNECT_NS = NS_PER_MS
AWAY_NS = 10 * NS_PER_MS  # so long away from the sockets is written down; a pass takes well under a millisecond
CLOCK_STEP_NS = NS_PER_MS  # realtime against monotonic moving by more than this between two passes is a step
# A kept-alive connection that died under a request tells so at once; a server that dies after working on one, later.
PROMPT_NS = 100 * NS_PER_MS
# A stream whose end marker has come but whose HTTP message stays open is over after this much silence.
DONE_GRACE_NS = NS_PER_S
_DONE_LINE = re.compile(rb"data: ?\[DONE\]\s*\Z")
# Nothing but failures for this many requests in a row ends the run: it measures nothing and hammers a sick server.
MAX_FAILURES_IN_A_ROW = 50
MAX_FAILURES_AT_FIRST = 10  # the same before the first success
# llama.cpp's server closes every connection after a streamed answer without saying so. A server that was seen to do
# that this often, and never to serve twice, is no longer trusted with a second request on a connection.
MAX_REUSES_LOST = 2


@dataclass(slots=True)
class Tick:
    """Something to do every `period_ns` in slack: `call(now_ns)`."""

    period_ns: int
    call: Callable[[int], None]
    t_next_ns: int = 0


class Absence(NamedTuple):
    """The loop was away from its sockets for longer than AWAY_NS although it had nothing to wait for.

    `write_ns`: how much of it the recorder took; 0 where the process was stopped, which may have been while it wrote.
    """

    t_start_ns: int
    t_end_ns: int
    write_ns: int
    was_stopped: bool


@dataclass(frozen=True, slots=True)
class Options:
    """Deadlines in ns. `keeps_content`: raw bytes go to the recorder; otherwise only sizes and stamps."""

    timeout_ns: int = 60 * NS_PER_S
    stall_timeout_ns: int = 30 * NS_PER_S
    keeps_content: bool = True
    # As received, framing included: more than a million events of 220 bytes, far above any real answer.
    max_answer_bytes: int = 256 << 20
    # Idle connections kept ready, so that a handshake seldom stands in a latency: in open loop, and in closed loop with
    # a server that closes every connection. Few, because a server with a thread per connection loses one to each.
    n_reserve: int = 2
    # Closed loop: how far apart the slots open. Equal requests that start together stay in lock-step, and what is then
    # measured is the pattern of their start.
    stagger_ns: int = 0
    first_slot_ns: int = 0  # when the first of them opens: with several workers their slots open in turn


class Loop:
    """Drives one trial after another over one pool of connections.

    `payloads[i]` is the whole HTTP request of plan request i as bytes; ids past the end wrap around and stay unique.
    `digest` gets every exchange that is over, with its reads, and slack to decode them in. Without content on disk it
    must be given: it is then the only one to see the bytes.
    """

    def __init__(
        self,
        target: Target,
        payloads: Sequence[bytes],
        recorder: Writer,
        clock: Clock,
        options: Options,
        ticks: Sequence[Tick] = (),
        digest: Digest | None = None,
    ) -> None:
        self.target = target
        self.recorder = recorder
        self.clock = clock
        self.origin_ns = clock.origin_ns
        self.poller = make_poller(clock.origin_ns)
        self.offset_ns = clock.pair().offset_ns
        self.in_flight: dict[int, Exchange] = {}
        self.stop_reason = ""  # set from outside (a signal), or by the loop when going on makes no sense
        self.last_error = ""
        self.phase = Phase.WARMUP
        self.n_kernel_stamped = self.n_stamps_rejected = self.n_clock_steps = 0
        self.n_passes = self.n_reads = self.n_done = self.n_failed = 0
        self.next_id = self.next_conn = 0
        self.t_rest_ns = 0  # from when on a rest is worth trying
        self.stride = 1  # with several workers the numbers of requests and connections are dealt out among them
        self.absences: list[Absence] = []  # for who samples: to be taken away
        self.write_ns = 0  # what the recorder took: next to nothing, unless the disk has too much to do
        self.pass_max_ns = 0  # the longest stretch between two polls since the last sample
        self.max_answer_bytes = options.max_answer_bytes
        self._payloads = payloads
        self._options = options
        self._ticks = [Tick(SWEEP_NS, self._sweep), *ticks]
        self._t_tick_ns = 0  # when the first of them is due
        self._t_polled_ns = clock.now_ns()
        self._last_write_ns = 0
        self._was_stopped = False  # since the last poll
        self._digest = digest
        self._connections: dict[int, Connection] = {}
        self._to_sweep: list[Connection] = []
        self._idle: dict[int, Connection] = {}  # by file descriptor, the longest idle first
        self._opening: set[Connection] = set()  # on their way to being idle
        self._spares: list[Exchange] = []
        self._is_open_loop = False
        self._is_flowing = False  # the last look at the sockets found something to read
        self._n_begun = 0
        self._n_failed_in_a_row = 0
        self._n_reuses_lost = self._n_reused = self._n_openings_lost = 0
        self._arrivals: Arrivals | None = None

    # -- what the experiment calls ------------------------------------------------------------------------------------

    def open_connections(self, n_connections: int) -> None:
        """Have that many idle connections ready, or as many as the server accepts in 2 s, and 1 ms for each.

        A server that refuses one is not asked again and again: who needs a connection in earnest will hear why.
        """
        self._spares = [Exchange() for _ in range(min(n_connections, N_SPARE))]
        n_lost = self._n_openings_lost
        n_connections = max(n_connections, self._options.n_reserve)
        t_give_up_ns = self.clock.now_ns() + 2 * NS_PER_S + n_connections * MAX_CONNECT_NS
        while len(self._idle) < n_connections and self.clock.now_ns() < t_give_up_ns:
            self._reserve(min(n_connections, len(self._idle) + CONNECT_BATCH))
            if not self._opening or self._n_openings_lost > n_lost:
                break
            self._pass(self.clock.now_ns() + NS_PER_MS)

    def run_trial(self, trial: int, stages: Sequence[Stage]) -> Window:
        """Drive the stages to their ends, every request followed to its own. The last stage's window is the trial's.

        Do it `without_collector`.
        """
        return [self.run_stage(trial, stage, self.clock.now_ns() + START_AHEAD_NS) for stage in stages][-1]

    def run_stage(self, trial: int, stage: Stage, t_start_ns: int) -> Window:
        """Drive one stage, whose offsets count from `t_start_ns`, to its end."""
        self._t_polled_ns = self.clock.now_ns()  # what came before the stage was no absence from it
        options = self._options
        arrivals = self._arrivals = Arrivals(stage, t_start_ns, options.stagger_ns, options.first_slot_ns)
        self._is_open_loop = stage.concurrency is None
        while not self.stop_reason:
            now_ns = self.clock.now_ns()
            n_launched = 0
            while arrivals.next_ns <= now_ns and n_launched < LAUNCH_BATCH:
                t_due_ns, self.phase = arrivals.take()
                self._launch(trial, t_due_ns)
                n_launched += 1
            if not self.in_flight and arrivals.is_over(now_ns):
                break
            self._pass(arrivals.next_ns)
        return arrivals.window(trial, self.clock.now_ns(), is_cut_short=bool(self.stop_reason))

    def turn(self, until_ns: int) -> None:
        """One pass with nothing due: connections are looked after, ticks run."""
        self._pass(until_ns)

    def close(self) -> None:
        """Close every connection; requests still in flight end as CANCELLED."""
        self._arrivals = None
        now_ns = self.clock.now_ns()
        for exchange in list(self.in_flight.values()):
            self._end(exchange, Outcome.CANCELLED, now_ns, self.stop_reason)
        for connection in list(self._connections.values()):
            self._drop(connection)
        if self._digest is not None:
            self._digest.finish()
        self.recorder.flush()
        self.poller.close()

    def on_continued(self) -> None:
        """The process goes on after a stop (SIGCONT), which was neither a slow write nor want of a core."""
        self._was_stopped = True

    # -- the loop itself ----------------------------------------------------------------------------------------------

    def _pass(self, until_ns: int) -> None:
        now_ns = monotonic_ns() - self.origin_ns
        if now_ns - self._t_polled_ns > AWAY_NS:
            self.absences.append(Absence(self._t_polled_ns, now_ns, self._last_write_ns, self._was_stopped))
        # A tick that is due ends the sleep, unless it would have to wait anyway because a request is due before.
        has_room = until_ns - now_ns > TICK_ROOM_NS or now_ns >= self._t_tick_ns + OVERDUE_NS
        wake_ns = min(until_ns, self._t_tick_ns) if has_room else until_ns
        if self._is_flowing and self._is_open_loop and now_ns > self.t_rest_ns:
            now_ns = self._rest(now_ns, min(wake_ns - SPIN_NS, self._t_polled_ns + REST_NS))
        ready = self.poller.poll(now_ns, wake_ns)
        self._is_flowing = bool(ready)
        t_polled_ns = self._t_polled_ns = self._pair_clocks()
        if t_polled_ns - wake_ns > AWAY_NS < t_polled_ns - now_ns:
            self.absences.append(Absence(max(now_ns, wake_ns), t_polled_ns, 0, self._was_stopped))
        self._was_stopped = False
        connections = self._connections
        for fd, mask in ready:
            connection = connections.get(fd)
            if connection is not None:  # an earlier event of this pass may have closed it
                connection.on_ready(mask)
        t_write_ns = monotonic_ns() - self.origin_ns
        self.recorder.flush()
        self.n_passes += 1
        now_ns = monotonic_ns() - self.origin_ns
        self._last_write_ns = 0 if self._was_stopped else now_ns - t_write_ns
        self.write_ns += self._last_write_ns
        if now_ns >= self._t_tick_ns:
            self._run_ticks(now_ns, has_room=not ready and until_ns - now_ns > TICK_ROOM_NS)
        if self._digest is not None and self._digest.n_waiting:
            is_slack = not ready and until_ns - now_ns > SLACK_NS
            if is_slack or self._digest.is_behind:
                self._digest.work(now_ns + DIGEST_NS, self.clock.now_ns)
        pass_ns = monotonic_ns() - self.origin_ns - t_polled_ns
        if pass_ns > self.pass_max_ns:
            self.pass_max_ns = pass_ns

    def _rest(self, now_ns: int, until_ns: int) -> int:
        """Let reads gather; answers that wait to be decoded have the time first. Returns what time it is then."""
        if self._digest is not None and self._digest.n_waiting and until_ns - now_ns > DIGEST_NS:
            self._digest.work(now_ns + DIGEST_NS, self.clock.now_ns)
            now_ns = monotonic_ns() - self.origin_ns
        if until_ns - now_ns > MIN_REST_NS:
            self.clock.sleep_until(until_ns)
            now_ns = monotonic_ns() - self.origin_ns
        return now_ns

    def _run_ticks(self, now_ns: int, *, has_room: bool) -> None:
        for tick in self._ticks:
            if now_ns >= tick.t_next_ns and (has_room or now_ns >= tick.t_next_ns + OVERDUE_NS):
                tick.t_next_ns = now_ns + tick.period_ns
                tick.call(now_ns)
        self._t_tick_ns = min(tick.t_next_ns for tick in self._ticks)

    def _pair_clocks(self) -> int:
        """Take the offset that maps kernel stamps read in this pass; a step of the wall clock is noted."""
        t_ns, offset_ns, width_ns = self.clock.offset()
        if width_ns <= MAX_BRACKET_NS:
            step_ns = offset_ns - self.offset_ns
            if not -CLOCK_STEP_NS <= step_ns <= CLOCK_STEP_NS:
                self.n_clock_steps += 1
                gauges = [("step_s", step_ns / NS_PER_S)]
                self.recorder.note(t_ns, {"note": "samples", "source": "clock", "gauges": gauges})
            self.offset_ns = offset_ns
        return t_ns

    def _launch(self, trial: int, t_due_ns: int) -> None:
        request_id = self.next_id
        self.next_id += self.stride
        self.recorder.due(request_id, trial, self.phase, t_due_ns)
        payload = self._payloads[request_id % len(self._payloads)]
        exchange = self._spares.pop() if self._spares else Exchange()
        exchange.plan(request_id, trial, self.phase, t_due_ns, payload, t_due_ns + self._options.timeout_ns)
        self.in_flight[request_id] = exchange
        self._begin(exchange, self._idle.popitem()[1] if self._idle else None)

    def _begin(self, exchange: Exchange, connection: Connection | None) -> None:
        if self._digest is not None and self._n_begun < self._digest.n_followed:
            self._n_begun += 1
            exchange.reads = []
        if self.target.secrets:
            exchange.scrubber = Scrubber(self.target.secrets)
        try:
            connection = connection or self._open()
        except OSError as error:
            outcome = connect_outcome(error.errno or 0)
            self._end(exchange, outcome, self.clock.now_ns(), error.strerror or outcome.name.lower())
        else:
            connection.begin(exchange)

    def _open(self) -> Connection:
        """A new connection, still connecting. Raises: OSError if there is none to be had, or it is refused at once."""
        connection = Connection(self, self.next_conn, self.target)
        self.next_conn += self.stride
        self._connections[connection.fd] = connection
        return connection

    def _drop(self, connection: Connection) -> None:
        self._connections.pop(connection.fd, None)
        self._idle.pop(connection.fd, None)
        self._opening.discard(connection)
        connection.exchange = None
        connection.close()

    def _end(
        self, exchange: Exchange, outcome: Outcome, t_end_ns: int, error: str = "", t_free_ns: int | None = None
    ) -> None:
        """`t_free_ns`: when the slot became free, where that was not when the answer ended."""
        del self.in_flight[exchange.request_id]
        if exchange.scrubber is not None and (rest := exchange.scrubber.flush()):
            self.recorder.read(exchange.request_id, exchange.t_last_ns, exchange.t_last_ns, 0, rest)
        self.recorder.end(exchange.request_id, outcome, t_end_ns, error)
        self.n_done += 1
        if self._arrivals is not None:
            self._arrivals.freed(t_end_ns if t_free_ns is None else t_free_ns)
        self._count(exchange, outcome, error)
        if self._digest is not None and exchange.reads is not None:
            ids = (exchange.request_id, exchange.phase, outcome)
            self._digest.add(Finished(*ids, exchange.t_due_ns, t_end_ns, error, exchange.reads))

    def _count(self, exchange: Exchange, outcome: Outcome, error: str) -> None:
        """Keep the tally, and stop a run in which nothing but failures comes back."""
        head = exchange.framing.head
        is_whole = outcome is Outcome.OK or _is_all_there(exchange)
        if is_whole and head is not None and head.status == 200:
            self._n_failed_in_a_row = 0
            return
        self.n_failed += 1
        self._n_failed_in_a_row += 1
        self.last_error = error or (f"HTTP {head.status}" if head is not None else outcome.name.lower())
        has_succeeded = self.n_failed < self.n_done
        limit = MAX_FAILURES_IN_A_ROW if has_succeeded else MAX_FAILURES_AT_FIRST
        if self._n_failed_in_a_row >= max(limit, 2 * len(self.in_flight)):
            self.give_up(self._n_failed_in_a_row, self.last_error)

    def give_up(self, n_failed: int, error: str) -> None:
        """Nothing but failures came: end the run. Also for who has looked into answers that were whole."""
        if not self.stop_reason:
            self.last_error = error
            self.stop_reason = f"{n_failed} requests in a row failed: {error}"

    # -- what a connection reports ------------------------------------------------------------------------------------

    def on_read(self, exchange: Exchange, t_recv_ns: int, t_read_ns: int, data: bytes) -> None:
        self.n_reads += 1
        if exchange.reads is not None:
            exchange.reads.append((data, t_recv_ns, t_read_ns))
        n_bytes = len(data)
        exchange.n_bytes += n_bytes
        if not self._options.keeps_content:
            data = b""
        elif exchange.scrubber is not None:
            data = exchange.scrubber.feed(data)
        self.recorder.read(exchange.request_id, t_recv_ns, t_read_ns, n_bytes, data)

    def on_flooded(self, connection: Connection) -> None:
        """An answer that does not end: it must not fill the disk until its deadline."""
        self.on_lost(connection, Outcome.PROTOCOL, f"the answer is longer than {self.max_answer_bytes >> 20} MiB")

    def judge_stamp(self, t_recv_ns: int, t_read_ns: int, exchange: Exchange) -> int:
        """A kernel stamp after its own read, or before the last sign of life: within the clocks' bracket it is clipped,
        beyond it is rejected and counted, and the read's own stamp stands in."""
        if t_recv_ns > t_read_ns:
            nearest_ns = t_read_ns
        else:
            nearest_ns = exchange.t_last_ns
        if abs(t_recv_ns - nearest_ns) <= STAMP_TOLERANCE_NS:
            return nearest_ns
        self.n_stamps_rejected += 1
        return t_read_ns

    def on_idle(self, connection: Connection) -> None:
        connection.was_idle = True
        self._opening.discard(connection)
        self._idle[connection.fd] = connection

    @property
    def _trusts_reuse(self) -> bool:
        return self._n_reused > 0 or self._n_reuses_lost < MAX_REUSES_LOST

    def on_answered(self, connection: Connection, exchange: Exchange) -> None:
        """The HTTP answer is complete; whether it is a good one is found when it is decoded."""
        connection.exchange = None
        connection.n_served += 1
        self._n_reused += connection.n_served > 1
        is_clean = not exchange.framing.n_unused and not connection.has_unsent
        if exchange.framing.keeps_alive and is_clean and self._trusts_reuse:
            self.on_idle(connection)
        else:
            self._drop(connection)
        self._end(exchange, Outcome.OK, exchange.t_last_ns)

    def on_lost(self, connection: Connection, outcome: Outcome, error: str) -> None:
        """The connection is of no more use. A kept-alive one that died under a fresh request is replaced, once."""
        exchange = connection.exchange
        self._n_openings_lost += connection in self._opening
        self._drop(connection)
        if connection.n_served and (exchange is None or not exchange.n_reads):
            self._n_reuses_lost += 1
        if exchange is None:
            return
        now_ns = self.clock.now_ns()
        is_fresh = not exchange.n_reads and exchange.attempt == 1 and now_ns - exchange.t_sent_ns < PROMPT_NS
        if outcome is Outcome.RESET and connection.was_idle and is_fresh:
            exchange.begin_attempt(now_ns)
            self._begin(exchange, None)
            return
        self._end(exchange, outcome, now_ns, error)

    # -- housekeeping -------------------------------------------------------------------------------------------------

    def _sweep(self, _: int) -> None:
        """Find what has waited too long, a slice of the connections at a time, and refill the reserve of idle ones.

        Judged by the last look at the sockets: if we were away since, what came meanwhile waits there to be read.
        """
        now_ns = self._t_polled_ns
        if not self._to_sweep:
            self._to_sweep = list(self._connections.values())
        stall_ns = self._options.stall_timeout_ns
        for _ in range(min(SWEEP_SLICE, len(self._to_sweep))):
            connection = self._to_sweep.pop()
            exchange = connection.exchange
            if exchange is None:  # idle, or dropped since the list was made
                continue
            silent_ns = now_ns - exchange.t_last_ns
            is_late = now_ns > exchange.deadline_ns
            if (is_late or silent_ns > min(DONE_GRACE_NS, stall_ns)) and _is_all_there(exchange):
                self._drop(connection)
                self._end(exchange, Outcome.OK, exchange.t_last_ns, t_free_ns=now_ns)
            elif connection.state is not State.READY:
                if is_late or now_ns - connection.t_open_ns > CONNECT_TIMEOUT_NS:
                    what = "connection" if connection.state is State.CONNECTING else "TLS handshake"
                    limit_s = min(CONNECT_TIMEOUT_NS, self._options.timeout_ns) / NS_PER_S
                    self.on_lost(connection, Outcome.CONNECT_TIMEOUT, f"no {what} after {limit_s:g} s")
            elif is_late:
                limit_s = self._options.timeout_ns / NS_PER_S
                self.on_lost(connection, Outcome.DEADLINE, f"not finished after {limit_s:g} s")
            elif silent_ns > stall_ns:
                self.on_lost(connection, Outcome.STALLED, f"silent for {stall_ns / NS_PER_S:g} s")
        if self._is_open_loop or not self._trusts_reuse:
            self._reserve(self._options.n_reserve)

    def _reserve(self, n_idle: int) -> None:
        with contextlib.suppress(OSError):  # whoever needs a connection in earnest will hear why there is none
            for _ in range(n_idle - len(self._idle) - len(self._opening)):
                self._opening.add(self._open())


@contextmanager
def without_collector() -> Iterator[None]:
    """No garbage collection meanwhile: over a large heap it is a pause of milliseconds, and the loop makes no cycles.

    A last one comes first, so begin it before the first sample: otherwise that pause counts as part of the trial.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _is_all_there(exchange: Exchange) -> bool:
    """The stream's end marker was the last thing that came, whatever became of the HTTP message around it."""
    return _DONE_LINE.search(exchange.tail) is not None
