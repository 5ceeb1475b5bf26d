# SPDX-License-Identifier: Apache-2.0
"""TLS, the client's half, over memory: ciphertext in, plaintext out, and back.

Rule 1: no socket. Whatever `start`, `send`, `receive` and `close` leave in `outgoing()` is the caller's to send.
Rule 2: every failure of TLS leaves as ssl.SSLError (a certificate that does not hold: its subclass
ssl.SSLCertVerificationError); the seam in drive/ makes it Outcome.TLS. After one, `outgoing()` may hold the alert that
tells the peer.
Rule 3: the end of the connection is HTTP's to judge. A peer that goes without a close_notify, as many do, is no error
here once the handshake is done; HTTP's framing knows whether something is missing.
"""

from __future__ import annotations

import contextlib
import ssl

from inferometer.wire.errors import LocalProtocolError

_RECORD_BYTES = 16_384  # the most that one TLS record carries (RFC 8446, 5.1)


def make_context(is_insecure: bool, ca_file: str | None = None) -> ssl.SSLContext:
    """What we demand of servers. `ca_file` (PEM) takes the place of the system's authorities.

    is_insecure: no certificate and no name is checked.
    Raises: OSError if `ca_file` cannot be read, ssl.SSLError if it holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class TlsClient:
    """One connection. `hostname`: a name or an address without brackets, as the certificate must carry it.

    is_handshake_done: `send` may be called.
    is_peer_done: the peer said close_notify: nothing was cut off.
    """

    __slots__ = ("_incoming", "_outgoing", "_tls", "is_handshake_done", "is_peer_done")

    def __init__(self, context: ssl.SSLContext, hostname: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self.is_handshake_done = False
        self.is_peer_done = False

    def start(self) -> bytes:
        """The first bytes to send."""
        self._shake_hands()
        return self.outgoing()

    def receive(self, cipher: bytes) -> bytes:
        """The plaintext that became readable with these bytes; b"" while there is none.

        Look at `outgoing()` afterwards: the handshake, and now and then a key update, want an answer.
        """
        self._incoming.write(cipher)
        if not self.is_handshake_done:
            self._shake_hands()
        return self._read() if self.is_handshake_done else b""

    def send(self, plain: bytes) -> bytes:
        """The bytes to send for `plain`, and whatever else was waiting to go out."""
        if not self.is_handshake_done:
            raise LocalProtocolError("send() before the handshake is done")
        if plain:
            self._tls.write(plain)  # takes all of it: memory is never full
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Bytes waiting to be sent; they are handed out once."""
        return self._outgoing.read()

    def eof(self) -> None:
        """The peer closed the connection.

        Raises: ssl.SSLError if that cut the handshake short.
        """
        self._incoming.write_eof()
        if not self.is_handshake_done:
            self._shake_hands()

    def close(self) -> bytes:
        """Our close_notify, to be sent before the connection is closed; b"" if there is nothing to end."""
        if self.is_handshake_done:
            with contextlib.suppress(ssl.SSLError):  # the peer has not said its own, or sent what nobody will read
                self._tls.unwrap()
        return self.outgoing()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_handshake_done = True

    def _read(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while not self.is_peer_done:
                piece = self._tls.read(_RECORD_BYTES)
                pieces.append(piece)
                self.is_peer_done = not piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_peer_done = True
        return b"".join(pieces)
