# SPDX-License-Identifier: Apache-2.0
"""Configuration: flag before file before default, one frozen experiment, every contradiction refused with a remedy."""

from __future__ import annotations

import dataclasses

import pytest

from inferometer.config import DEFAULT_CONCURRENCY, DEFAULT_FOR_S, Experiment, Warmup, describe, resolve
from inferometer.errors import UsageError

URL = {"url": "http://127.0.0.1:8000"}


@pytest.fixture
def file(tmp_path):
    """`file(toml)`: path of a file with that text."""

    def write(toml):
        path = tmp_path / "run.toml"
        path.write_text(toml)
        return str(path)

    return write


def test_without_anything_the_run_is_bounded_and_embedded():
    experiment = resolve({})
    assert experiment.is_embedded
    assert (experiment.mode, experiment.concurrency) == ("closed", DEFAULT_CONCURRENCY)
    assert (experiment.for_s, experiment.requests) == (DEFAULT_FOR_S, None)
    assert experiment.warmup == Warmup(duration_s=3)
    assert (experiment.timeout_s, experiment.stall_timeout_s, experiment.repeats) == (60, 30, 1)
    assert experiment.is_streamed
    assert experiment.keeps_content


def test_flag_before_file_before_default(file):
    path = file("requests = 10\nseed = 3\nwarmup = 2\n")
    experiment = resolve({**URL, "requests": 20, "seed": None}, path)
    assert (experiment.requests, experiment.seed, experiment.warmup) == (20, 3, Warmup(n_requests=2))
    assert experiment.input_tokens == Experiment().input_tokens


def test_a_file_may_hold_every_key_under_the_name_of_its_flag(file):
    path = file(
        """
        url = "http://127.0.0.1:8000"
        model = "m"
        api = "completions"
        rate = 2
        arrivals = "gamma:2"
        for = "90s"
        warmup = "10s"
        input-tokens = 128
        output_tokens = "uniform:10-20"
        shared-prefix = 16
        no-stream = true
        no-content = true
        temperature = 0.5
        seed = 7
        slo = "ttft<1s"
        repeats = 2
        timeout = "2m"
        stall-timeout = 5
        ready-timeout = "1h"
        header = ["X-A: 1", "X-B: 2"]
        insecure = true
        out = "somewhere"
        """
    )
    experiment = resolve({}, path)
    assert experiment == Experiment(
        url="http://127.0.0.1:8000",
        model="m",
        api="completions",
        rate=2.0,
        arrivals="gamma:2",
        for_s=90.0,
        warmup=Warmup(duration_s=10.0),
        input_tokens="128",
        output_tokens="uniform:10-20",
        shared_prefix=16,
        is_streamed=False,
        keeps_content=False,
        temperature=0.5,
        seed=7,
        slo="ttft<1s",
        repeats=2,
        timeout_s=120.0,
        stall_timeout_s=5.0,
        ready_timeout_s=3600.0,
        header=("X-A: 1", "X-B: 2"),
        insecure=True,
        out="somewhere",
    )


def test_every_field_can_be_set_by_a_file(file):
    """A field that is added must get a key; these are the ones whose key is not their name."""
    renamed = {"for_s": "for", "timeout_s": "timeout", "stall_timeout_s": "stall-timeout"}
    renamed |= {"scrape_every_s": "scrape-every"}
    renamed |= {"ready_timeout_s": "ready-timeout", "is_streamed": "no-stream", "keeps_content": "no-content"}
    renamed |= {
        "settings": "set",
        "ready_timeout_s": "ready-timeout",
        "is_streamed": "no-stream",
        "keeps_content": "no-content",
    }
    for field in dataclasses.fields(Experiment):
        if field.name in ("draw", "forces_length", "body_fields"):  # for who makes many runs of one experiment
            continue
        key = renamed.get(field.name, field.name)
        try:
            resolve(URL, file(f"{key} = 1"))
        except UsageError as error:  # the value may be wrong, but the key is known
            assert "unknown key" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("requsts", "requests"),
        ("concurency", "concurrency"),
        ("input-token", "input-tokens"),
        ("nostream", "no-stream"),
    ],
)
def test_an_unknown_key_names_the_one_that_may_be_meant(file, key, meant):
    with pytest.raises(UsageError, match=f"unknown key '{key}'") as caught:
        resolve(URL, file(f"{key} = 1"))
    assert caught.value.remedy == f"did you mean {meant!r}?"


@pytest.mark.parametrize("key", ["is_streamed", "is-streamed", "keeps_content", "for_s", "timeout_s"])
def test_names_of_the_inside_are_no_keys(file, key):
    with pytest.raises(UsageError, match="unknown key"):
        resolve(URL, file(f"{key} = true"))


@pytest.mark.parametrize(
    "toml", ["burst = 1", "requests = '10'", "requests = true", "rate = 'fast'", "model = 3", "header = 'A: b'"]
)
def test_a_value_of_the_wrong_type_is_refused_without_being_repeated(file, toml):
    key, _, value = toml.partition(" = ")
    with pytest.raises(UsageError, match=f"^{key} is not ") as caught:
        resolve(URL, file(toml))
    assert value not in str(caught.value) + caught.value.remedy


def test_modes():
    assert resolve({**URL, "rate": 2.0}).mode == "open"
    assert resolve({**URL, "rate": 2.0}).concurrency is None
    burst = resolve({**URL, "burst": True})
    assert (burst.mode, burst.for_s) == ("burst", None)
    assert burst.requests is not None, "a burst is bounded by a count"


@pytest.mark.parametrize(
    ("flags", "warmup"),
    [
        ({"warmup": "5"}, Warmup(n_requests=5)),
        ({"warmup": "5s"}, Warmup(duration_s=5.0)),
        ({"warmup": "0"}, Warmup()),
        ({"requests": 100, "concurrency": 8}, Warmup(n_requests=8)),
        ({"requests": 3, "concurrency": 8}, Warmup(n_requests=3)),
        ({"requests": 100, "rate": 5.0}, Warmup(n_requests=4)),
    ],
)
def test_warmup(flags, warmup):
    assert resolve({**URL, **flags}).warmup == warmup


def test_a_whole_run_of_requests_has_no_time_limit():
    assert resolve({**URL, "requests": 5}).for_s is None


def test_the_key_comes_from_the_environment_when_it_is_needed(monkeypatch):
    monkeypatch.setenv("ENGINE_KEY", " sk-123456\n")
    experiment = resolve({**URL, "header": ["X-Team:search"], "api_key_env": "ENGINE_KEY"})
    assert experiment.headers() == [("X-Team", "search"), ("Authorization", "Bearer sk-123456")]
    assert "sk-123456" not in repr(experiment)


def test_two_authorizations_are_refused(monkeypatch):
    monkeypatch.setenv("ENGINE_KEY", "sk-123456")
    with pytest.raises(UsageError, match="header authorization is given twice"):
        resolve({**URL, "header": ["Authorization: Basic abc"], "api_key_env": "ENGINE_KEY"})


def test_what_is_described_holds_no_secret_and_the_names_of_the_flags(monkeypatch):
    monkeypatch.setenv("ENGINE_KEY", "sk-123456")
    flags = {"header": ["X-Api-Key: topsecret"], "api_key_env": "ENGINE_KEY", "for": "2m", "warmup": "10s"}
    facts = describe(resolve({**flags, "command": ("serve", "--api-key", "sk-123456", "--port", "{port}")}))
    assert facts["header"] == ["X-Api-Key: (not kept)"]
    assert facts["for"] == 120
    assert facts["warmup"] == "10s"
    assert facts["api_key_env"] == "ENGINE_KEY"
    assert "sk-123456" not in repr(facts)
    assert "topsecret" not in repr(facts)


@pytest.mark.parametrize("flag", ["concurrency", "rate", "requests", "for", "repeats", "timeout", "stall_timeout"])
@pytest.mark.parametrize("value", [0, -1])
def test_nothing_that_is_counted_may_be_zero(flag, value):
    is_time = flag in ("for", "timeout", "stall_timeout")
    with pytest.raises(UsageError, match=r"greater than zero|not a duration"):
        resolve({**URL, flag: f"{value}s" if is_time else value})


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_a_rate_is_a_number(rate):
    with pytest.raises(UsageError, match="--rate"):
        resolve({**URL, "rate": rate})


@pytest.mark.parametrize(
    ("flags", "message", "remedy"),
    [
        ({"concurrency": 2, "rate": 3.0}, "--concurrency and --rate", "(closed loop), --rate R sends R per second"),
        ({"rate": 3.0, "burst": True}, "--rate and --burst", "all at once"),
        ({"concurrency": 2, "rate": 3.0, "burst": True}, "--concurrency and --rate and --burst", "choose one"),
        ({"requests": 2, "for": "3s"}, "--requests and --for", "one of them"),
        ({"burst": True, "for": "3s"}, "--burst", "--requests"),
        ({"timeout": "10 lightyears"}, "'10 lightyears' is not a duration", "500ms"),
        ({"warmup": "soon"}, "'soon' is not a duration", "500ms"),
        ({"api": "grpc"}, "'grpc' is not known", "native or native-chat"),
        ({"temperature": -1.0}, "--temperature must not be negative", "zero or more"),
        ({"header": ["Authorization Bearer sk-123456"]}, "NAME:VALUE", "X-Team"),
        ({"header": ["X-Name: Zo\u00eb"]}, "ASCII", "X-Team"),
        ({"header": ["X-A: 1\r\nX-B: 2"]}, "NAME:VALUE", "X-Team"),
        ({"header": ["Content-Length: 3"]}, "content-length", "leave it out"),
        ({"header": ["transfer-encoding: chunked"]}, "transfer-encoding", "leave it out"),
        ({"header": ["A: 1", "a: 2"]}, "header a is given twice", "once"),
        ({"url": "localhost:8000"}, "'localhost:8000' is not a URL", "http://localhost:8000"),
        ({"url": None, "command": ("serve", "--port", "8000")}, "no {port}", "the URL before --"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_contradictions_are_refused_with_a_remedy(flags, message, remedy):
    with pytest.raises(UsageError) as caught:
        resolve({**URL, **flags})
    assert message in str(caught.value)
    assert remedy in caught.value.remedy
    assert "sk-123456" not in str(caught.value)


@pytest.mark.parametrize("variable", ["sk-live-0123456789", "hf_AbCdEf0123456789"])
def test_a_key_in_place_of_its_variable_is_not_repeated(variable):
    with pytest.raises(UsageError, match="named by --api-key-env is not set") as caught:
        resolve({**URL, "api_key_env": variable})
    assert variable not in caught.value.remedy


def test_a_key_that_no_header_can_carry_is_refused(monkeypatch):
    monkeypatch.setenv("ENGINE_KEY", "cl\u00e9-123456")
    with pytest.raises(UsageError, match="not plain ASCII") as caught:
        resolve({**URL, "api_key_env": "ENGINE_KEY"})
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize(("toml", "message"), [("for = ", "not valid TOML"), ("\udcff", "not valid TOML")])
def test_a_file_that_is_no_toml(tmp_path, toml, message):
    (tmp_path / "run.toml").write_bytes(toml.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=message):
        resolve(URL, str(tmp_path / "run.toml"))


def test_a_table_in_a_file_is_an_unknown_key(file):
    with pytest.raises(UsageError, match="unknown key 'load'"):
        resolve(URL, file("[load]\nrate = 3"))


@pytest.mark.parametrize(
    ("said", "every_s"), [("off", 0.0), ("250ms", 0.25), ("50ms", 0.05), ("2", 2.0), (1, 1.0), (0.5, 0.5)]
)
def test_how_often_gauges_are_read(said, every_s):
    experiment = resolve(URL | {"scrape_every": said})
    assert experiment.scrape_every_s == every_s
    assert describe(experiment)["scrape_every"] == (every_s or "off")


@pytest.mark.parametrize("said", ["10ms", "0", "0s", "never"])
def test_gauges_are_not_read_without_end(said):
    with pytest.raises(UsageError):
        resolve(URL | {"scrape_every": said})


@pytest.mark.parametrize("label", ["a b", "a/b", "-x", "x" * 65, "a,b"])
def test_a_label_can_be_typed_and_is_no_path(label):
    with pytest.raises(UsageError, match="is no label"):
        resolve({"label": label})
    assert resolve({"label": "pr-12.3_x"}).label == "pr-12.3_x"
