# SPDX-License-Identifier: Apache-2.0
"""Keys and authorization headers never reach disk or screen, whoever says them and however they are cut."""

from __future__ import annotations

import base64
import html
import json
import socket
import ssl
import sys
import threading
from contextlib import ExitStack, suppress
from urllib.parse import quote

import duckdb
import pytest
import trustme
from tests.patience import until_larger

from inferometer.clock import sleep_s

KEY = "sk-live/0123456789+abcdef"
OTHER = "team-secret-987654"
FLAGS = ("--requests", "4", "--output-tokens", "4", "--input-tokens", "8", "--out", "run")
KEYS = ("--api-key-env", "ENGINE_KEY", "--header", f"X-Api-Key: {OTHER}")


def leaks(folder, *texts, secrets=(KEY, OTHER)):
    """Where a secret, or half of one, can be read: in any file below the folder (what is compressed, decompressed), in
    a file's name, or in a text (by number); as it is, escaped, percent-encoded or in base64."""
    where = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in folder.rglob("*.parquet*"):
        with duckdb.connect() as con:
            where[f"{path.name} as rows"] = repr(con.execute(f"SELECT * FROM '{path}'").fetchall()).encode()
    where |= {str(i): text.encode() for i, text in enumerate(texts)} | {"names": " ".join(where).encode()}
    pieces = {piece for secret in secrets for word in spellings(secret) for piece in halves(word)}
    return sorted(f"{name}: {piece!r}" for name, data in where.items() for piece in pieces if piece in data)


def spellings(secret):
    """How programs write a secret down."""
    plain = secret.encode()
    quoted = {json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode(), html.escape(secret).encode()}
    return {plain, plain.replace(b"/", b"\\/"), base64.b64encode(plain), *quoted}


def halves(word):
    return {word, word[: len(word) // 2], word[len(word) // 2 :]}


def test_keys_reach_the_server_and_nothing_else(shell, truth, proxy):
    between = proxy(truth(ttft_ms=20, gap_ms=1).port)
    done = shell("run", between.url, *FLAGS, *KEYS, env={"ENGINE_KEY": f"{KEY}\n"})
    assert done.exit_code in (0, 4), done.stderr
    heads = [part for said in between.said for part in said.split(b"\r\n\r\n") if b"HTTP/1.1" in part]
    assert len(heads) > 8
    for head in heads:
        assert f"authorization: bearer {KEY}\r\n".encode().lower() in head.lower() + b"\r\n"
        assert f"x-api-key: {OTHER}".encode() in head.lower()
    shown = shell("show", "run", "--slowest", "4", "--all-reads")
    assert "$ENGINE_KEY" in shown.stdout, "the curl line takes the key from where it came"
    made = [shell("report", "run", "--format", format).stdout for format in ("html", "csv")]
    assert "X-Api-Key: (not kept)" in made[0], "provenance tells that there was a header"
    assert leaks(shell.folder / "run", done.stdout, done.stderr, shown.stdout, shown.stderr, *made) == []


SLOW = [pytest.param(framing, marks=pytest.mark.slow) for framing in ("close", "length")]


@pytest.mark.parametrize("framing", ["chunked", *SLOW])
def test_a_server_that_quotes_the_key_in_two_sends(shell, truth, proxy, everything, framing):
    sick = truth(fault="echo_authorization", ttft_ms=20, gap_ms=30, framing=framing)
    between = proxy(truth(ttft_ms=20, gap_ms=1).port, sick.port)
    done = shell("run", between.url, *FLAGS, *KEYS, env={"ENGINE_KEY": KEY})
    assert done.exit_code in (3, 4), done.stderr
    shown = shell("show", "run", "--slowest", "4", "--all-reads")
    assert "error     HTTP 401: invalid credentials: ******" in shown.stdout, "the words came, masked"
    assert leaks(shell.folder / "run", done.stdout, done.stderr, shown.stdout, shown.stderr) == []
    assert KEY.encode() not in everything(shell.folder / "run")


def test_a_server_that_quotes_the_key_when_it_is_asked_who_it_is(shell, truth):
    url = truth(fault="echo_authorization", ttft_ms=20, gap_ms=30).url
    done = shell("run", url, *FLAGS, *KEYS, env={"ENGINE_KEY": KEY})
    assert done.exit_code == 3
    assert "invalid credentials" in done.stderr
    assert leaks(shell.folder, done.stdout, done.stderr) == []


def test_a_command_that_prints_the_key_it_was_given(shell):
    server = f"{sys.executable} -m inferometer.truth.server --port {{port}} --ttft-ms 20 --gap-ms 1"
    script = f'echo "key $ENGINE_KEY, argument $0"; exec {server}'
    command = ("sh", "-c", script, "--api-key", KEY)
    done = shell("run", *FLAGS, *KEYS, "--", *command, env={"ENGINE_KEY": KEY})
    assert done.exit_code in (0, 4), done.stderr
    assert (shell.folder / "run" / "engine.log").read_text().startswith("key ****")
    assert leaks(shell.folder / "run", done.stdout, done.stderr) == []


@pytest.mark.slow
def test_a_command_that_dies_with_the_key_on_its_lips(shell):
    script = 'echo "bad key $ENGINE_KEY" >&2; exit 1'
    done = shell("run", *FLAGS, *KEYS, "--", "sh", "-c", script, "{port}", env={"ENGINE_KEY": KEY})
    assert done.exit_code == 3
    assert "bad key" in done.stderr
    assert leaks(shell.folder / "run", done.stdout, done.stderr) == []


# -- every way in, every way a server can say it again -----------------------------------------------------------------

USER = "hunter-of-secrets"
BASIC = base64.b64encode(f"me:{USER}".encode()).decode()
TEAM = "blue-team-of-nine"  # in a header that is not named like a key; no value of a header is kept
ALL = (KEY, OTHER, USER, BASIC, TEAM)
HEADERS = ("--header", f"Proxy-Authorization: Basic {BASIC}", "--header", f"X-Team: {TEAM}")


def chunked(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def told():
    """All secrets in one sentence, in every spelling."""
    return b" and ".join(sorted({word for secret in ALL for word in spellings(secret)} - BASE64_OF_KEYS))


BASE64_OF_KEYS = {base64.b64encode(secret.encode()) for secret in ALL}  # which nobody makes of a bearer key


def error_body():
    body = json.dumps({"error": {"message": "bad key: " + " ".join(ALL)}}).encode()
    return b"HTTP/1.1 401 No\r\nX-Echo: " + KEY.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def html_body():
    body = b"<html><title>502 " + told() + b"</title></html>"
    return b"HTTP/1.1 502 No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def stream():
    event = json.dumps({"choices": [{"delta": {"content": "you sent " + " ".join(ALL)}, "finish_reason": "stop"}]})
    body = [f"data: {event}\n\n".encode(), b": " + told() + b"\n\n", b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\nX-Echo: " + told() + b"\r\nContent-Type: text/event-stream\r\n"
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*body)


def no_json():
    return stream().replace(b'{"choices"', b"{choices")


def reason():
    return b"HTTP/1.1 403 " + KEY.encode() + b"\r\nContent-Length: 0\r\n\r\n"


def no_http():
    return told() + b"\r\n\r\n"


@pytest.fixture
def parrot(proxy, truth):
    """`parrot(answer, n_read, tls)`: URL of a server that is well when asked, and says `answer` when measured, in sends
    of `n_read` bytes."""
    with ExitStack() as stack:

        def start(answer, n_read, tls=None):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=repeat, args=(listener, answer, n_read), daemon=True).start()
            return proxy(truth(ttft_ms=20, gap_ms=1).port, listener.getsockname()[1], tls).url

        yield start


def repeat(listener, answer, n_read):
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=say, args=(client, answer, n_read), daemon=True).start()


def say(client, answer, n_read):
    with suppress(OSError), client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.recv(1 << 20)
        for at in range(0, len(answer), n_read):
            client.sendall(answer[at : at + n_read])
            sleep_s(0.0005)


ANSWERS = [error_body, stream]
SLOW_ANSWERS = [pytest.param(answer, marks=pytest.mark.slow) for answer in (html_body, no_json, reason, no_http)]


@pytest.mark.parametrize("answer", [*ANSWERS, *SLOW_ANSWERS], ids=lambda answer: answer.__name__)
def test_whatever_a_server_repeats_is_masked_everywhere(shell, parrot, answer):
    url = parrot(answer(), 7)
    done = shell("run", url, *FLAGS, *KEYS, *HEADERS, "--format", "json", env={"ENGINE_KEY": KEY})
    assert done.exit_code in (0, 3, 4), done.stderr
    texts = [done.stdout, done.stderr]
    for verb in (("report", "run"), ("report", "run", "--format", "markdown"), ("show", "run", "--all-reads")):
        shown = shell(*verb)
        assert "Traceback" not in shown.stderr
        texts += [shown.stdout, shown.stderr]
    assert leaks(shell.folder, *texts, secrets=ALL) == []
    recorded = (shell.folder / "run" / "recorder.bin").read_bytes()
    # What is not HTTP is left after its first bytes, before a key could have come.
    assert b"**********" in recorded or answer is no_http, "it came, masked"


@pytest.mark.slow
def test_over_tls_too(shell, parrot):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    url = parrot(error_body(), 5, context)
    done = shell("run", url, "--insecure", *FLAGS, *KEYS, *HEADERS, env={"ENGINE_KEY": KEY})
    shown = shell("show", "run", "--all-reads")
    assert "-sSNk" in shown.stdout
    assert leaks(shell.folder, done.stdout, done.stderr, shown.stdout, secrets=ALL) == []


@pytest.mark.slow
def test_a_killed_run_holds_no_half_of_a_key(shell, parrot):
    process = shell.start("run", parrot(stream(), 3), "--concurrency", "4", "--for", "60s", "--out", "run", *KEYS,
                          *HEADERS, env={"ENGINE_KEY": KEY})  # fmt: skip
    until_larger(shell.folder / "run" / "recorder.bin", 50_000)
    process.kill()
    stdout, stderr = process.communicate()
    done = shell("report", "run")
    assert leaks(shell.folder, stdout, stderr, done.stdout, done.stderr, secrets=ALL) == []


@pytest.mark.parametrize(
    "args",
    [
        ("run", f"http://me:{USER}@127.0.0.1:9"),
        ("run", f"me:{USER}@127.0.0.1:9"),
        ("run", f"https//me:{USER}@host"),
        ("run", f"http://127.0.0.1:9/v1?api_key={OTHER}"),
        ("run", f"ftp://host?api_key={OTHER}"),
        ("run", "http://127.0.0.1:9", "--api-key-env", OTHER),
        ("run", "http://127.0.0.1:9", "--header", f"Authorization Bearer {OTHER}"),
        ("run", "http://127.0.0.1:9", *KEYS, *HEADERS),
        ("run", "--dry-run", *KEYS, *HEADERS, "http://127.0.0.1:9"),
        ("run", "--dry-run", *KEYS, "--", "serve", "--port", "9", "--api-key", OTHER, f"--hf-token={OTHER}"),
    ],
    ids=lambda args: " ".join(args[1:3])[:40].replace(USER, "*").replace(OTHER, "*"),
)
def test_refusals_and_dry_runs_repeat_no_key(shell, args):
    done = shell(*args, env={"ENGINE_KEY": KEY})
    assert "Traceback" not in done.stderr
    assert leaks(shell.folder, done.stdout, done.stderr, secrets=ALL) == []
