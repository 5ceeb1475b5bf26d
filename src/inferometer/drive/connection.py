# SPDX-License-Identifier: Apache-2.0
"""One connection: a non-blocking socket, TLS if asked for, and the exchange it carries.

Rule 1: a read is stamped before anything looks at its bytes.
Rule 2: nothing here raises for what a peer does. Every fate is told to the loop as an `Outcome`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import struct
import sys
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from inferometer.clock import monotonic_ns
from inferometer.drive.exchange import TAIL_BYTES, Exchange
from inferometer.drive.poller import READABLE, WRITABLE
from inferometer.kinds import Outcome
from inferometer.units import NS_PER_MS, NS_PER_S, NS_PER_US
from inferometer.wire.errors import RemoteProtocolError
from inferometer.wire.tls import TlsClient

if TYPE_CHECKING:
    from inferometer.drive.loop import Loop

READ_BYTES = 16_384  # the most one read takes; far above what arrives between two passes of a loop that keeps up
_SO_TIMESTAMPNS = 35  # Linux, asm-generic/socket.h; also the type of the control message
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0
# A kernel stamp may lie this far behind the read that follows it before it counts as wrong: both clocks are read
# within a bracket of up to 5 us (clock.MAX_BRACKET_NS) when the offset between them is taken.
STAMP_TOLERANCE_NS = 5 * NS_PER_US
NO_REST_NS = 250 * NS_PER_MS  # how long the loop looks at its sockets as often as it can, once it seems to matter
HAS_KERNEL_STAMPS = sys.platform == "linux"


class State(IntEnum):
    CONNECTING = 0
    HANDSHAKE = 1
    READY = 2
    CLOSED = 3


_CONNECTING, _OPEN = State.CONNECTING, (State.HANDSHAKE, State.READY)  # looking an enum's member up takes time


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. Resolved before the run, so that no name look-up stands in a latency."""

    family: socket.AddressFamily
    address: Any  # what connect(2) takes: (host, port), with IPv6 also flow and scope
    hostname: str
    tls: ssl.SSLContext | None = None
    secrets: tuple[bytes, ...] = field(default=(), repr=False)


class Connection:
    """`on_ready` is what the loop calls; `begin` puts an exchange on it."""

    __slots__ = (
        "_loop",
        "_out",
        "_tls",
        "_wants",
        "exchange",
        "fd",
        "n_served",
        "number",
        "sock",
        "state",
        "t_open_ns",
        "was_idle",
    )

    def __init__(self, loop: Loop, number: int, target: Target) -> None:
        """Raises: OSError when there is no socket to be had (out of file descriptors) or connecting fails at once."""
        self._loop = loop
        self.number = number
        self.exchange: Exchange | None = None
        self.n_served = 0
        self.was_idle = False  # it waited unused at least once, so the server may have closed it meanwhile
        self.state = State.CONNECTING
        self.t_open_ns = loop.clock.now_ns()
        self._tls = TlsClient(target.tls, target.hostname) if target.tls is not None else None
        self._out = memoryview(b"")
        self.sock = socket.socket(target.family, socket.SOCK_STREAM)
        self.fd = self.sock.fileno()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if HAS_KERNEL_STAMPS:
            self.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        code = self.sock.connect_ex(target.address)
        if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            self.sock.close()
            raise OSError(code, os.strerror(code))
        self._wants = WRITABLE
        loop.poller.register(self.fd, WRITABLE)

    @property
    def has_unsent(self) -> bool:
        """Bytes of an earlier request wait to be sent: the server answered before it had read all."""
        return bool(self._out)

    def begin(self, exchange: Exchange) -> None:
        """Send as soon as the connection can; at once if it is open."""
        self.exchange = exchange
        if self.state is State.READY:
            self._send_request()

    def on_ready(self, mask: int) -> None:
        if mask & WRITABLE or self.state is _CONNECTING:
            if self.state is _CONNECTING:
                self._on_connected()
            elif self._out:
                self._push()
        if mask & ~WRITABLE and self.state in _OPEN:
            self._on_readable()

    def close(self) -> None:
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._loop.poller.unregister(self.fd)
            self.sock.close()

    def _on_connected(self) -> None:
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._loop.on_lost(self, connect_outcome(code), os.strerror(code))
            return
        if self._tls is None:
            self._opened()
        else:
            self.state = State.HANDSHAKE
            self._out = memoryview(self._tls.start())
            self._push()

    def _opened(self) -> None:
        self.state = State.READY
        self._watch()
        if self.exchange is not None:
            self._send_request()
        else:
            self._loop.on_idle(self)

    def _send_request(self) -> None:
        exchange = self.exchange
        assert exchange is not None
        payload = exchange.payload if self._tls is None else self._tls.send(exchange.payload)
        exchange.t_sent_ns = exchange.t_last_ns = self._loop.clock.now_ns()
        try:
            n_sent = self.sock.send(payload)
        except BlockingIOError:
            n_sent = 0
        except OSError as error:
            self._note_sent(exchange)
            self._loop.on_lost(self, Outcome.RESET, _reason(error))
            return
        self._note_sent(exchange)
        if n_sent < len(payload):
            self._out = memoryview(payload)[n_sent:]
            self._watch()

    def _note_sent(self, exchange: Exchange) -> None:
        self._loop.recorder.sent(exchange.request_id, exchange.attempt, self.number, exchange.t_sent_ns)

    def _push(self) -> None:
        """Hand what is left to the socket."""
        try:
            self._out = self._out[self.sock.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._loop.on_lost(self, Outcome.RESET, _reason(error))
            return
        self._watch()

    def _watch(self) -> None:
        wants = READABLE | (WRITABLE if self._out else 0)
        if wants != self._wants:
            self._wants = wants
            self._loop.poller.modify(self.fd, wants)

    def _on_readable(self) -> None:
        loop = self._loop
        try:
            data, ancillary, _, _ = self.sock.recvmsg(READ_BYTES, _ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            loop.on_lost(self, Outcome.RESET, _reason(error))
            return
        t_read_ns = monotonic_ns() - loop.origin_ns
        if self._tls is not None and data:
            opened = self._decrypt(data)
            if opened is None:
                return
            data = opened
            if not data:
                return
        exchange = self.exchange
        if exchange is None:
            loop.on_lost(self, Outcome.RESET, "the server closed an idle connection" if not data else "unasked bytes")
            return
        if not data:
            self._on_eof(exchange)
            return
        t_recv_ns = t_read_ns
        if ancillary:
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            t_recv_ns = seconds * NS_PER_S + nanoseconds - loop.offset_ns
            loop.n_kernel_stamped += 1
            if t_recv_ns > t_read_ns or t_recv_ns < exchange.t_last_ns:
                t_recv_ns = loop.judge_stamp(t_recv_ns, t_read_ns, exchange)
        else:
            loop.t_rest_ns = t_read_ns + NO_REST_NS
        exchange.t_last_ns = t_recv_ns
        exchange.n_reads += 1
        exchange.tail = data[-TAIL_BYTES:]
        loop.on_read(exchange, t_recv_ns, t_read_ns, data)
        framing = exchange.framing
        try:
            if not framing.passes(data) and len(framing.feed(data)) > 1 < exchange.n_reads:
                loop.t_rest_ns = t_read_ns + NO_REST_NS  # these came merged: it may be that we looked too late
        except RemoteProtocolError as error:
            loop.on_lost(self, Outcome.PROTOCOL, str(error))
            return
        if framing.is_done:
            loop.on_answered(self, exchange)
        elif exchange.n_bytes > loop.max_answer_bytes:
            loop.on_flooded(self)

    def _decrypt(self, data: bytes) -> bytes | None:
        """Plaintext, b"" if no whole record has come, None if the connection was lost over it."""
        assert self._tls is not None
        try:
            plain = self._tls.receive(data)
            answer = self._tls.outgoing()
        except ssl.SSLError as error:
            with contextlib.suppress(OSError):  # tell the peer why we leave, if the socket takes it at once
                self.sock.send(self._tls.outgoing())
            self._loop.on_lost(self, Outcome.TLS, tls_reason(error))
            return None
        if answer:
            self._out = memoryview(bytes(self._out) + answer)
            self._push()
        if self.state is State.HANDSHAKE and self._tls.is_handshake_done:
            self._opened()
        return plain if self.state is not State.CLOSED else None

    def _on_eof(self, exchange: Exchange) -> None:
        if self.state is State.HANDSHAKE:
            self._loop.on_lost(self, Outcome.TLS, "the server closed the connection during the TLS handshake")
            return
        try:
            exchange.framing.eof()
        except RemoteProtocolError as error:
            is_begun = exchange.n_reads > 0
            self._loop.on_lost(self, Outcome.TRUNCATED if is_begun else Outcome.RESET, str(error))
            return
        if self._tls is not None and not self._tls.is_peer_done:  # a body that only the end of the connection ends
            self._loop.on_lost(self, Outcome.TRUNCATED, "the connection was cut: TLS was not closed as it should be")
            return
        self._loop.on_answered(self, exchange)


# We had nothing left to connect with: file descriptors, buffers, local ports.
_OUT_OF_SOMETHING = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)


def connect_outcome(code: int) -> Outcome:
    """The outcome for an error number of socket(2) or connect(2)."""
    if code == errno.ECONNREFUSED:
        return Outcome.REFUSED
    if code == errno.ETIMEDOUT:
        return Outcome.CONNECT_TIMEOUT
    if code in _OUT_OF_SOMETHING:
        return Outcome.NOT_SENT
    return Outcome.RESET


def tls_reason(error: ssl.SSLError) -> str:
    """One line of why TLS failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    return f"TLS: {error.reason or error}"


def _reason(error: OSError) -> str:
    return error.strerror or errno.errorcode.get(error.errno or 0, str(error))
