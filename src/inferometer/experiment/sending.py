# SPDX-License-Identifier: Apache-2.0
"""What goes out and where to: headers, whole requests as bytes, the address they are sent to."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from inferometer import __version__
from inferometer.config import Experiment
from inferometer.drive.connection import Target
from inferometer.engines.registry import dialects
from inferometer.errors import EngineError
from inferometer.host.ask import ServerFacts
from inferometer.host.control import port_of
from inferometer.plan.plan import Plan
from inferometer.secrecy import unwritten
from inferometer.wire.http1 import encode_request
from inferometer.wire.tls import make_context

CONNECT_TIMEOUT_S = 5.0


def headers_of(url: str, own: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of every request; the user's own take the place of ours."""
    ours = [
        ("host", urlsplit(url).netloc),
        ("user-agent", f"inferometer/{__version__}"),
        ("accept", "text/event-stream, application/json"),
        ("accept-encoding", "identity"),
        ("content-type", "application/json"),
    ]
    named = {name.lower() for name, _ in own}
    return [*[(name, value) for name, value in ours if name not in named], *own]


def payloads_of(plan: Plan, facts: ServerFacts, headers: Sequence[tuple[str, str]], nonce: str) -> list[bytes]:
    """Every request of the plan as the bytes that go out."""
    dialect, prefix = dialects()[facts.api], urlsplit(facts.url).path
    payloads = []
    for request in plan.requests:
        encoded = dialect.encode(request, facts.model, facts.extras)
        fields = [*headers, ("x-request-id", f"{request.id}-{nonce}")]
        payloads.append(encode_request("POST", prefix + encoded.path, fields, encoded.body))
    return payloads


def target_of(config: Experiment, url: str) -> Target:
    """Resolve the name once, and take the first address that accepts a connection.

    Raises: EngineError if none does.
    """
    parts = urlsplit(url)
    hostname = parts.hostname or ""
    port = port_of(url)
    reason = "no address"
    try:
        found = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: no such name can be
        raise EngineError(f"{hostname} cannot be resolved: {error}", "check the host name") from error
    for kind, _, _, _, address in found:
        try:
            with socket.socket(kind, socket.SOCK_STREAM) as attempt:
                attempt.settimeout(CONNECT_TIMEOUT_S)
                attempt.connect(address)
        except OSError as error:
            reason = error.strerror or str(error)
            continue
        tls = make_context(config.insecure) if parts.scheme == "https" else None
        return Target(kind, address, hostname, tls, unwritten(config.headers()))
    raise EngineError(f"no connection to {hostname}:{port}: {reason}", "is the server running?")
