# SPDX-License-Identifier: Apache-2.0
"""Keeping secrets off disk and screen.

Rule 1: in a stream a secret is masked byte for byte with `*`, so that lengths, offsets and transfer framing stay what
they were.
Rule 2: a secret may come as it is, escaped for JSON or HTML, or percent-encoded; split over any number of reads; and
with the framing of HTTP chunks between any two of its bytes.
Rule 3: bytes that may be the beginning of a secret wait for the next read. They move to a later feed; none is lost.

Secrets shorter than MIN_SECRET_BYTES are placeholders ("EMPTY", "none"): they would be met by chance in every stream,
and masking them would break the records.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote

MIN_SECRET_BYTES = 6
MIN_MASKED_BYTES = 8  # of headers that are not named like keys
MASK = "***"  # in text, where lengths do not matter

# What HTTP/1.1 puts between two chunks: the end of one, the size line of the next. Bounded, as what it holds back is.
_SIZE_LINE = rb"[0-9A-Fa-f]{1,16}[ \t]{0,64}(?:;[^\r\n]{0,4096})?"
_GAP = re.compile(rb"\r\n" + _SIZE_LINE + rb"\r\n")
_GAP_BEGINNING = re.compile(rb"\r(?:\n(?:" + _SIZE_LINE + rb"\r?)?)?\Z")


class Scrubber:
    """Masks secrets in one stream of bytes. What `feed` and `flush` return is, in total, as long as what was fed."""

    __slots__ = ("_find", "_forms", "_raw", "_shown")

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._forms, self._find = _compile(tuple(secrets))
        self._raw = b""  # bytes held back
        self._shown = b""  # the same, with what is already known to be secret masked

    def feed(self, data: bytes) -> bytes:
        """`data`, masked; in front of it what was held back before, without what must be held back now."""
        if not self._forms or (not self._raw and self._find.search(data) is None):
            return data
        return self._scan(self._raw + data, bytearray(self._shown + data), is_last=False)

    def flush(self) -> bytes:
        """What was held back: the stream is over. What may have become a secret is masked too, if it is long enough."""
        if not self._raw:
            return b""
        return self._scan(self._raw, bytearray(self._shown), is_last=True)

    def _scan(self, raw: bytes, shown: bytearray, is_last: bool) -> bytes:
        """Mask every secret of `raw` in `shown`; keep both from the first beginning that may yet become a secret."""
        held_from = len(raw)
        match = self._find.search(raw)
        while match is not None:
            at = match.start()
            for form in self._forms:
                pieces, is_cut = _match(raw, at, form)
                if is_cut and not is_last:
                    held_from = min(held_from, at)
                elif not is_cut or sum(stop - start for start, stop in pieces) >= MIN_SECRET_BYTES:
                    for start, stop in pieces:
                        shown[start:stop] = b"*" * (stop - start)
            match = self._find.search(raw, at + 1)
        self._raw = raw[held_from:]
        self._shown = bytes(shown[held_from:])
        return bytes(shown[:held_from])


def _match(data: bytes, at: int, form: bytes) -> tuple[list[tuple[int, int]], bool]:
    """Spans of `data` that spell `form` from `at` on, gaps left out, none if they do not; and whether it ends too soon
    to tell: the spans are then those so far."""
    pieces: list[tuple[int, int]] = []
    n_matched = 0
    while True:
        start = at
        while at < len(data) and data[at] == form[n_matched]:
            at += 1
            n_matched += 1
            if n_matched == len(form):
                return [*pieces, (start, at)], False
        if at == len(data):
            return [*pieces, (start, at)], True
        if at == start:
            return [], False  # not a byte of it here; chunks are not empty, so no gap follows a gap
        gap = _GAP.match(data, at)
        if gap is None:
            return ([*pieces, (start, at)], True) if _GAP_BEGINNING.match(data, at) else ([], False)
        pieces.append((start, at))
        at = gap.end()


@lru_cache(maxsize=8)
def _compile(secrets: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], re.Pattern[bytes]]:
    """Every spelling of every secret, and a pattern that finds where one may begin. A scrubber is made per request."""
    words = [secret.strip() for secret in secrets]  # a key read from a file may bring its line end along
    forms = {form for word in words if len(word) >= MIN_SECRET_BYTES for form in _spellings(word)}
    beginnings = {_beginning(form) for form in forms}
    return tuple(sorted(forms)), re.compile(b"|".join(sorted(beginnings)) or rb"(?!)")  # which is found nowhere


def _beginning(form: bytes) -> bytes:
    """A pattern for where `form` may begin: its first bytes, or fewer of them before a gap or the end of the data.

    One search takes 0.2 to 0.7 us for an event of 220 bytes; it is all that most reads cost.
    """
    first, *others = (re.escape(form[i : i + 1]) for i in range(MIN_SECRET_BYTES))
    pattern = others.pop()
    for byte in reversed(others):
        pattern = byte + b"(?:" + pattern + rb"|\r|\Z)"
    return first + b"(?:" + pattern + rb"|\r|\Z)"


def _spellings(secret: bytes) -> set[bytes]:
    """The secret as it is, in JSON, in URLs and in HTML, as the usual libraries write it."""
    text = secret.decode("utf-8", errors="surrogateescape")
    ascii_json = json.dumps(text)[1:-1].encode()
    percent = quote(secret, safe="")
    return {
        secret,
        ascii_json,
        json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", errors="surrogateescape"),
        ascii_json.replace(b"/", b"\\/"),  # PHP, and C++ libraries that guard </script>
        re.sub(rb"[<>&']", lambda char: b"\\u%04x" % char[0][0], ascii_json),  # Go, Flask
        re.sub(rb"[<>&'+]", lambda char: b"\\u%04X" % char[0][0], ascii_json),  # .NET
        percent.encode(),
        re.sub("%..", lambda escape: escape[0].lower(), percent).encode(),
        quote(secret).encode(),  # leaves slashes
        quote_plus(secret).encode(),
        html.escape(text).encode("utf-8", errors="surrogateescape"),
        html.escape(text).replace("&#x27;", "&#39;").encode("utf-8", errors="surrogateescape"),  # Go, Jinja
    }


def scrub_text(text: str, secrets: Sequence[bytes]) -> str:
    """`text` with every secret masked. Do it before the text is cut to a length: half a secret is not found."""
    scrubber = Scrubber(secrets)
    data = text.encode("utf-8", errors="surrogatepass")
    return (scrubber.feed(data) + scrubber.flush()).decode("utf-8", errors="replace")


# Names end in what they are: x-api-key, access_token, hf-token, OPENAI_API_KEY; but not api-key-env or max-tokens.
_SECRET_NAME = re.compile(
    r"(?:key|token|secret|passw(?:or)?d|passphrase|pwd|sig|signature|credentials?|auth|authorization|cookie|jwt)\Z",
    re.I,
)


def is_secret_header(name: str) -> bool:
    """Whether the value of this header (or parameter, option, variable) is to be kept from disk and screen."""
    return _SECRET_NAME.search(name) is not None


def secrets_of(headers: Sequence[tuple[str, str]]) -> tuple[bytes, ...]:
    """What to mask for these request headers: of `authorization: Bearer X`, X alone and the whole; of `Basic X` also
    the user and password in it, and the password alone."""
    words: set[bytes] = set()
    for value in (value for name, value in headers if is_secret_header(name)):
        scheme, _, rest = value.strip().rpartition(" ")
        words |= {word.encode("utf-8", errors="surrogateescape") for word in (value, rest)}
        if scheme.strip().lower() == "basic":
            words |= _credentials_in(rest)
    return tuple(sorted(words - {b""}))


def _credentials_in(basic: str) -> set[bytes]:
    """`user:password` and `password` (RFC 7617)."""
    try:
        credentials = base64.b64decode(basic, validate=True)
    except ValueError:  # not base64: whatever it is, it is masked as it stands
        return set()
    return {credentials, credentials.partition(b":")[2]}


def unwritten(own: Sequence[tuple[str, str]]) -> tuple[bytes, ...]:
    """What must never reach disk or screen, the longest first: keys, and whatever else the user put into a header, if
    it is long enough to be told from ordinary text."""
    values = {value.encode("utf-8", errors="surrogateescape") for _, value in own}
    long_ones = {value for value in values if len(value) >= MIN_MASKED_BYTES}
    return tuple(sorted({*secrets_of(own), *long_ones}, key=len, reverse=True))


_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")
_PARAMETER = re.compile(r"(?<=[?&;])([^=&#;\s]+)=([^&#;\s]*)")


def redact_url(url: str) -> str:
    """The URL without user, password, and the values of parameters that are named like keys."""

    def masked(parameter: re.Match[str]) -> str:
        return f"{parameter[1]}={MASK}" if is_secret_header(unquote(parameter[1])) else parameter[0]

    return _PARAMETER.sub(masked, _USERINFO.sub(MASK + "@", url))


_OPTION = re.compile(r"--?[\w-]+")
_ASSIGNMENT = re.compile(r"([\w.-]+)=.*", re.DOTALL)
# A name, what joins it to its value, the value, anywhere in a word: `HF_TOKEN=x`; `Authorization: Bearer x` and
# `"api_key": "x"`; `--api-key x` inside a command line for a shell.
_PAIRS = (
    re.compile(r"""([\w.-]+)(["']?=)("[^"]*"|'[^']*'|[^\s"'&]+)"""),
    re.compile(r"""([\w.-]+)(["']?:\s*["']?)([^"',}\s][^"',}]*)"""),
    re.compile(r"""(--?[\w-]+)(\s+)("[^"]*"|'[^']*'|[^\s"']+)"""),
)


def redact_argv(argv: Sequence[str]) -> list[str]:
    """A command line for the records: values of options, variables and headers that are named like keys are masked.

    Where a word is ambiguous (does the value of `TOKEN=a b` end at the blank?) more is masked rather than less.
    """
    shown: list[str] = []
    is_value = False
    for word in argv:
        if is_value and not word.startswith("--"):
            shown.append(MASK)
            is_value = False
        else:
            shown.append(_redact_word(word))
            is_value = _OPTION.fullmatch(word) is not None and is_secret_header(word)
    return shown


def _redact_word(word: str) -> str:
    assignment = _ASSIGNMENT.fullmatch(word)
    if assignment is not None and is_secret_header(assignment[1]):
        return f"{assignment[1]}={MASK}"
    word = redact_url(word)
    for pair in _PAIRS:
        word = pair.sub(lambda m: f"{m[1]}{m[2]}{MASK}" if is_secret_header(m[1]) else m[0], word)
    return word
