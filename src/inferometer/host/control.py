# SPDX-License-Identifier: Apache-2.0
"""The control plane: short questions to a server, outside of any measurement.

Rule 1: whatever goes wrong on the way is one EngineError: what, where, and what to do about it.
Rule 2: no redirect is followed, no proxy and no credential is taken from the environment.
Rule 3: keys are masked in every reply before anybody sees it, for servers echo them.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx
import msgspec

from inferometer.clock import Clock
from inferometer.errors import EngineError, UsageError
from inferometer.secrecy import Scrubber, redact_url, scrub_text, unwritten
from inferometer.units import NS_PER_S, format_duration
from inferometer.wire.tls import make_context

MAX_REPLY_BYTES = 64 << 20
REACH_WITHIN_S = 3.5  # a name and a connection; with our own start, that nobody is there is said within 5 s
_PORTS = {"http": 80, "https": 443}
# Ends of URLs that people paste; what stands before is the address of the server.
_API_PATHS = ("/chat/completions", "/completions", "/models", "/v1")


def normalise_url(url: str) -> str:
    """`http://host:port[/prefix]`, without slash at the end and without `/v1`.

    Raises: UsageError if it is no address of a server.
    """
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{redact_url(url)!r} is not a URL: {error}", "write http://host:port") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        shown = redact_url(url.strip() if "://" in url else f"http://{url.strip()}")
        remedy = f"did you mean {shown} ?" if "://" not in url and parts.path else "write http://host:port"
        raise UsageError(f"{shown.removeprefix('http://')!r} is not an http or https URL", remedy)
    if parts.username is not None or parts.password is not None:
        raise UsageError("the URL holds a user name or password", "give credentials by --api-key-env or --header")
    if parts.query or parts.fragment:
        bare = urlunsplit(SplitResult(parts.scheme, parts.netloc, parts.path, "", ""))
        raise UsageError("the URL holds a query or fragment, which would not reach the server", f"write {bare}")
    path = parts.path.rstrip("/")
    for end in _API_PATHS:
        path = path.removesuffix(end).rstrip("/")
    return urlunsplit(SplitResult(parts.scheme, parts.netloc, path, "", ""))


def port_of(url: str) -> int:
    """The port a URL names, or that of its scheme."""
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme, _PORTS["http"])


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the control plane. `document`: its JSON, None where it is none."""

    status: int
    content_type: str
    location: str
    body: bytes
    document: Any


class Control:
    """Questions to one server, over connections of its own. Use as a context manager.

    `url`: normalised. `timeout_s`: of a question, from resolving the name to the last byte of the answer.
    """

    def __init__(
        self, url: str, *, headers: Sequence[tuple[str, str]] = (), is_insecure: bool = False, timeout_s: float = 5.0
    ) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self._parts = urlsplit(url)
        self._reach_s = min(timeout_s, REACH_WITHIN_S)
        self._place = f"{self._parts.hostname}:{self._parts.port or _PORTS[self._parts.scheme]}"
        self._secrets = unwritten(headers)
        self._clock = Clock()
        self._n_addresses = 0  # not resolved yet
        # Without TLS, and without redirects that could lead to it, this one is never used. It trusts nobody, and does
        # not read the system's certificates, which takes 30 ms.
        tls = make_context(is_insecure) if self._parts.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx.Client(headers=list(headers), verify=tls, trust_env=False, follow_redirects=False)

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str) -> Reply:
        """Raises: EngineError if no answer came."""
        return self._ask("GET", path, None, self.timeout_s)

    def post(self, path: str, body: bytes, timeout_s: float | None = None) -> Reply:
        """`body`: JSON. Raises: EngineError if no answer came."""
        return self._ask("POST", path, body, timeout_s or self.timeout_s)

    @contextmanager
    def begun(self, path: str, body: bytes, timeout_s: float) -> Iterator[int]:
        """The status of an answer of which the first bytes are there; at the end of the block we leave, and do not take
        the rest. Raises: EngineError if no answer came."""
        headers = {"content-type": "application/json"}
        limits = httpx.Timeout(timeout_s, connect=min(timeout_s, self._reach_s))
        try:
            with self._client.stream("POST", self.url + path, content=body, headers=headers, timeout=limits) as answer:
                pieces = answer.iter_raw()  # kept by its name: the answer is closed when nobody holds it any more
                next(pieces, b"")
                yield answer.status_code
        except httpx.TimeoutException as error:
            raise self._too_slow("POST", path, timeout_s) from error
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _ask(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Reply:
        try:
            return self._send(method, path, body, timeout_s)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A kept-alive connection that the server closed just then (llama.cpp does after 100 requests): once more.
            pass
        try:
            return self._send(method, path, body, timeout_s)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _send(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Reply:
        t_end_ns = self._clock.now_ns() + round(timeout_s * NS_PER_S)
        if not self._n_addresses:
            self._n_addresses = self._resolve(self._reach_s)
        limits = httpx.Timeout(timeout_s, connect=min(timeout_s, self._reach_s) / self._n_addresses)
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            with self._client.stream(method, self.url + path, content=body, headers=headers, timeout=limits) as answer:
                content = bytearray()
                for piece in answer.iter_bytes():
                    content += piece
                    if len(content) > MAX_REPLY_BYTES:
                        raise EngineError(f"{method} {path} at {self._place} answers without end")
                    if self._clock.now_ns() > t_end_ns:
                        raise self._too_slow(method, path, timeout_s)
        except httpx.ConnectTimeout as error:
            message = f"{self._place} cannot be reached: no answer to a connection within {self._reach_s:g} s"
            raise EngineError(message, "check the address, the network and the firewall") from error
        except httpx.TimeoutException as error:
            raise self._too_slow(method, path, timeout_s) from error
        except (httpx.ConnectError, httpx.DecodingError) as error:
            raise self._unreachable(error) from error
        scrubber = Scrubber(self._secrets)
        clean = scrubber.feed(bytes(content)) + scrubber.flush()
        location = scrub_text(answer.headers.get("location", ""), self._secrets)
        return Reply(answer.status_code, answer.headers.get("content-type", ""), location, clean, _json(clean))

    def _resolve(self, timeout_s: float) -> int:
        """How many addresses the name has. In a thread, for a resolver may take its time, and cannot be told not to."""
        found: list[int | OSError | UnicodeError] = []

        def look_up() -> None:
            try:
                port = self._parts.port or _PORTS[self._parts.scheme]
                found.append(len(socket.getaddrinfo(self._parts.hostname, port, type=socket.SOCK_STREAM)))
            except (OSError, UnicodeError) as error:
                found.append(error)

        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(timeout_s)
        if not found:
            raise EngineError(
                f"the name {self._parts.hostname} was not resolved within {timeout_s:g} s", "check the name and DNS"
            )
        if not isinstance(found[0], int):
            why = getattr(found[0], "strerror", None) or "no name can be written so"
            raise EngineError(
                f"the name {self._parts.hostname} is not known ({why})", "check the spelling, or DNS"
            ) from found[0]
        return found[0]

    def _too_slow(self, method: str, path: str, timeout_s: float) -> EngineError:
        remedy = "is it an OpenAI-compatible server, and not overloaded or still loading?"
        if self._parts.scheme == "http" and path == "/v1/models":
            remedy += " If it speaks TLS, write https://"
        return EngineError(
            f"{self._place} took the connection, but {method} {path} was not answered in {format_duration(timeout_s)}",
            remedy,
        )

    def _unreachable(self, error: httpx.TransportError | httpx.DecodingError) -> EngineError:
        cause = _root(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return EngineError(
                f"the certificate of {self._place} does not hold: {cause.verify_message}",
                "if you trust it all the same (self-signed), add --insecure",
            )
        if isinstance(cause, ssl.SSLError):
            reason = (cause.reason or str(cause)).replace("_", " ").lower()
            is_plain = cause.reason in ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
            remedy = f"it seems to speak plain HTTP: write http://{self._place}" if is_plain else "check its TLS setup"
            return EngineError(f"no TLS with {self._place} ({reason})", remedy)
        if isinstance(cause, ConnectionRefusedError):
            return EngineError(
                f"nothing listens at {self._place} (connection refused)", "start the server, or check host and port"
            )
        if isinstance(error, httpx.ConnectError):
            reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(error)
            return EngineError(f"{self._place} cannot be reached ({reason})", "check the address and the network")
        remedy = "is it an HTTP server?"
        if self._parts.scheme == "http":
            remedy += f" If it speaks TLS, write https://{self._place}"
        reason = scrub_text(" ".join(str(error).split()), self._secrets)[:200]
        return EngineError(f"{self._place} does not answer in HTTP ({reason or 'cut off'})", remedy)


def _root(error: BaseException) -> BaseException:
    """The operating system's or TLS's own error below the library's; else the lowest there is."""
    chain = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None and below not in chain:
        chain.append(below)
        if isinstance(below, OSError):  # ssl.SSLError is one
            break
    return chain[-1]


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
