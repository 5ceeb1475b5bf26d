# SPDX-License-Identifier: Apache-2.0
"""TLS over memory: a real server side on the other end, no socket between."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme

from inferometer.wire.errors import LocalProtocolError
from inferometer.wire.tls import TlsClient, make_context


class Server:
    """The server's half, as a socket-less echo of what tests ask it to say."""

    def __init__(self, certificate: trustme.LeafCert, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        certificate.configure_cert(context)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.is_handshake_done = False

    def receive(self, cipher: bytes) -> bytes:
        """Plaintext that became readable."""
        self._incoming.write(cipher)
        try:
            if not self.is_handshake_done:
                self.tls.do_handshake()
                self.is_handshake_done = True
            return self.tls.read(1 << 20)
        except ssl.SSLWantReadError:
            return b""

    def say(self, plain: bytes) -> bytes:
        self.tls.write(plain)
        return self.outgoing()

    def outgoing(self) -> bytes:
        return self._outgoing.read()


def shake_hands(client: TlsClient, server: Server, n_read: int = 100_000) -> None:
    """Carry bytes to and fro, `n_read` at a time, until both are done."""
    to_server, to_client = client.start(), b""
    while to_server or to_client:
        for at in range(0, len(to_server), n_read):
            assert server.receive(to_server[at : at + n_read]) == b""
        to_server, to_client = b"", to_client + server.outgoing()
        for at in range(0, len(to_client), n_read):
            assert client.receive(to_client[at : at + n_read]) == b""
            to_server += client.outgoing()
        to_client = b""
    assert client.is_handshake_done
    assert server.is_handshake_done


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def certificate(authority) -> trustme.LeafCert:
    return authority.issue_cert("engine.test", "127.0.0.1", "::1")


@pytest.fixture
def pair(certificate, ca_file) -> tuple[TlsClient, Server]:
    client, server = TlsClient(make_context(False, ca_file), "engine.test"), Server(certificate)
    shake_hands(client, server)
    return client, server


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("n_read", [1, 100, 100_000])
@pytest.mark.parametrize("hostname", ["engine.test", "127.0.0.1", "::1"])
def test_request_and_answer_however_the_bytes_are_cut(certificate, ca_file, version, n_read, hostname):
    client, server = TlsClient(make_context(False, ca_file), hostname), Server(certificate, version)
    shake_hands(client, server, n_read)
    assert server.receive(client.send(b"GET / HTTP/1.1\r\n\r\n")) == b"GET / HTTP/1.1\r\n\r\n"
    cipher = server.say(b"HTTP/1.1 200 OK\r\n\r\n") + server.say(b"data: a\n\n")
    plain = b"".join(client.receive(cipher[at : at + n_read]) for at in range(0, len(cipher), n_read))
    assert plain == b"HTTP/1.1 200 OK\r\n\r\ndata: a\n\n"
    assert not client.is_peer_done


def test_http_1_1_is_agreed_on(pair):
    assert pair[1].tls.selected_alpn_protocol() == "http/1.1"


def test_more_than_one_record_at_once(pair):
    client, server = pair
    body = bytes(range(256)) * 4_096
    assert client.receive(server.say(body)) == body
    cipher = client.send(body)
    received = server.receive(cipher)
    while piece := server.receive(b""):
        received += piece
    assert received == body


def test_plaintext_that_comes_with_the_end_of_the_handshake_is_not_lost(certificate, ca_file):
    client, server = TlsClient(make_context(False, ca_file), "engine.test"), Server(certificate, ssl.TLSVersion.TLSv1_2)
    server.receive(client.start())
    client.receive(server.outgoing())
    server.receive(client.outgoing())
    assert server.is_handshake_done
    assert client.receive(server.outgoing() + server.say(b"hello")) == b"hello"


# -- whom we trust -----------------------------------------------------------------------------------------------------


def refuse(client: TlsClient, server: Server) -> ssl.SSLError:
    server.receive(client.start())
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        client.receive(server.outgoing())
    assert not client.is_handshake_done
    with pytest.raises(ssl.SSLError):  # the alert tells the server why
        server.receive(client.outgoing())
    with pytest.raises(LocalProtocolError):
        client.send(b"x")
    return caught.value


def test_self_signed_certificate_is_refused():
    certificate = trustme.CA().issue_cert("engine.test")
    error = refuse(TlsClient(make_context(False), "engine.test"), Server(certificate))
    assert "verify failed" in str(error)


def test_certificate_of_another_authority_is_refused(ca_file):
    certificate = trustme.CA().issue_cert("engine.test")
    refuse(TlsClient(make_context(False, ca_file), "engine.test"), Server(certificate))


@pytest.mark.parametrize("hostname", ["other.test", "127.0.0.2", "sub.engine.test"])
def test_certificate_of_another_host_is_refused(certificate, ca_file, hostname):
    error = refuse(TlsClient(make_context(False, ca_file), hostname), Server(certificate))
    assert "not valid for" in str(error) or "mismatch" in str(error)


def test_expired_certificate_is_refused(authority, ca_file):
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    certificate = authority.issue_cert("engine.test", not_before=long_ago, not_after=long_ago.replace(year=2002))
    error = refuse(TlsClient(make_context(False, ca_file), "engine.test"), Server(certificate))
    assert "expired" in str(error)


@pytest.mark.parametrize("hostname", ["engine.test", "other.test"])
def test_insecure_takes_any_certificate(hostname):
    client, server = TlsClient(make_context(True), hostname), Server(trustme.CA().issue_cert("engine.test"))
    shake_hands(client, server)
    assert client.receive(server.say(b"hello")) == b"hello"


def test_authorities_that_cannot_be_read(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        make_context(False, str(tmp_path / "missing.pem"))
    empty = tmp_path / "empty.pem"
    empty.write_text("not a certificate")
    with pytest.raises(ssl.SSLError):
        make_context(False, str(empty))


def test_a_server_without_tls_is_an_ssl_error(ca_file):
    client = TlsClient(make_context(False, ca_file), "engine.test")
    client.start()
    with pytest.raises(ssl.SSLError):
        client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_bytes_changed_on_the_way_are_an_ssl_error(pair):
    client, server = pair
    cipher = bytearray(server.say(b"hello"))
    cipher[-1] ^= 1
    with pytest.raises(ssl.SSLError):
        client.receive(bytes(cipher))


# -- the end -----------------------------------------------------------------------------------------------------------


def test_close_notify_of_the_server_is_noticed(pair):
    client, server = pair
    cipher = server.say(b"bye")
    with pytest.raises(ssl.SSLWantReadError):
        server.tls.unwrap()
    assert client.receive(cipher + server.outgoing()) == b"bye"
    assert client.is_peer_done
    assert client.receive(b"") == b""
    client.eof()


def test_our_close_notify_reaches_the_server(pair):
    client, server = pair
    server.receive(client.close())
    assert server.tls.read(1) == b""  # a clean end, where a cut would raise


def test_closing_both_ways(pair):
    client, server = pair
    with pytest.raises(ssl.SSLWantReadError):
        server.tls.unwrap()
    assert client.receive(server.outgoing()) == b""
    server._incoming.write(client.close())
    server.tls.unwrap()


def test_close_notify_after_our_own_is_noticed_too(pair):
    client, server = pair
    client.close()
    with pytest.raises(ssl.SSLWantReadError):
        server.tls.unwrap()
    assert client.receive(server.outgoing()) == b""
    assert client.is_peer_done


def test_going_without_close_notify_is_left_to_http(pair):
    client, server = pair
    assert client.receive(server.say(b"hello")) == b"hello"
    client.eof()
    assert not client.is_peer_done


@pytest.mark.parametrize("n_bytes", [0, 1, 200])
def test_end_within_the_handshake_is_an_ssl_error(certificate, ca_file, n_bytes):
    client, server = TlsClient(make_context(False, ca_file), "engine.test"), Server(certificate)
    server.receive(client.start())
    client.receive(server.outgoing()[:n_bytes])
    with pytest.raises(ssl.SSLError):
        client.eof()
    assert not client.is_handshake_done


def test_before_the_handshake_nothing_can_be_sent_or_ended(ca_file):
    client = TlsClient(make_context(False, ca_file), "engine.test")
    with pytest.raises(LocalProtocolError):
        client.send(b"x")
    assert client.close() == b""


def test_sending_nothing_sends_nothing(pair):
    assert pair[0].send(b"") == b""
