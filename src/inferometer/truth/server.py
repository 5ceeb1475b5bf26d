# SPDX-License-Identifier: Apache-2.0
"""The ground-truth server: an OpenAI-compatible server that sends at prescribed instants and stamps each send.

    python -m inferometer.truth.server --port 0 --log truth.log --ttft-ms 50 --gap-ms 20

Rule 1: one process, one loop, no threads; a send that is due goes before everything else.
Rule 2: an answer is a script, executed blindly; what is sent and what goes wrong is decided in script.py, faults.py.
Rule 3: the stamp before a send is the truth, not the prescription: being late is allowed, being wrong about it is not.
Beside the API: GET /health, GET /v1/models, POST /tokenize, GET /truth/log (the log so far, as bytes).
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import os
import signal
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from inferometer.clock import monotonic_ns
from inferometer.truth import ask, events, faults
from inferometer.truth.options import Options, read_options
from inferometer.truth.poller import make_poller
from inferometer.truth.script import (
    N_VARIANTS,
    Ask,
    Ending,
    Prescription,
    Script,
    answer,
    drawn,
    error_answer,
    leading_integer,
    slowed,
)
from inferometer.truth.stamps import Stamps
from inferometer.units import NS_PER_MS, NS_PER_S

if sys.platform == "linux":
    import resource

# A sleeping process is woken some 30-130 us late (seen on a 2-core virtual machine): the rest is spent looking.
SPIN_NS = 150_000
MAX_SENDS_PER_PASS = 32  # then requests are looked for, also when sends are overdue
RETRY_NS = NS_PER_MS  # a client that does not read gets the rest of a send so much later
PARENT_CHECK_NS = NS_PER_S // 2
NO_WORK_NS = (1 << 63) - 1
READ_BYTES = 262_144
MAX_CACHED_SCRIPTS = 4096

# Keys of the heap of due sends: instant and connection in one integer, compared faster than a tuple.
_NUMBER_BITS = 32
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger


class Connection:
    """One client connection, and how far the answer on it has come."""

    __slots__ = (
        "datas",
        "ending",
        "fd",
        "first_send",
        "head",
        "i_send",
        "inbox",
        "is_busy",
        "n_sends",
        "number",
        "offsets_ns",
        "receive",
        "rest",
        "row",
        "send",
        "sock",
        "t_start_ns",
    )

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.number = number
        self.receive: Callable[[int], bytes] = sock.recv
        self.send: Callable[[bytes | memoryview], int] = sock.send
        self.inbox = bytearray()
        self.head: ask.HttpHead | None = None
        self.is_busy = False  # an answer is under way, or the connection is held open for ever
        self.ending = Ending.KEEP
        self.datas: Sequence[bytes] = ()
        self.offsets_ns: Sequence[int] = ()
        self.n_sends = 0
        self.i_send = 0
        self.t_start_ns = 0
        self.row: int | None = None  # in the log, while the answer is under way
        self.first_send = 0
        self.rest: bytes | memoryview | None = None  # of a send that the kernel took only in part


class Server:
    """The loop and its connections. `run` returns when told to stop or when its parent is gone."""

    def __init__(self, listener: socket.socket, prescription: Prescription) -> None:
        self.stamps = Stamps()
        self._listener = listener
        self._prescription = prescription
        self._poller = make_poller()
        self._connections: dict[int, Connection] = {}  # by number
        self._by_fd: dict[int, Connection] = {}
        self._due: list[int] = []
        self._work_ns = NO_WORK_NS  # when `_work` is to be called
        self._n_accepted = 0
        self._n_generations = 0
        self._slots_free_ns: list[int] = []  # a heap: when the answers end that occupy a slot
        self._prescriptions: dict[bytes, Prescription] = {b"": prescription}
        self._scripts: dict[tuple[Prescription, Ask, int], Script] = {}
        self._pages: dict[tuple[str, str], Callable[[ask.HttpRequest], Script]] = {
            ("GET", "/health"): lambda _: answer(200, b'{"status":"ok"}'),
            ("GET", "/v1/models"): lambda _: answer(200, events.model_list()),
            ("POST", "/tokenize"): _tokenize,
            ("GET", "/truth/log"): lambda _: answer(200, self.log_bytes(), content_type="application/octet-stream"),
        }

    def run(self, wake_fd: int, parent_pid: int | None) -> None:
        """Serve until a byte arrives at `wake_fd` or the parent process is another than `parent_pid`."""
        listen_fd = self._listener.fileno()
        self._poller.register(listen_fd)
        self._poller.register(wake_fd)
        t_check_ns = 0
        while True:
            now_ns = self._send_due()
            if now_ns >= self._work_ns:
                self._work(now_ns)
            if now_ns >= t_check_ns:
                if parent_pid is not None and os.getppid() != parent_pid:
                    return
                t_check_ns = now_ns + PARENT_CHECK_NS
            next_ns = min(t_check_ns, self._work_ns)
            if self._due:
                next_ns = min(next_ns, self._due[0] >> _NUMBER_BITS)
            for fd in self._poller.wait(next_ns - now_ns - SPIN_NS):
                if fd == listen_fd:
                    self._accept()
                elif fd == wake_fd:
                    return
                elif fd in self._by_fd:  # not closed earlier in this pass
                    self._receive(self._by_fd[fd])

    def _work(self, now_ns: int) -> None:
        """What a server has to do at `_work_ns` beside sending; this one has nothing, others plan ahead."""

    def log_bytes(self) -> bytes:
        self._note_open()
        return self.stamps.to_bytes()

    def save_log(self, path: Path) -> None:
        self._note_open()
        self.stamps.save(path)

    def _note_open(self) -> None:
        for connection in self._connections.values():
            if connection.row is not None:
                self.stamps.note_progress(connection.row, connection.i_send)

    def _send_due(self) -> int:
        """Do the sends that are due, oldest first. Returns: the instant after the last."""
        due, connections, clock = self._due, self._connections, monotonic_ns
        before_ns, after_ns = self.stamps.before_ns, self.stamps.after_ns
        now_ns = clock()
        for _ in range(MAX_SENDS_PER_PASS):
            if not due or due[0] >> _NUMBER_BITS > now_ns:
                break
            connection = connections.get(due[0] & _NUMBER_MASK)
            if connection is None:  # its client left
                heapq.heappop(due)
                continue
            i = connection.i_send
            data = connection.datas[i] if connection.rest is None else connection.rest
            place = connection.first_send + i
            before_ns[place] = clock()
            try:
                n_bytes = connection.send(data)
            except BlockingIOError:
                n_bytes = 0
            except OSError:  # reset by the client: noticed here before the read that would tell
                heapq.heappop(due)
                self._close(connection)
                continue
            after_ns[place] = now_ns = clock()
            if n_bytes != len(data):
                connection.rest = memoryview(data)[n_bytes:]
                self.stamps.n_retries += 1
                heapq.heapreplace(due, (now_ns + RETRY_NS) << _NUMBER_BITS | connection.number)
                continue
            connection.rest = None
            i += 1
            connection.i_send = i
            if i < connection.n_sends:
                t_due_ns = connection.t_start_ns + connection.offsets_ns[i]
                heapq.heapreplace(due, t_due_ns << _NUMBER_BITS | connection.number)
            else:
                heapq.heappop(due)
                self._finish(connection)
        return now_ns

    def _finish(self, connection: Connection) -> None:
        """The script is done: what becomes of the connection."""
        ending = connection.ending
        if ending is Ending.REPEAT:  # the stamps in the log are those of the last time
            connection.i_send -= 1
            period_ns = connection.offsets_ns[-1] - connection.offsets_ns[-2]
            heapq.heappush(self._due, (monotonic_ns() + period_ns) << _NUMBER_BITS | connection.number)
            return
        if connection.row is not None:
            self.stamps.note_progress(connection.row, connection.n_sends)
            connection.row = None
        if ending is Ending.HOLD:
            return
        connection.is_busy = False
        if ending is Ending.RESET:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if ending in (Ending.CLOSE, Ending.RESET, Ending.IDLE_CLOSE):
            self._close(connection)
        elif connection.inbox:
            self._serve(connection, monotonic_ns())

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, self._n_accepted)
            self._n_accepted += 1
            self._connections[connection.number] = connection
            self._by_fd[connection.fd] = connection
            self._poller.register(connection.fd)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.receive(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        t_arrival_ns = monotonic_ns()
        connection.inbox += data
        if not data or (connection.ending is Ending.DROP_NEXT and not connection.is_busy):
            self._close(connection)
        elif not connection.is_busy:
            self._serve(connection, t_arrival_ns)
        elif connection.ending is Ending.IDLE_CLOSE and connection.i_send == connection.n_sends - 1:
            self._stay_open(connection)
            self._serve(connection, t_arrival_ns)

    def _stay_open(self, connection: Connection) -> None:
        """A request came before an idle connection was closed: the close is off."""
        self._due = [due for due in self._due if due & _NUMBER_MASK != connection.number]
        heapq.heapify(self._due)
        if connection.row is not None:
            self.stamps.note_progress(connection.row, connection.i_send)
            connection.row = None
        connection.is_busy = False

    def _close(self, connection: Connection) -> None:
        if connection.row is not None:
            self.stamps.note_progress(connection.row, connection.i_send, monotonic_ns())
        self._poller.unregister(connection.fd)
        del self._connections[connection.number], self._by_fd[connection.fd]
        connection.sock.close()

    def _serve(self, connection: Connection, t_arrival_ns: int) -> None:
        """Begin the answer if a whole request is there."""
        try:
            request = self._take_request(connection)
            if request is None:
                return
            self._answer(connection, request, t_arrival_ns)
        except ask.BadRequest as error:
            script = error_answer(error.status, str(error), keeps_alive=False)
            self._begin(connection, script, t_arrival_ns, keeps_alive=False)

    def _answer(self, connection: Connection, request: ask.HttpRequest, t_arrival_ns: int) -> None:
        """Raises: ask.BadRequest."""
        if request.path in ask.APIS and request.method == "POST":
            self._begin_generation(connection, request, t_arrival_ns)
            return
        page = self._pages.get((request.method, request.path))
        script = page(request) if page else error_answer(404, f"no {request.method} {request.path} here")
        self._begin(connection, script, t_arrival_ns, request.keeps_alive)

    def _take_request(self, connection: Connection) -> ask.HttpRequest | None:
        if connection.head is None:
            connection.head = ask.read_head(connection.inbox)
            if connection.head is not None and "expect" in connection.head.headers:
                with contextlib.suppress(OSError):  # a client that is gone is noticed by the next read
                    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if connection.head is None:
            return None
        request = ask.take_request(connection.head, connection.inbox)
        if request is not None:
            connection.head = None
        return request

    def _begin_generation(self, connection: Connection, request: ask.HttpRequest, t_arrival_ns: int) -> None:
        generation = ask.read_generation(request)
        prescription = self._prescriptions.get(generation.truth)
        if prescription is None:
            prescription = ask.read_prescription(generation.truth, self._prescription)
            self._prescriptions[generation.truth] = prescription
        prescription = drawn(prescription, request.id)
        number = leading_integer(request.id)
        k = self._n_generations if number < 0 else number  # a request that is sent again gets the same answer
        script = self._script(prescription, generation.ask, request, k)
        stagger_ns = k % prescription.stagger_n * round(prescription.stagger_ms * NS_PER_MS)
        self._n_generations += 1
        t_start_ns = self._take_slot(t_arrival_ns + stagger_ns, script)
        row, first_send = self.stamps.open_request(
            request.id, connection.number, script, t_arrival_ns, t_start_ns, prescription.fault_name
        )
        self._begin(connection, script, t_start_ns, request.keeps_alive, row, first_send)

    def _take_slot(self, t_ns: int, script: Script) -> int:
        """When an answer that could start at `t_ns` does: once a slot is free, where there are not enough for all."""
        free_ns, n_slots = self._slots_free_ns, self._prescription.slots
        if not n_slots:
            return t_ns
        if len(free_ns) == n_slots:
            t_ns = max(t_ns, heapq.heappop(free_ns))
        heapq.heappush(free_ns, t_ns + script.offsets_ns[-1])
        return t_ns

    def _script(self, prescription: Prescription, said: Ask, request: ask.HttpRequest, k: int) -> Script:
        """From the cache where it can be: a burst of equal requests must not wait for a thousand events to be built."""
        if prescription.fault == "echo_authorization":
            return faults.script(prescription, said._replace(authorization=request.headers.get("authorization", "")))
        variant = 0 if prescription.jitter == "constant" else k % N_VARIANTS
        if 0 < prescription.slow_from <= self._n_generations:
            prescription = slowed(prescription)
        key = (prescription, said, variant)
        script = self._scripts.get(key)
        if script is None:
            if len(self._scripts) >= MAX_CACHED_SCRIPTS:
                self._scripts.clear()
            script = self._scripts[key] = faults.script(prescription, said, variant)
        return script

    def _begin(
        self,
        connection: Connection,
        script: Script,
        t_start_ns: int,
        keeps_alive: bool,
        row: int | None = None,
        first_send: int = 0,
    ) -> None:
        """Put the first send of a script among those due. Without a row its stamps are not kept."""
        connection.datas = script.datas
        connection.offsets_ns = script.offsets_ns
        connection.n_sends = len(script.datas)
        connection.i_send = 0
        connection.t_start_ns = t_start_ns
        connection.row = row
        connection.first_send = first_send
        connection.is_busy = True
        connection.ending = Ending.CLOSE if script.ending is Ending.KEEP and not keeps_alive else script.ending
        self._put_due(connection, t_start_ns + script.offsets_ns[0])

    def _put_due(self, connection: Connection, t_due_ns: int) -> None:
        """Its next send goes out at this instant."""
        heapq.heappush(self._due, t_due_ns << _NUMBER_BITS | connection.number)


class _TokenizeBody(msgspec.Struct):
    """Both common shapes: `content` as llama.cpp has it, `prompt` as vLLM does."""

    content: str = ""
    prompt: str = ""


def _tokenize(request: ask.HttpRequest) -> Script:
    """Token ids of a text, in a shape that both dialects of this endpoint can read."""
    try:
        body = msgspec.json.decode(request.body, type=_TokenizeBody)
    except msgspec.DecodeError as error:
        raise ask.BadRequest(400, f"request body: {error}") from error
    words = (body.content or body.prompt).split()
    tokens = [zlib.crc32(word.encode()) % 32_000 for word in words]
    return answer(
        200,
        msgspec.json.encode({"count": len(tokens), "max_model_len": events.CONTEXT_TOKENS, "tokens": tokens}),
    )


def _keep_time(cpu: int | None) -> None:
    """What a process can do for its own punctuality: a core, exact timers, no garbage collector. And open all files."""
    if sys.platform == "linux":
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        slack = Path("/proc/self/timerslack_ns")
        if os.access(slack, os.W_OK):
            slack.write_text("1")
    gc.collect()
    gc.freeze()
    gc.disable()


def _wake_on_signals() -> socket.socket:
    """A socket that becomes readable when the process is told to stop."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader


def serve(options: Options, make: Callable[[socket.socket], Server] | None = None) -> None:
    """Listen, say where on stdout, serve until stopped, write the log. `make`: the server, if it is not this one."""
    parent_pid = None if options.stay else os.getppid()
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.create_server((options.host, options.port), family=family, backlog=4096)
    listener.setblocking(False)
    wake = _wake_on_signals()
    server = make(listener) if make is not None else Server(listener, options.prescription)
    _keep_time(options.cpu)
    host = f"[{options.host}]" if family == socket.AF_INET6 else options.host
    print(f"listening on http://{host}:{listener.getsockname()[1]}", flush=True)
    try:
        server.run(wake.fileno(), parent_pid)
    finally:
        if options.log is not None:
            server.save_log(options.log)


def main() -> None:
    options = read_options(sys.argv[1:])
    if options.shows_ceiling:
        os.execv(sys.executable, [sys.executable, "-m", "inferometer.truth.ceiling"])
    try:
        serve(options)
    except OSError as error:
        sys.exit(f"truth server: {error}")


if __name__ == "__main__":
    main()
