# SPDX-License-Identifier: Apache-2.0
"""Error answers of all shapes come down to one harmless line."""

from __future__ import annotations

import pytest

from inferometer.engines.error_text import MAX_CHARS, error_text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":{"message":"prompt too long","type":"BadRequestError","code":400}}', "prompt too long"),
        (b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}', "Loading model"),
        (b'{"error":"Model is overloaded","error_type":"overloaded"}', "Model is overloaded"),
        (b'{"object":"error","message":"bad","type":"BadRequestError","code":400}', "bad"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (
            b'{"detail":[{"loc":["body","prompt"],"msg":"field required","type":"missing"}]}',
            "body.prompt: field required",
        ),
        (b'{"errors":[{"message":"a"},{"message":"b"}]}', "a; b"),
        (b'{"error":{"message":"","type":"server_error"}}', "server_error"),
        (b'{"error":{"code":"rate_limited"}}', "rate_limited"),
        (b'"just words"', "just words"),
        (b"<html><head><title>502 Bad&nbsp;Gateway</title></head><body><h1>x</h1></body></html>", "502 Bad Gateway"),
        (b"<!DOCTYPE html><style>p {}</style><p>No <b>title</b></p>", "No title"),
        (b"Internal Server Error", "Internal Server Error"),
        (b"first\r\n  second\tthird", "first second third"),
        (b"", ""),
        (b"  \n", ""),
        (b"{}", "{}"),
        (b'{"half": ', '{"half":'),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b"\x1b[2Jgone\x07", "[2Jgone"),
    ],
)
def test_one_line_out_of_any_error(body, text):
    assert error_text(body) == text


def test_a_long_text_is_cut():
    text = error_text(b"x" * 1_000_000)
    assert len(text) == MAX_CHARS
    assert text.endswith("…")


def test_json_without_end_is_no_trouble():
    assert error_text(b"[" * 100_000).startswith("[[[")
