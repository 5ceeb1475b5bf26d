# SPDX-License-Identifier: Apache-2.0
"""Servers behind TLS and on IPv6."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys

import pytest
import trustme

FLAGS = ("--requests", "6", "--concurrency", "2", "--output-tokens", "4", "--input-tokens", "8", "--out", "run")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def behind_tls(authority, truth, proxy):
    """A server whose certificate only those accept who know its authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return proxy(truth(ttft_ms=20, gap_ms=1).port, tls=context)


def test_a_certificate_nobody_vouches_for_is_refused_with_the_remedy(shell, behind_tls):
    done = shell("run", behind_tls.url, *FLAGS)
    assert (done.exit_code, done.stdout) == (3, "")
    assert "certificate" in done.stderr
    assert "add --insecure" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("is_insecure", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_server_behind_tls(shell, behind_tls, authority, rows, is_insecure):
    authority.cert_pem.write_to_path(str(shell.folder / "ca.pem"))
    flags = ("--insecure",) if is_insecure else ()
    env = {} if is_insecure else {"SSL_CERT_FILE": str(shell.folder / "ca.pem")}
    done = shell("run", behind_tls.url, *FLAGS, *flags, env=env)
    assert done.exit_code in (0, 4), done.stderr
    found = rows(shell.folder / "run")
    assert [row["outcome"] for row in found] == ["ok"] * 8, "warm-up included"
    assert all(row["t_sent_ns"] + 20_000_000 <= row["t_first_content_ns"] for row in found)
    assert len({row["conn"] for row in found}) == 2, "connections are reused"
    assert (f"curl -sSNk {behind_tls.url}" in shell("show", "run", "--slowest", "1").stdout) == is_insecure


def test_a_server_on_ipv6(shell, rows):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    argv = [sys.executable, "-m", "inferometer.truth.server", "--host", "::1", "--port", "0", "--ttft-ms", "20"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        url = server.stdout.readline().split()[-1]
        assert url.startswith("http://[::1]:")
        done = shell("run", url, *FLAGS)
        server.terminate()
    assert done.exit_code in (0, 4), done.stderr
    assert [row["outcome"] for row in rows(shell.folder / "run")] == ["ok"] * 8
