# SPDX-License-Identifier: Apache-2.0
"""One measurement by several processes: each drives its share of every stage; this one leads and does not drive.

Rule 1: workers are forked when everything is prepared: they share the requests' bytes, and need nothing explained.
Rule 2: a stage starts at one agreed instant, the next when all have ended; between the two nobody waits for anybody.
Rule 3: a worker that dies ends the run. What it had written stays, and what was due and is nowhere becomes rows here.

    leader  recorder.bin     samples of machine and engine, windows, what nobody else could write down
    worker  recorder-K.bin   its requests and samples, K from 1
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NoReturn

import msgspec

from inferometer.drive.arrivals import Window
from inferometer.drive.loop import Tick, without_collector
from inferometer.errors import BY_USER, RunError
from inferometer.kinds import Outcome, Phase
from inferometer.measurement import (
    PROGRESS_PERIOD_NS,
    SAMPLE_PERIOD_NS,
    Counts,
    Job,
    Measured,
    Part,
    Sampler,
    Teller,
    WallClock,
    n_due_at_start,
    note_samples,
    note_window,
    noticing_stops,
    stopping_gently,
)
from inferometer.plan.schedule import Stage
from inferometer.plan.shares import Share, share_of
from inferometer.recorder import Due, Writer, read_frames, worker_path
from inferometer.units import NS_PER_MS, NS_PER_S

START_AHEAD_NS = 30 * NS_PER_MS  # from the leader's word to the first instant of a stage: all have heard it by then
HEAR_PERIOD_NS = 50 * NS_PER_MS  # how often a worker listens to the leader while it drives
_TURN_NS = 5 * NS_PER_MS  # and while it waits for the next stage
_LEAD_S = 0.05  # the leader's own pace: how late it may notice a signal; a worker's death it notices at once
_CLOSE_WITHIN_S = 30.0  # closing ten thousand connections and flushing to a slow disk takes seconds


class Channel:
    """One end of the line between leader and worker: JSON messages, one per line."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._rest = b""

    def send(self, message: dict[str, Any]) -> None:
        """To an end that is gone: nothing happens; whoever reads learns that it is gone."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(msgspec.json.encode(message) + b"\n")

    def offer(self, message: dict[str, Any]) -> None:
        """Send only if that needs no waiting: a leader that is stuck must not stop the driving."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_WRITE)
            if selector.select(0):
                self.send(message)

    def receive(self) -> list[dict[str, Any]] | None:
        """What has come, without waiting; None when the other end is gone and all it said was read."""
        try:
            data = self.socket.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [msgspec.json.decode(line) for line in lines]


@dataclass(slots=True)
class Hand:
    """A worker as the leader knows it. `number` counts from 1; `window` is that of the stage it has last ended."""

    number: int
    pid: int
    channel: Channel
    share: Share | None = None
    is_busy: bool = True  # preparing, or driving a stage
    is_gone: bool = False
    next_id: int = 0
    window: Window | None = None
    counts: Counts = field(default_factory=Counts)
    totals: dict[str, int] = field(default_factory=dict)


class Crew:
    """The leader: the same job as for a `Measurement`, with `n_workers` processes. `run()` once.

    `client_sampler` makes the sampler of a worker's own process, inside it, from the name of its source.
    `cores`: one for each worker, or none.
    """

    def __init__(
        self,
        job: Job,
        *,
        n_workers: int,
        client_sampler: Callable[[str], Sampler],
        cores: Sequence[int] = (),
    ) -> None:
        self._job = job
        self._schedule = job.schedule
        self._recorder = job.recorder
        self._clock = job.clock
        self._wall_clock = WallClock(job.clock)
        self._samplers = [*job.samplers, self._wall_clock]
        self._client_sampler = client_sampler
        self._n_workers = n_workers
        self._cores = cores
        self._teller = None if job.observer is None else Teller(job.observer, job.schedule)
        self._hands: list[Hand] = []
        self._stop_reason = ""
        self._is_own_fault = False
        self._t_stop_ns = 0
        self._is_told_to_stop = False
        self._is_driving = False
        self._t_sample_ns = self._t_tell_ns = 0
        self._next_id = 0

    def run(self) -> Measured:
        """Drive all trials. Ctrl-C once ends the run with what is there; twice ends all processes."""
        windows: list[Window] = []
        with stopping_gently(self._on_interrupt, self._kill) as interrupts:
            try:
                with without_collector():  # so that the workers share the heap as it is
                    for number in range(1, self._n_workers + 1):
                        self._hands.append(self._hire(number))
                self._attend()
                for trial, stages in enumerate(self._schedule.trials):
                    if self._stop_reason:
                        break
                    self._drive_trial(trial, stages, windows)
                self._dismiss()
                self._recorder.flush()
            except RunError as error:
                self._stop(str(error), is_own_fault=True)
            finally:
                self._kill()
        totals = [hand.totals for hand in self._hands]
        return Measured(
            tuple(windows),
            self._stop_reason,
            interrupts.is_interrupted,
            self._is_own_fault,
            sum(found.get("n_reads", 0) for found in totals),
            sum(found.get("n_kernel_stamped", 0) for found in totals),
            max(found.get("n_clock_steps", 0) for found in totals),
            self._wall_clock.first,
            self._clock.pair(),
        )

    # -- leading ------------------------------------------------------------------------------------------------------

    def _hire(self, number: int) -> Hand:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._work(number, Channel(theirs))
        theirs.close()
        return Hand(number, pid, Channel(ours))

    def _drive_trial(self, trial: int, stages: Sequence[Stage], windows: list[Window]) -> None:
        now_ns = self._clock.now_ns()
        if self._teller is not None:
            self._teller.begin(trial, now_ns, sum(hand.counts.n_done for hand in self._hands))
        self._is_driving = True
        note_samples(self._recorder, now_ns, self._samplers)
        window = None
        for i, stage in enumerate(stages):
            if not self._stop_reason:
                window = self._drive_stage(trial, i, stage) or window
        now_ns = self._clock.now_ns()
        note_samples(self._recorder, now_ns, self._samplers)
        self._is_driving = False
        if window is not None:
            windows.append(window)
            note_window(self._recorder, now_ns, window)

    def _drive_stage(self, trial: int, i: int, stage: Stage) -> Window | None:
        """All workers through one stage; its window, if there is one."""
        t_start_ns = self._clock.now_ns() + START_AHEAD_NS
        first_id = self._next_id
        for hand in self._hands:
            hand.share = share_of(stage, hand.number - 1, self._n_workers, first_id)
            hand.window, hand.is_busy = None, not hand.share.is_empty
            if hand.is_busy:
                order = {"do": "drive", "trial": trial, "stage": i, "t_start_ns": t_start_ns, "first_id": first_id}
                hand.channel.send(order)
        self._attend()
        self._next_id = max(self._next_id, *(hand.next_id for hand in self._hands))
        if stage.n_planned is not None:
            self._next_id = first_id + stage.n_planned
        for hand in self._hands:
            if hand.is_gone:
                self._write_down_missing(hand, trial, stage, t_start_ns)
        windows = [hand.window for hand in self._hands if hand.window and hand.share and hand.share.has_main]
        return merged(windows, stage) if windows else None

    def _attend(self) -> None:
        """Listen until no worker is busy; sample and tell meanwhile."""
        with selectors.DefaultSelector() as selector:
            for hand in self._hands:
                if not hand.is_gone:
                    selector.register(hand.channel.socket, selectors.EVENT_READ, hand)
            while any(hand.is_busy for hand in self._hands):
                for key, _ in selector.select(_LEAD_S):
                    if not self._hear(key.data):
                        selector.unregister(key.fileobj)
                if self._stop_reason and not self._is_told_to_stop:
                    self._is_told_to_stop = True
                    self._tell_all({"do": "stop", "reason": self._stop_reason})
                self._tick()
                self._recorder.flush()

    def _tick(self) -> None:
        now_ns = self._clock.now_ns()
        if not self._is_driving:
            return
        if now_ns >= self._t_sample_ns:
            self._t_sample_ns = now_ns + SAMPLE_PERIOD_NS
            note_samples(self._recorder, now_ns, self._samplers)
        if now_ns >= self._t_tell_ns and self._teller is not None:
            self._t_tell_ns = now_ns + PROGRESS_PERIOD_NS
            self._teller.tell(now_ns, self._summed())

    def _summed(self) -> Counts:
        """Where all of them stand together."""
        counts = [hand.counts for hand in self._hands]
        latest = [latency for count in counts for latency in count.latest]
        for count in counts:
            count.latest = []
        return Counts(
            all(count.is_main for count in counts),
            sum(count.n_in_flight for count in counts),
            sum(count.n_done for count in counts),
            sum(count.n_failed for count in counts),
            next((count.last_error for count in counts if count.last_error), ""),
            latest,
        )

    def _hear(self, hand: Hand) -> bool:
        """Take what a worker says. Returns: whether it is still there."""
        messages = hand.channel.receive()
        if messages is None:
            self._on_gone(hand)
            return False
        for message in messages:
            latest = hand.counts.latest
            hand.counts = msgspec.convert(message["counts"], Counts)
            hand.counts.latest = latest + hand.counts.latest
            if message["say"] == "progress":
                continue
            hand.is_busy = False
            hand.next_id = message["next_id"]
            hand.totals = message["totals"]
            hand.window = message["window"] and msgspec.convert(message["window"], Window)
            if message["stop_reason"]:
                self._stop(message["stop_reason"], is_own_fault=message["is_own_fault"])
        return True

    def _on_gone(self, hand: Hand) -> None:
        """A worker has ended: as it was told to, or not."""
        hand.is_busy, hand.is_gone = False, True
        hand.channel.socket.close()
        _, status = os.waitpid(hand.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code:
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed (exit code {code})"
            self._stop(f"worker {hand.number} of {self._n_workers} {how}", is_own_fault=True)

    def _on_interrupt(self) -> None:
        self._stop(BY_USER, is_own_fault=False)

    def _stop(self, reason: str, *, is_own_fault: bool) -> None:
        """The first reason is the one that counts. `_attend` passes it on: this may be called by a signal handler."""
        if not self._stop_reason:
            self._stop_reason, self._is_own_fault, self._t_stop_ns = reason, is_own_fault, self._clock.now_ns()

    def _tell_all(self, message: dict[str, Any]) -> None:
        for hand in self._hands:
            if not hand.is_gone:
                hand.channel.send(message)

    def _dismiss(self) -> None:
        """The work is done: each closes its connections and its file, says what it counted, and goes."""
        t_give_up_ns = self._clock.now_ns() + round(_CLOSE_WITHIN_S * NS_PER_S)
        self._tell_all({"do": "close"})
        while not all(hand.is_gone for hand in self._hands) and self._clock.now_ns() < t_give_up_ns:
            with selectors.DefaultSelector() as selector:
                for hand in self._hands:
                    if not hand.is_gone:
                        selector.register(hand.channel.socket, selectors.EVENT_READ, hand)
                for key, _ in selector.select(_LEAD_S):
                    self._hear(key.data)
        for hand in self._hands:
            if not hand.is_gone:
                self._stop(f"worker {hand.number} of {self._n_workers} did not end", is_own_fault=True)

    def _kill(self) -> None:
        """End those that are still there, at once."""
        for hand in self._hands:
            if not hand.is_gone:
                hand.is_gone = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(hand.pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(hand.pid, 0)

    def _write_down_missing(self, hand: Hand, trial: int, stage: Stage, t_start_ns: int) -> None:
        """Requests of an open loop that became due before the run was stopped, and that a dead worker did not note."""
        share = hand.share
        if share is None or share.stage.due_ns is None:
            return
        path = worker_path(self._recorder.path, hand.number)
        noted = {frame.request_id for frame in read_frames(path) if isinstance(frame, Due)} if path.exists() else set()
        for k, due_ns in enumerate(share.stage.due_ns.tolist()):
            request_id, t_due_ns = share.first + k * share.stride, t_start_ns + due_ns
            if t_due_ns > self._t_stop_ns:
                break
            if request_id not in noted:
                is_warmup = k < share.stage.n_warmup or due_ns < stage.warmup_ns
                self._recorder.due(request_id, trial, Phase.WARMUP if is_warmup else Phase.MAIN, t_due_ns)
                error = f"worker {hand.number} died before it wrote down whether this was sent"
                self._recorder.end(request_id, Outcome.NOT_SENT, self._t_stop_ns, error)

    # -- working: what follows runs in a worker's process --------------------------------------------------------------

    def _work(self, number: int, channel: Channel) -> NoReturn:
        code = 1
        try:
            _settle(channel.socket.fileno(), self._cores[number - 1 : number])
            recorder = Writer(worker_path(self._recorder.path, number))
            code = Worker(self, number, channel, recorder).run()
        finally:  # whatever it was, the process ends here: nothing of the leader's may run twice
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)

    def part_of(self, number: int, recorder: Writer, ticks: Sequence[Tick]) -> Part:
        """The part that worker `number` drives."""
        rank, stagger_ns = number - 1, self._job.options.stagger_ns
        options = replace(self._job.options, stagger_ns=stagger_ns * self._n_workers, first_slot_ns=stagger_ns * rank)
        source = f"client-{number}"
        part = Part(self._job, recorder, options, [self._client_sampler(source)], ticks, source=source)
        part.loop.next_conn, part.loop.stride = rank, self._n_workers
        return part

    def n_connections_of(self, number: int) -> int:
        """Its share of what the first instant asks for."""
        return len(range(number - 1, n_due_at_start(self._schedule), self._n_workers))

    def share(self, number: int, trial: int, stage: int, first_id: int) -> Share:
        return share_of(self._schedule.trials[trial][stage], number - 1, self._n_workers, first_id)


class Worker:
    """In its own process: does what the leader says until it says close, or is gone."""

    def __init__(self, crew: Crew, number: int, channel: Channel, recorder: Writer) -> None:
        self._crew = crew
        self._number = number
        self._channel = channel
        self._recorder = recorder
        self._orders: list[dict[str, Any]] = []
        self._is_own_fault = False
        ticks = [Tick(HEAR_PERIOD_NS, self._hear), Tick(PROGRESS_PERIOD_NS, self._tell)]
        self._part = crew.part_of(number, recorder, ticks)
        self._clock = self._part.loop.clock

    def run(self) -> int:
        """Returns: the exit code of the process."""
        loop = self._part.loop
        with without_collector(), noticing_stops(loop):
            try:
                loop.open_connections(self._crew.n_connections_of(self._number))
                self._report(None)
                while not self._is_dismissed():
                    loop.turn(self._clock.now_ns() + _TURN_NS)
                    self._hear(0)
                    for order in self._take_orders():
                        self._report(self._drive(order))
            except RunError as error:
                self._fail(error)
            for close in (self._part.close, self._recorder.close):
                try:
                    close()
                except RunError as error:
                    self._fail(error)
            self._report(None)
        return 0

    def _drive(self, order: dict[str, Any]) -> Window:
        loop = self._part.loop
        share = self._crew.share(self._number, order["trial"], order["stage"], order["first_id"])
        loop.next_id, loop.stride = share.first, share.stride
        self._part.sample(self._clock.now_ns())
        window = loop.run_stage(order["trial"], share.stage, order["t_start_ns"])
        self._part.sample(self._clock.now_ns())
        return window

    def _is_dismissed(self) -> bool:
        return any(order["do"] == "close" for order in self._orders)

    def _take_orders(self) -> Iterable[dict[str, Any]]:
        while self._orders and self._orders[0]["do"] == "drive":
            yield self._orders.pop(0)

    def _hear(self, now_ns: int) -> None:
        messages = self._channel.receive()
        if messages is None:
            messages = [{"do": "stop", "reason": "the leading process died"}, {"do": "close"}]
        for message in messages:
            if message["do"] == "stop":
                self._part.loop.stop_reason = self._part.loop.stop_reason or message["reason"]
            else:
                self._orders.append(message)

    def _tell(self, now_ns: int) -> None:
        self._channel.offer({"say": "progress", "counts": asdict(self._part.counts())})

    def _report(self, window: Window | None) -> None:
        loop = self._part.loop
        self._channel.send(
            {
                "say": "done",
                "counts": asdict(self._part.counts()),
                "window": None if window is None else asdict(window),
                "next_id": loop.next_id,
                "stop_reason": loop.stop_reason,
                "is_own_fault": self._is_own_fault,
                "totals": {
                    "n_reads": loop.n_reads,
                    "n_kernel_stamped": loop.n_kernel_stamped,
                    "n_clock_steps": loop.n_clock_steps,
                },
            }
        )

    def _fail(self, error: RunError) -> None:
        self._part.loop.stop_reason, self._is_own_fault = str(error), True


def _settle(line: int, cores: Sequence[int]) -> None:
    """A fork has what its parent had; here only the line to it, stdio and the core meant for this one are kept.

    Other workers' lines, and the pipe that tells the engine's supervisor that we live, would otherwise outlive the
    leader. The leader alone answers to Ctrl-C, which a terminal sends to all.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    last = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(3, line)
    os.closerange(line + 1, last)
    if cores:
        os.sched_setaffinity(0, set(cores))


def merged(windows: Sequence[Window], stage: Stage) -> Window:
    """The window of the stage as a whole. Closed loop: while all slots were in use, so while every worker measured.

    Where there is no such time (a handful of requests), and in open loop: from the first main request to the last.
    """
    starts, ends = [w.t_start_ns for w in windows], [w.t_end_ns for w in windows]
    if stage.concurrency is not None and max(starts) < min(ends):
        return Window(windows[0].trial, max(starts), min(ends))
    return Window(windows[0].trial, min(starts), max(ends))
