# SPDX-License-Identifier: Apache-2.0
"""Secrets: masked wherever they are cut, in every spelling, with lengths kept; and nothing else touched."""

from __future__ import annotations

import json
import re
from itertools import combinations
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.secrecy import (
    MIN_SECRET_BYTES,
    Scrubber,
    is_secret_header,
    redact_argv,
    redact_url,
    scrub_text,
    secrets_of,
    unwritten,
)
from inferometer.wire.http1 import Framing

KEY = b"sk-Abc+12/3=x"  # has characters that JSON and URLs escape
ANSWER = b'{"error":{"message":"Incorrect API key provided: %s. You can find your key ...","code":401}}'


def scrub(reads: list[bytes], *secrets: bytes) -> bytes:
    """All that comes out of a scrubber; the total is checked to be as long as what went in, at any time no longer."""
    scrubber = Scrubber(secrets or [KEY])
    shown = b""
    n_fed = 0
    for data in reads:
        n_fed += len(data)
        shown += scrubber.feed(data)
        assert len(shown) <= n_fed
    shown += scrubber.flush()
    assert len(shown) == n_fed
    return shown


def stars(data: bytes) -> bytes:
    return b"*" * len(data)


# -- one secret, wherever it is cut ------------------------------------------------------------------------------------

SPELLINGS = {
    "as it is": KEY,
    "JSON": json.dumps(KEY.decode())[1:-1].encode(),
    "JSON with escaped slashes": b"sk-Abc+12\\/3=x",
    "JSON as .NET writes it": b"sk-Abc\\u002B12/3=x",
    "percent": quote(KEY, safe="").encode(),
    "percent in lower case": b"sk-Abc%2b12%2f3%3dx",
    "percent but for slashes": quote(KEY).encode(),
    "form": quote_plus(KEY).encode(),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("n_reads", [1, 2, 3])
def test_secret_cut_at_every_place_is_masked(name, n_reads):
    spelling = SPELLINGS[name]
    text = b"key: " + spelling + b"!"
    expected = b"key: " + stars(spelling) + b"!"
    for places in combinations(range(len(text) + 1), n_reads - 1):
        reads = [text[start:stop] for start, stop in zip([0, *places], [*places, len(text)], strict=True)]
        assert scrub(reads) == expected


def test_secret_in_reads_of_any_size_is_masked():
    text = ANSWER % KEY
    for n_read in range(1, len(text) + 1):
        assert scrub([text[at : at + n_read] for at in range(0, len(text), n_read)]) == ANSWER % stars(KEY)


@pytest.mark.parametrize("gap", [b"\r\n1a\r\n", b"\r\nE3;x=y\r\n", b"\r\n0000001a \t\r\n"])
def test_secret_cut_by_chunk_framing_is_masked_and_the_framing_is_not(gap):
    for i in range(1, len(KEY)):
        text = b"key: " + KEY[:i] + gap + KEY[i:] + b"!"
        expected = b"key: " + stars(KEY[:i]) + gap + stars(KEY[i:]) + b"!"
        for place in range(len(text) + 1):
            assert scrub([text[:place], text[place:]]) == expected


def test_secret_in_chunks_of_one_byte_is_masked_under_any_cut():
    text = b"".join(b"1\r\n%c\r\n" % byte for byte in b"a" + KEY + b"b")
    expected = b"".join(b"1\r\n%c\r\n" % byte for byte in b"a" + stars(KEY) + b"b")
    for n_read in range(1, len(text) + 1):
        assert scrub([text[at : at + n_read] for at in range(0, len(text), n_read)]) == expected


def test_scrubbed_answer_has_the_same_framing():
    body = ANSWER % KEY
    cut = body.index(KEY) + 4
    head = b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:cut], body[cut:]))
    data = scrub([head, chunks[: cut + 7], chunks[cut + 7 :] + b"0\r\n\r\n"])
    framing = Framing()
    spans = framing.feed(data)
    assert framing.is_done
    assert b"".join(data[start:stop] for start, stop in spans) == ANSWER % stars(KEY)


def test_secret_is_masked_every_time():
    text = b"a" + KEY * 3 + b"b" + KEY + KEY[:5] + KEY
    for place in range(len(text)):
        masked = scrub([text[:place], text[place:]])
        assert masked == b"a" + stars(KEY * 3) + b"b" + stars(KEY) + KEY[:5] + stars(KEY)


def test_several_secrets_even_overlapping_ones_are_masked():
    secrets = [b"abcdefgh", b"efghijkl", b"aabcdef"]
    for text, expected in [
        (b"-abcdefghijkl-", b"-************-"),
        (b"-aabcdefgh-", b"-*********-"),
        (b"-abcdefg-efghijkl", b"-abcdefg-********"),
        (b"-aabcdeefghijkl", b"-aabcde********"),
    ]:
        for i, j in combinations(range(len(text) + 1), 2):
            assert scrub([text[:i], text[i:j], text[j:]], *secrets) == expected


def test_secrets_that_are_no_ascii_are_masked():
    for secret, written in [
        ("schlüssel".encode(), "schlüssel".encode()),
        ("schlüssel".encode(), b"schl\\u00fcssel"),
        ("schlüssel".encode(), b"schl%C3%BCssel"),
        ("schlüssel".encode("latin-1"), "schlüssel".encode("latin-1")),
        (b'with"quote', b'with\\"quote'),
        (b"with<tag>&x", b"with\\u003ctag\\u003e\\u0026x"),
        (b"with blank", b"with+blank"),
        (b"with-line-end\r\n", b"with-line-end"),
    ]:
        assert scrub([b"<" + written + b">"], secret) == b"<" + stars(written) + b">"


# -- what is held back, and what is left alone -------------------------------------------------------------------------


def test_only_a_tail_that_may_become_a_secret_is_held_back():
    scrubber = Scrubber([KEY])
    assert scrubber.feed(b"nothing here\n\n") == b"nothing here\n\n"
    assert scrubber.feed(b"task sk-") == b"task "
    assert scrubber.feed(b"Abc+") == b""
    assert scrubber.feed(b"99\n") == b"sk-Abc+99\n"
    assert scrubber.feed(b"s\r\n1") == b""
    assert scrubber.feed(b"g") == b"s\r\n1g"
    assert scrubber.feed(b"the end: sk-A") == b"the end: "
    assert scrubber.flush() == b"sk-A"
    assert scrubber.flush() == b""


def test_an_answer_that_breaks_off_in_mid_secret_shows_no_more_than_a_few_bytes_of_it():
    for n_bytes in range(1, len(KEY)):
        shown = scrub([b"key: ", KEY[:n_bytes]])
        assert shown == b"key: " + (stars(KEY[:n_bytes]) if n_bytes >= MIN_SECRET_BYTES else KEY[:n_bytes])
    assert scrub([KEY[:4] + b"\r\n1a\r\n" + KEY[4:8] + b"\r\n"]) == b"****\r\n1a\r\n****\r\n"


def test_a_held_tail_is_released_by_the_first_byte_that_does_not_fit():
    for i in range(1, len(KEY)):
        scrubber = Scrubber([KEY])
        assert scrubber.feed(KEY[:i]) == b""
        assert scrubber.feed(b"\x00") == KEY[:i] + b"\x00"


@pytest.mark.parametrize(
    "gap", [b"\r\n\r\n", b"\r1a\r\n", b"\n1a\r\n", b"\r\n1g\r\n", b"\r\n1a\n", b"\r\n1a\r\n\r\n", b" "]
)
def test_what_is_no_chunk_framing_does_not_join_a_secret(gap):
    text = KEY[:4] + gap + KEY[4:]
    for place in range(len(text) + 1):
        assert scrub([text[:place], text[place:]]) == text


def test_the_end_of_a_chunked_answer_is_not_held_back():
    scrubber = Scrubber([KEY])
    data = b"1\r\ns\r\n0\r\n\r\n"
    assert scrubber.feed(data) == data


def test_what_is_held_back_is_bounded():
    scrubber = Scrubber([KEY])
    scrubber.feed(b"s\r\n1;")
    n_held = 5
    for _ in range(100):
        n_held += 100 - len(scrubber.feed(b"x" * 100))
    assert n_held == 0


def test_placeholders_are_no_secrets_and_without_secrets_nothing_is_done():
    for secrets in ([], [b""], [b"EMPTY"], [b"x" * (MIN_SECRET_BYTES - 1)]):
        scrubber = Scrubber(secrets)
        data = b"EMPTY xxxxxxx "
        assert scrubber.feed(data) is data
        assert scrubber.flush() == b""


def test_a_read_without_a_trace_of_the_secret_is_passed_on_as_it_is():
    data = b'e3\r\ndata: {"task":"sk"}\n\n\r\n'
    assert Scrubber([KEY]).feed(data) is data


PIECES = st.one_of(
    st.sampled_from([KEY, KEY[:3], KEY[:8], KEY[8:], KEY[:1], b"\r\n1a\r\n", b"\r\n", b"\r", SPELLINGS["percent"]]),
    st.binary(max_size=4),
)


GAP_BEGINNING = re.compile(rb"(\r(\n([0-9A-Fa-f]{1,16}\r?)?)?)?")


def spans_of_secrets(text: bytes) -> list[bool]:
    """Which bytes of `text` belong to a secret, found the slow way: every spelling at every place, gaps skipped;
    and those that the end of the text cuts off, if they are long enough."""
    is_secret = [False] * len(text)
    gap = b"\r\n1a\r\n"
    for at in range(len(text)):
        for spelling in set(SPELLINGS.values()):
            i, where = at, []
            for byte in spelling:
                if where and text[i : i + len(gap)] == gap:
                    i += len(gap)
                if text[i : i + 1] != bytes([byte]):
                    is_cut = GAP_BEGINNING.fullmatch(text, i) is not None
                    for i in where if is_cut and len(where) >= MIN_SECRET_BYTES else ():
                        is_secret[i] = True
                    break
                where.append(i)
                i += 1
            else:
                for i in where:
                    is_secret[i] = True
    return is_secret


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(0, 120), max_size=5))
def test_what_comes_out_is_what_went_in_with_masks(text, places):
    places = sorted(min(place, len(text)) for place in places)
    reads = [text[start:stop] for start, stop in zip([0, *places], [*places, len(text)], strict=True)]
    masked = bytes(42 if is_secret else byte for byte, is_secret in zip(text, spans_of_secrets(text), strict=True))
    assert scrub(reads) == masked
    assert KEY not in scrub(reads)


# -- text, headers, URLs, command lines --------------------------------------------------------------------------------


def test_text_is_scrubbed():
    key = KEY.decode()
    assert scrub_text(f"wrong key {key}: 漢", [KEY]) == f"wrong key {'*' * len(key)}: 漢"
    assert scrub_text("nothing \ud800", [KEY]) == "nothing ���"
    assert scrub_text("nothing", []) == "nothing"


@pytest.mark.parametrize(
    "name",
    ["Authorization", "proxy-authorization", "X-Api-Key", "api_key", "apikey", "X-Auth-Token", "Cookie", "HF_TOKEN"],
)
def test_names_that_carry_secrets(name):
    assert is_secret_header(name)


@pytest.mark.parametrize("name", ["Content-Type", "X-Request-Id", "X-Max-Tokens", "api-key-env", "Keep-Alive", "Host"])
def test_names_that_do_not(name):
    assert not is_secret_header(name)


def test_secrets_of_headers_are_the_value_and_its_last_word():
    headers = [("Authorization", "Bearer sk-123456"), ("accept", "text/plain"), ("x-api-key", "k"), ("cookie", "")]
    assert secrets_of(headers) == (b"Bearer sk-123456", b"k", b"sk-123456")
    assert secrets_of([]) == ()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:8000/v1", "http://host:8000/v1"),
        ("http://me:pass@host:8000/v1?x=1", "http://***@host:8000/v1?x=1"),
        ("https://me@host", "https://***@host"),
        ("https://a@b:c@host/p@th", "https://***@host/p@th"),
        ("https://host/p?api_key=abc&x=1#f", "https://host/p?api_key=***&x=1#f"),
        ("https://host/p?x=1&access%5Ftoken=abc", "https://host/p?x=1&access%5Ftoken=***"),
        ("https://host/p?x=1;sig=", "https://host/p?x=1;sig=***"),
        ("http://[::1]:8000/?q=a@b", "http://[::1]:8000/?q=a@b"),
    ],
)
def test_urls_are_redacted(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["vllm", "serve", "m", "--port", "8000"], ["vllm", "serve", "m", "--port", "8000"]),
        (["x", "--api-key", "abc", "--port", "1"], ["x", "--api-key", "***", "--port", "1"]),
        (["x", "--api-key", "-abc"], ["x", "--api-key", "***"]),
        (["x", "--api-key", "--port", "1"], ["x", "--api-key", "--port", "1"]),
        (["x", "--hf-token=abc", "--max-tokens=5"], ["x", "--hf-token=***", "--max-tokens=5"]),
        (["x", "--password=a b"], ["x", "--password=***"]),
        (["env", "HF_TOKEN=abc", "A=b", "x"], ["env", "HF_TOKEN=***", "A=b", "x"]),
        (["x", "--header", "Authorization: Bearer abc"], ["x", "--header", "Authorization: ***"]),
        (
            ["x", "-H", "X-Api-Key:abc", "-H", "Accept: text/plain"],
            ["x", "-H", "X-Api-Key:***", "-H", "Accept: text/plain"],
        ),
        (["x", "--api-key-env", "NAME"], ["x", "--api-key-env", "NAME"]),
        (["x", "http://u:p@h/?key=abc"], ["x", "http://***@h/?key=***"]),
        (["x", "--proxy=http://u:p@h/"], ["x", "--proxy=http://***@h/"]),
        (["sh", "-c", "A=1 TOKEN='a b' x --api-key abc -v"], ["sh", "-c", "A=1 TOKEN=*** x --api-key *** -v"]),
        (["x", "--config", '{"api_key": "abc", "n": 1}'], ["x", "--config", '{"api_key": "***", "n": 1}']),
        (["x", "--token"], ["x", "--token"]),
        ([], []),
    ],
)
def test_command_lines_are_redacted(argv, shown):
    assert redact_argv(argv) == shown


def test_of_basic_credentials_the_password_is_secret_too():
    assert secrets_of([("Authorization", "Basic bWU6aHVudGVyMjI=")]) == (
        b"Basic bWU6aHVudGVyMjI=",
        b"bWU6aHVudGVyMjI=",
        b"hunter22",
        b"me:hunter22",
    )
    assert secrets_of([("Authorization", "Basic no-base64!")]) == (b"Basic no-base64!", b"no-base64!")


def test_what_a_user_puts_into_a_header_is_not_written():
    own = [("X-Team", "team-of-seven"), ("X-Short", "abc"), ("Authorization", "Bearer sk-123456")]
    assert unwritten(own) == (b"Bearer sk-123456", b"team-of-seven", b"sk-123456")


def test_secrets_in_html_are_masked():
    for written in (b"a&lt;b&gt;&amp;&#x27;c&quot;", b"a&lt;b&gt;&amp;&#39;c&quot;"):
        assert scrub([b"<p>" + written + b"</p>"], b"a<b>&'c\"") == b"<p>" + stars(written) + b"</p>"
