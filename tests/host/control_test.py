# SPDX-License-Identifier: Apache-2.0
"""The control plane: addresses, and one clear line for everything that can be wrong with them."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
import trustme

from inferometer.errors import EngineError, UsageError
from inferometer.host.control import Control, normalise_url, port_of

from .fake_server import Answer, serving

KEY = "sk-secret-0123456789"


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://host:8000", "http://host:8000"),
        ("http://host:8000/", "http://host:8000"),
        ("http://host:8000/v1", "http://host:8000"),
        ("http://host:8000/v1/", "http://host:8000"),
        ("https://host/v1/chat/completions", "https://host"),
        ("https://host/team/a/v1/models", "https://host/team/a"),
        ("https://host/team/a/", "https://host/team/a"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        (" http://host ", "http://host"),
    ],
)
def test_addresses_are_brought_to_one_form(url, normal):
    assert normalise_url(url) == normal


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("host:8000", "did you mean http://host:8000 ?"),
        ("localhost", "did you mean http://localhost ?"),
        ("ftp://host", "write http://host:port"),
        ("http://", "write http://host:port"),
        ("http://host:port", "write http://host:port"),
        ("http://me:pw@host", "--api-key-env"),
        ("http://host/v1?api-key=secret", "write http://host/v1"),
    ],
)
def test_what_is_no_address_is_refused_with_the_remedy(url, remedy):
    with pytest.raises(UsageError) as caught:
        normalise_url(url)
    assert remedy in caught.value.remedy
    assert "pw" not in str(caught.value)
    assert "secret" not in str(caught.value)


def error_of(url, *, timeout_s=2.0, path="/v1/models", **more):
    with Control(url, timeout_s=timeout_s, **more) as control, pytest.raises(EngineError) as caught:
        control.get(path)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return str(caught.value), caught.value.remedy


@pytest.fixture
def silent():
    """A port that listens; `talk` decides what the other side does with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def start(talk=None):
        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                if talk is not None:
                    talk(connection)

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    yield start
    listener.close()
    for connection in held:
        connection.close()


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_nobody_there():
    port = closed_port()
    message, remedy = error_of(f"http://127.0.0.1:{port}")
    assert message == f"nothing listens at 127.0.0.1:{port} (connection refused)"
    assert "start the server" in remedy


def test_a_name_that_does_not_exist():
    message, remedy = error_of("http://no-such-host.invalid:8000")
    assert message.startswith("the name no-such-host.invalid ")
    assert "DNS" in remedy


def test_a_server_that_does_not_answer_is_given_up_in_time(silent):
    message, _ = error_of(f"http://127.0.0.1:{silent()}", timeout_s=0.2)
    assert message.endswith("took the connection, but GET /v1/models was not answered in 200 ms")


def test_a_server_that_drips_is_given_up_in_time(silent):
    def drip(connection):
        def run():
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                while True:
                    connection.sendall(b"x")
                    threading.Event().wait(0.02)
            except OSError:
                pass

        threading.Thread(target=run, daemon=True).start()

    message, _ = error_of(f"http://127.0.0.1:{silent(drip)}", timeout_s=0.2)
    assert "was not answered in 200 ms" in message


def test_a_server_of_another_protocol(silent):
    def banner(connection):
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.close()

    message, remedy = error_of(f"http://127.0.0.1:{silent(banner)}")
    assert "does not answer in HTTP" in message
    assert "https://127.0.0.1" in remedy


def test_tls_asked_of_a_plain_server():
    with serving({}) as url:
        message, remedy = error_of(url.replace("http:", "https:"))
    assert message.startswith("no TLS with 127.0.0.1:")
    assert remedy == f"it seems to speak plain HTTP: write {url}"


def test_a_certificate_nobody_vouches_for(silent):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    def shake(connection):
        def run():
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1000)
                    tls.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            except OSError:
                pass

        threading.Thread(target=run, daemon=True).start()

    url = f"https://127.0.0.1:{silent(shake)}"
    message, remedy = error_of(url)
    assert "the certificate of 127.0.0.1" in message
    assert "--insecure" in remedy
    with Control(url, is_insecure=True) as control:
        assert control.get("/").document == {}


def test_headers_go_out_and_keys_do_not_come_back():
    def echo(body, headers):
        said = f"Incorrect API key provided: {headers['authorization'].split()[1]}"
        return Answer({"error": {"message": said}}, 401, {"location": f"/{KEY}"})

    with (
        serving({"GET /v1/models": echo}) as url,
        Control(url, headers=[("Authorization", f"Bearer {KEY}")]) as control,
    ):
        reply = control.get("/v1/models")
    assert reply.status == 401
    assert b"Incorrect API key provided: ***" in reply.body
    assert KEY not in repr(reply)


def test_redirects_are_not_followed():
    seen = []
    routes = {"GET /a": lambda body, headers: Answer(b"", 302, {"location": "/b"})}
    with serving(routes, seen) as url, Control(url) as control:
        reply = control.get("/a")
    assert (reply.status, reply.location, reply.document) == (302, "/b", None)
    assert [name for name, _ in seen] == ["GET /a"]


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    with serving({"GET /a": lambda body, headers: Answer([1])}) as url, Control(url) as control:
        assert control.get("/a").document == [1]


def test_a_connection_that_the_server_closed_in_between_is_opened_again(silent):
    """Keep-alive ends when the server likes; the next question must not fail for it."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

    def once(connection):
        def run():
            connection.recv(10_000)
            connection.sendall(answer)
            connection.recv(1)  # the next request arrives at a server that is about to hang up
            connection.close()

        threading.Thread(target=run, daemon=True).start()

    with Control(f"http://127.0.0.1:{silent(once)}") as control:
        assert [control.get("/").status for _ in range(4)] == [200] * 4


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://a", 80), ("https://a/v1", 443), ("https://a:8000", 8000), ("http://[::1]:81/x", 81)],
)
def test_a_url_without_a_port_means_that_of_its_scheme(url, port):
    assert port_of(url) == port
