# SPDX-License-Identifier: Apache-2.0
"""How long connections take to open, at a socket that accepts them and at one that does not."""

from __future__ import annotations

import socket

from inferometer.host.handshake import handshakes_s


def test_every_connection_is_timed():
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        found = handshakes_s(f"http://127.0.0.1:{server.getsockname()[1]}", 5)
    assert len(found) == 5
    assert all(0 < seconds < 5 for seconds in found)


def test_a_server_that_refuses_is_no_error():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert handshakes_s(f"http://127.0.0.1:{port}", 5) == []


def test_a_name_that_nobody_knows_is_no_error():
    assert handshakes_s("http://no-such-host.invalid", 3) == []


def test_tls_with_who_does_not_speak_it_is_no_error():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        peer, _ = server.accept()
        with peer:
            server.close()
            assert handshakes_s(f"https://127.0.0.1:{peer.getsockname()[1]}", 2) == []
