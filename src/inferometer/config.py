# SPDX-License-Identifier: Apache-2.0
"""What the user asked for: one frozen `Experiment` from flags, a TOML file and defaults, checked before a byte is sent.

Rule 1: flag > file > default; a key in the file has the name of its flag (`for`, `input-tokens`, ...).
Rule 2: only experiment/ and the command line see this type; everything below takes plain arguments.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from inferometer.errors import UsageError
from inferometer.kinds import APIS, NATIVE_APIS
from inferometer.secrecy import redact_argv, redact_url
from inferometer.units import parse_duration_s

ARRIVALS = "poisson"
MAX_REPEATS = 1_000
MAX_WORKERS = 256
AUTO = "auto"
OFF = "off"
MIN_SCRAPE_EVERY_S = 0.05  # a page of 60 kB takes a server some 5 ms to write
MAX_FOR_S = 7 * 24 * 3600.0

# Defaults of a run without flags: small enough for a laptop, long enough for a p99 with an interval on the embedded
# model (368 requests: docs/concepts/intervals.md). Measured on two cores: docs/evidence/default-runs.md.
DEFAULT_CONCURRENCY = 4
DEFAULT_FOR_S = 30.0
DEFAULT_WARMUP = "3s"
DEFAULT_BURST = 64
DEFAULT_INPUT_TOKENS = "128"
DEFAULT_OUTPUT_TOKENS = "uniform:32-64"


@dataclass(frozen=True, slots=True)
class Warmup:
    """What is sent before measuring starts: the first so many requests, or those due in the first so many seconds."""

    n_requests: int = 0
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Experiment:
    """One `inferometer run`, resolved. Durations in seconds; None means "not limited" or "find out"."""

    url: str | None = None
    command: tuple[str, ...] = ()  # with an engine: flags of its own, added to its command
    engine: str | None = None
    settings: tuple[str, ...] = ()
    revision: str | None = None
    model: str | None = None
    api: str | None = None
    concurrency: int | None = None
    rate: float | None = None
    burst: bool = False
    arrivals: str = ARRIVALS
    requests: int | None = None
    for_s: float | None = None
    warmup: Warmup | None = None
    input_tokens: str = DEFAULT_INPUT_TOKENS
    output_tokens: str = DEFAULT_OUTPUT_TOKENS
    shared_prefix: int = 0
    tokenizer: str | None = None
    is_streamed: bool = True
    count_tokens: bool = False
    keep_caches: bool = False
    temperature: float = 0.0
    seed: int | None = None
    slo: str = ""
    repeats: int = 1
    timeout_s: float = 60.0
    stall_timeout_s: float = 30.0
    ready_timeout_s: float | None = None  # None: as long as the engine is known to take, 300 s for a command
    header: tuple[str, ...] = ()
    api_key_env: str | None = None
    insecure: bool = False
    out: str | None = None
    label: str = ""
    keeps_content: bool = True
    scrape_every_s: float = 1.0  # 0: the server's gauges are not read
    workers: int | None = None  # None: as many as the load asks for and the machine has room for
    # Not keys: what a probe says of each of the many runs that it is made of.
    draw: int = 0  # which this is: each has lengths and arrivals of its own
    forces_length: bool = True  # False: the model ends its answers itself
    body_fields: Mapping[str, Any] = field(default_factory=dict)  # more to ask for in every request

    @property
    def plan_seed(self) -> int:
        """What lengths and arrivals are drawn from."""
        return (self.seed or 0) + self.draw

    @property
    def mode(self) -> str:
        return "burst" if self.burst else "open" if self.rate is not None else "closed"

    @property
    def is_embedded(self) -> bool:
        return self.url is None and not self.command and self.engine is None

    def headers(self) -> list[tuple[str, str]]:
        """Headers as pairs, the key from the environment included."""
        pairs = []
        for line in self.header:
            name, _, value = line.partition(":")
            pairs.append((name.strip(), value.strip()))
        if self.api_key_env is not None:
            pairs.append(("Authorization", f"Bearer {_key(self.api_key_env)}"))
        return pairs


# How each key is written in a file or as a flag, where that is not the field's name.
_FIELD_OF = {
    "for": "for_s",
    "timeout": "timeout_s",
    "stall_timeout": "stall_timeout_s",
    "ready_timeout": "ready_timeout_s",
    "scrape_every": "scrape_every_s",
    "set": "settings",
}
_FIELDS = {one.name: one for one in fields(Experiment)}
_KEY_OF = {field: key for key, field in _FIELD_OF.items()}
_NEGATED = {"no_stream": "is_streamed", "no_content": "keeps_content"}
# What may stand in a file, and the field it sets.
_NOT_KEYS = {*_NEGATED.values(), "draw", "forces_length", "body_fields"}
_KEYS = {_KEY_OF.get(name, name): name for name in _FIELDS if name not in _NOT_KEYS} | _NEGATED


def resolve(flags: Mapping[str, Any], config_file: str | None = None) -> Experiment:
    """The experiment that flags (None = not given) and a TOML file ask for.

    Raises: UsageError, one line with the remedy, for anything that cannot be carried out as asked.
    """
    given = _from_file(config_file) if config_file else {}
    given |= {
        _FIELD_OF.get(key, key): tuple(value) if isinstance(value, list) else value
        for key, value in flags.items()
        if value is not None
    }
    values = {name: _convert(name, value) for name, value in given.items()}
    return _with_defaults(_checked(Experiment(**values)))


def _from_file(name: str) -> dict[str, Any]:
    try:
        with Path(name).open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", "give the path of a TOML file to --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} is not valid TOML: {error}", "see docs/reference/config.md for an example") from error
    given = {}
    for key, value in table.items():
        written = key.replace("-", "_")
        if written not in _KEYS:
            raise UsageError(f"{name}: unknown key {key!r}", _did_you_mean(key))
        if written in _NEGATED:
            if not isinstance(value, bool):
                raise UsageError(f"{name}: {key} is not true or false", f"give {key} as true or false")
            value = not value
        given[_KEYS[written]] = tuple(value) if isinstance(value, list) else value
    return given


def _did_you_mean(key: str) -> str:
    close = difflib.get_close_matches(key, [known.replace("_", "-") for known in _KEYS], n=1)
    return f"did you mean {close[0]!r}?" if close else "keys are the names of the flags, without the dashes in front"


def _convert(name: str, value: Any) -> Any:
    """The field's type from what a flag or a TOML value brings."""
    key = _KEY_OF.get(name, name).replace("_", "-")
    if name == "scrape_every_s":
        return _scrape_every_s(str(value))
    if name.endswith("_s") and isinstance(value, str):
        return parse_duration_s(value)
    if name == "warmup":
        return _warmup(str(value))
    if name in ("input_tokens", "output_tokens"):
        return str(value)
    if name == "workers":
        return _workers(str(value))
    kinds, words = _KINDS[_kind(name)]
    is_right = isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)
    if not is_right or (isinstance(value, tuple) and not all(isinstance(item, str) for item in value)):
        raise UsageError(f"{key} is not {words}", f"give {key} as {words}")  # not its value: a header's is secret
    return float(value) if isinstance(value, int) and _kind(name) == "float" else value


# By the type of a field: what a TOML value for it may be, and what to call that.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "bool": ((bool,), "true or false"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text"),
    "tuple": ((tuple,), "a list of texts"),
}


def _kind(name: str) -> str:
    return str(_FIELDS[name].type).split(" |")[0].split("[")[0]


def _warmup(text: str) -> Warmup:
    if re.fullmatch(r"\d+", text):
        return Warmup(n_requests=int(text))
    return Warmup(duration_s=parse_duration_s(text))


def _scrape_every_s(text: str) -> float:
    if text == OFF:
        return 0.0
    every_s = parse_duration_s(text)
    if every_s < MIN_SCRAPE_EVERY_S:
        shown = f"{MIN_SCRAPE_EVERY_S * 1000:.0f}ms"
        raise UsageError(
            f"--scrape-every {text} would keep the server busy with its own gauges", f"give {shown} or more, or {OFF}"
        )
    return every_s


def _workers(text: str) -> int | None:
    if text == AUTO:
        return None
    if not re.fullmatch(r"\d{1,6}", text) or not 1 <= int(text) <= MAX_WORKERS:
        raise UsageError(f"--workers {text!r} is no number of processes", f"give 1 to {MAX_WORKERS}, or {AUTO}")
    return int(text)


def _checked(e: Experiment) -> Experiment:
    """Refuse what contradicts itself or makes no sense."""
    modes = [
        name
        for name, is_given in (
            ("--concurrency", e.concurrency is not None),
            ("--rate", e.rate is not None),
            ("--burst", e.burst),
        )
        if is_given
    ]
    if len(modes) > 1:
        raise UsageError(
            f"{' and '.join(modes)} ask for different experiments",
            "--concurrency N keeps N requests in flight (closed loop), --rate R sends R per second whatever happens "
            "(open loop), --burst sends all at once; choose one",
        )
    _positive(e)
    if e.api is not None and e.api not in (*APIS, *NATIVE_APIS):
        raise UsageError(f"--api {e.api!r} is not known", f"choose {', '.join(APIS)}, {' or '.join(NATIVE_APIS)}")
    if e.rate is None and e.arrivals != ARRIVALS:
        raise UsageError("--arrivals is a law for an open loop", "say how many per second with --rate R")
    if e.burst and e.for_s is not None:
        raise UsageError(
            "--burst sends all requests at once, so --for has no meaning", "say how many with --requests N"
        )
    if e.requests is not None and e.for_s is not None:
        raise UsageError("--requests and --for both say when to stop", "give one of them")
    if e.url is not None and not re.match(r"https?://", e.url):
        bare = redact_url(e.url.rpartition("@")[2])
        shown = "what is given" if "@" in e.url else repr(bare)
        raise UsageError(f"{shown} is not a URL", f"write http:// in front: http://{bare}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+:-]{0,63}|", e.label):
        raise UsageError(f"--label {e.label!r} is no label", "letters, digits, and . _ + : - between; 64 at most")
    _check_headers(e)
    _check_engine(e)
    if e.command and e.url is None and e.engine is None and not any("{port}" in word for word in e.command):
        raise UsageError(
            "the command has no {port}, so there is no telling where its server will listen",
            "write {port} where the port belongs, or give the URL before --: run http://127.0.0.1:8000 -- CMD",
        )
    return e


def _check_engine(e: Experiment) -> None:
    if e.engine is not None and e.url is not None:
        raise UsageError(
            "--engine starts a server at a free port, and a URL names one that is there", "leave one of them out"
        )
    for flag, is_given in (("--set", bool(e.settings)), ("--revision", e.revision is not None)):
        if is_given and e.engine is None:
            raise UsageError(f"{flag} is about an engine that is started here", "say which with --engine NAME")


# Part of how requests are sent and answers are read; a second one would break both.
_NOT_YOURS = ("accept-encoding", "connection", "content-length", "expect", "te", "transfer-encoding", "x-request-id")


def _check_headers(e: Experiment) -> None:
    """Refuse what cannot be sent. No message holds a value."""
    for line in e.header:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*:[\t -~]*", line):
            raise UsageError("--header wants NAME:VALUE in plain ASCII", "for example --header 'X-Team: search'")
    if e.api_key_env is not None and not re.fullmatch(r"[\t -~]+", _key(e.api_key_env)):
        raise UsageError("the API key is not plain ASCII, so no header can carry it", "is the right variable named?")
    names = [name.lower() for name, _ in e.headers()]
    for name in names:
        if name in _NOT_YOURS:
            raise UsageError(f"--header {name} is not yours to set: it belongs to the transport", "leave it out")
        if names.count(name) > 1:
            raise UsageError(f"the header {name} is given twice", "give it once, by --header or by --api-key-env")


def _key(variable: str) -> str:
    """The API key. Raises: UsageError if there is none; the variable is named only if it looks like a name."""
    key = os.environ.get(variable, "").strip()
    if not key:
        is_name = re.fullmatch(r"[A-Z_][A-Z0-9_]*", variable) is not None
        raise UsageError(
            f"the environment variable {variable if is_name else 'named by --api-key-env'} is not set",
            f"export {variable}=... first" if is_name else "give the name of a variable, not the key itself",
        )
    return key


def _positive(e: Experiment) -> None:
    for name in (
        "concurrency",
        "rate",
        "requests",
        "for_s",
        "repeats",
        "timeout_s",
        "stall_timeout_s",
        "ready_timeout_s",
    ):
        value = getattr(e, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            flag = "--" + _KEY_OF.get(name, name).replace("_", "-")
            raise UsageError(f"{flag} must be greater than zero, not {value:g}", f"give {flag} a positive number")
    if e.repeats > MAX_REPEATS:
        raise UsageError(f"--repeats {e.repeats} is too many", f"give at most {MAX_REPEATS}")
    if not math.isfinite(e.temperature):
        raise UsageError(f"--temperature must be a number, not {e.temperature}", "0 is greedy")
    if (e.for_s or 0) > MAX_FOR_S or e.timeout_s > MAX_FOR_S:
        raise UsageError("a run lasts at most a week", "give --for and --timeout less than 168h")
    for name in ("shared_prefix", "temperature", "seed"):
        if (getattr(e, name) or 0) < 0:
            raise UsageError(f"--{name.replace('_', '-')} must not be negative", "give zero or more")


def _with_defaults(e: Experiment) -> Experiment:
    """Fill what was not said, so that every run is bounded."""
    changes: dict[str, Any] = {}
    if e.mode == "closed" and e.concurrency is None:
        changes["concurrency"] = DEFAULT_CONCURRENCY
    if e.burst and e.requests is None:
        changes["requests"] = DEFAULT_BURST
    if e.requests is None and e.for_s is None and not e.burst:
        changes["for_s"] = DEFAULT_FOR_S
    if e.warmup is None:
        n_requests = changes.get("requests", e.requests)
        if n_requests is None:
            changes["warmup"] = _warmup(DEFAULT_WARMUP)
        else:
            changes["warmup"] = Warmup(n_requests=min(e.concurrency or DEFAULT_CONCURRENCY, n_requests))
    return replace(e, **changes)


def describe(e: Experiment) -> dict[str, Any]:
    """The resolved experiment as JSON-like facts under the names of the flags, without any header's value."""
    facts = {_KEY_OF.get(name, name): getattr(e, name) for name in _FIELDS}
    facts["header"] = [line.partition(":")[0].strip() + ": (not kept)" for line in e.header]
    facts["url"] = redact_url(e.url) if e.url else None
    facts["command"] = redact_argv(list(e.command))
    facts["scrape_every"] = e.scrape_every_s or OFF
    facts["workers"] = AUTO if e.workers is None else e.workers
    if e.warmup is not None:
        facts["warmup"] = f"{e.warmup.duration_s:g}s" if e.warmup.duration_s else e.warmup.n_requests
    return facts
