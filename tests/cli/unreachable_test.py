# SPDX-License-Identifier: Apache-2.0
"""A server that is not there, or is not what it should be: one line with the reason, exit code 3, no folder."""

from __future__ import annotations

import json
import socket

import pytest

# Five seconds is the promise, on an idle machine; how busy this one is nobody knows. What hangs or tries again does not
# end within these.
WITHIN_S = 25.0


@pytest.fixture
def unreachable(shell, refused):
    """`unreachable(url, *words)`: measuring it fails as it should; returns what came."""

    def check(url, *words, flags=()):
        done = shell("run", url, *flags)
        refused(done, 3, *words)
        assert list(shell.folder.iterdir()) == []
        return done

    return check


def test_nobody_listens(unreachable):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        # A refusal is taken as one: no time-out was waited for, or that would be the reason.
        done = unreachable(url, "nothing listens at 127.0.0.1", "connection refused", "start the server")
        assert done.seconds < WITHIN_S


def test_a_name_that_is_not_known(unreachable):
    unreachable("http://no-such-host.invalid:8000", "no-such-host.invalid", "check")


@pytest.mark.slow
def test_a_server_that_takes_the_connection_and_is_silent(unreachable):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        unreachable(url, "took the connection", "/v1/models")


@pytest.mark.slow
def test_packets_that_go_nowhere(unreachable):
    # A listener whose queue is full drops further connections without a word, as a firewall does.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert unreachable(url, "cannot be reached", "firewall").seconds < WITHIN_S
        for sock in waiting:
            sock.close()


def test_a_server_that_redirects(unreachable, answering):
    url = answering(308, {"location": "https://elsewhere.example/v1/models?token=sk-abcdef"})
    done = unreachable(url, "redirects are not followed", "give the address itself: https://elsewhere.example")
    assert "sk-abcdef" not in done.stderr


def test_a_server_that_wants_a_key(unreachable, answering):
    url = answering(401, {}, json.dumps({"error": {"message": "no key given"}}).encode())
    unreachable(url, "wants a key", "401", "no key given", "--api-key-env")


def test_a_key_that_is_refused_is_not_shown_although_the_server_quotes_it(shell, refused, answering):
    key = "sk-live-0123456789"
    url = answering(401, {}, json.dumps({"error": {"message": f"bad key {key}"}}).encode())
    done = shell("run", url, "--api-key-env", "KEY", env={"KEY": key})
    refused(done, 3, "wants a key", "bad key", "check the key")
    assert key not in done.stderr


@pytest.mark.slow
def test_a_server_that_wants_a_key_only_for_requests(unreachable, truth):
    unreachable(truth(status=401).url, "HTTP 401", "--api-key-env")


@pytest.mark.slow
def test_a_page_that_is_no_api(unreachable, answering):
    url = answering(200, {"content-type": "text/html"}, b"<html>welcome</html>")
    unreachable(url, "not an OpenAI-compatible server", "text/html")


@pytest.mark.slow
def test_tls_where_there_is_none(unreachable, answering):
    unreachable(answering(200, {}).replace("http://", "https://"), "no TLS", "write http://")


@pytest.mark.slow
def test_a_model_that_is_not_there(shell, refused, truth):
    done = shell("run", truth(ttft_ms=20, gap_ms=2).url, "--model", "truht")
    refused(done, 2, "has no model 'truht'", "did you mean truth?")
