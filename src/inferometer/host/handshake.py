# SPDX-License-Identifier: Apache-2.0
"""How long a connection to a server takes to open, TLS included: opened alone, a few times, and closed again."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from inferometer.clock import Clock
from inferometer.units import NS_PER_S

TIMEOUT_S = 5.0


def handshakes_s(url: str, n: int, *, is_insecure: bool = False) -> list[float]:
    """Seconds of each; shorter where the server stopped accepting. The name is looked up once, before."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = _context(is_insecure=is_insecure) if parts.scheme == "https" else None
    clock, found = Clock(), []
    try:
        family, kind, _, _, address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0]
        for _ in range(n):
            with socket.socket(family, kind) as plain:
                plain.settimeout(TIMEOUT_S)
                t_start_ns = clock.now_ns()
                plain.connect(address)
                if context is not None:
                    context.wrap_socket(plain, server_hostname=parts.hostname).close()
                found.append((clock.now_ns() - t_start_ns) / NS_PER_S)
    except OSError:  # ssl.SSLError is one: what was measured until then stands, and a run will say why
        return found
    return found


def _context(*, is_insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
