# SPDX-License-Identifier: Apache-2.0
"""How engines are started: every one says all of it, and the commands that come out, word by word."""

from __future__ import annotations

import re

import pytest

from inferometer.emulate.catalogue import EMULATIONS
from inferometer.engines import ENGINES, llamacpp, llamacpp_python, ollama, sglang, tensorrt_llm, tgi, vllm
from inferometer.engines.compose import check_knobs, compose, is_at_least
from inferometer.engines.facts import DEVICES, DOCUMENTED, EMULATED, REAL, RECORDED, SEEN, SOURCE
from inferometer.engines.knobs import KNOBS, SWITCH, parse_settings
from inferometer.engines.launch import GGUF, HUGGING_FACE, OWN_NAME
from inferometer.engines.registry import engine_named
from inferometer.errors import UsageError

STARTED = [engine for engine in ENGINES if engine.launch is not None]
TITLES = [engine.name for engine in STARTED]

MARKS = {"name": "m", "model": "/m", "host": "127.0.0.1", "port": 8000, "other_port": 9, "options": "/o.json"}
MARKS |= {"n_connections": 64, "python": "python", "scratch": "/tmp"}
ALL = {
    "max_concurrency": 8,
    "context": 4096,
    "kv_ratio": 0.5,
    "dtype": "bfloat16",
    "quantization": "awq",
    "kv_dtype": "int8",
    "prefix_cache": False,
    "chunked_prefill": True,
    "tensor_parallel": 2,
    "seed": 3,
    "threads": 4,
}


def composed(engine, values, **rest):
    """The order for those of the values that it has, with what it always wants."""
    usual = {name: ALL[name] for name in engine.launch.always}
    return compose(engine.launch, engine.launch.programs[0].words, MARKS, usual | values, **rest)


def line(engine, values, **rest):
    return " ".join(composed(engine, values, **rest).words)


# --- every engine --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", STARTED, ids=TITLES)
def test_every_knob_is_there_or_its_absence_is_explained(engine):
    plan = engine.launch
    assert set(plan.knobs) | set(plan.absent) == set(KNOBS)
    assert not set(plan.knobs) & set(plan.absent)
    assert set(plan.always) <= set(plan.knobs)
    for knob in plan.knobs.values():
        assert knob.words or knob.off_words or knob.env or knob.option


@pytest.mark.parametrize("engine", STARTED, ids=TITLES)
def test_every_mark_is_filled_and_every_knob_shows(engine):
    bare = composed(engine, {})
    for name in engine.launch.knobs:
        values = [True, False] if KNOBS[name][0] == SWITCH else [ALL[name]]
        orders = [composed(engine, {name: value}) for value in values]
        for order in orders:
            assert not any(re.search(r"[{}]", word) for word in (*order.words, *order.env.values()))
        if name not in engine.launch.always:
            assert any((o.words, o.env, o.options) != (bare.words, bare.env, bare.options) for o in orders), name


@pytest.mark.parametrize("engine", STARTED, ids=TITLES)
def test_it_says_how_it_is_installed_found_and_known_to_be_ready(engine):
    plan = engine.launch
    assert plan.installs
    assert plan.ready_paths
    assert all(path.startswith("/") for path in plan.ready_paths)
    assert plan.ready_within_s >= 60
    assert set(plan.formats) <= {GGUF, HUGGING_FACE, OWN_NAME}
    assert all(default.why and (default.words or default.env or default.options) for default in plan.defaults)
    for program in plan.programs:
        assert program.packages or program.version_words
    for failure in plan.failures:
        re.compile(failure.pattern)
        assert failure.remedy
    if plan.container is not None:
        assert set(plan.container.images) <= set(DEVICES)
        assert set(plan.container.options) <= set(plan.container.images)


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.name != "openai"], ids=lambda e: e.name)
def test_every_fact_says_how_it_is_known(engine):
    facts = engine.facts
    assert facts.devices
    assert set(facts.devices) <= set(DEVICES)
    single = (facts.formats, facts.quantizations, facts.hugging_face, facts.apis, facts.metrics, facts.licence)
    for fact in (*facts.devices.values(), *single, facts.upkeep, *facts.strengths):
        assert fact.text
        assert fact.known in (SEEN, SOURCE, DOCUMENTED)
    assert facts.proven_on in (REAL, RECORDED, EMULATED)
    is_seen = any(fact.known == SEEN for fact in (facts.apis, facts.metrics))
    assert is_seen == (facts.proven_on != EMULATED), "what was seen was proven on something real"
    assert facts.proven_on != EMULATED or engine.name in {emulation.name for emulation in EMULATIONS}


# --- the commands --------------------------------------------------------------------------------------------------


def test_llama_server():
    assert line(llamacpp.ENGINE, {"seed": 3, "prefix_cache": False, "kv_dtype": "int8"}) == (
        "llama-server --model /m --alias m --host 127.0.0.1 --port 8000 --threads-http 68 --metrics --no-kv-unified "
        "--cache-ram 0 --fit off --slot-save-path /tmp --parallel 8 --ctx-size 32768 --threads 4 --threads-batch 4 "
        "--seed 3 --no-cache-prompt --cache-type-k q8_0 --cache-type-v q8_0"
    )


def test_vllm():
    values = {name: value for name, value in ALL.items() if name != "threads"}
    order = composed(vllm.ENGINE, values)
    assert " ".join(order.words) == (
        "vllm serve /m --served-model-name m --host 127.0.0.1 --port 8000 --generation-config vllm "
        "--enable-per-request-metrics --enable-prompt-tokens-details --max-num-seqs 8 --max-model-len 4096 "
        "--gpu-memory-utilization 0.5 --dtype bfloat16 --quantization awq --kv-cache-dtype int8 "
        "--no-enable-prefix-caching --enable-chunked-prefill --tensor-parallel-size 2 --seed 3"
    )
    assert order.env["HF_HUB_OFFLINE"] == order.env["VLLM_SERVER_DEV_MODE"] == "1"


def test_a_variable_that_the_person_set_wins_over_a_default():
    env = composed(vllm.ENGINE, {}, environment={"VLLM_CPU_KVCACHE_SPACE": "40", "SHELL": "sh"}).env
    assert (env["VLLM_CPU_KVCACHE_SPACE"], env["VLLM_SERVER_DEV_MODE"]) == ("40", "1")
    assert "SHELL" not in env


def test_an_older_vllm_is_not_told_what_it_may_not_know():
    order = composed(vllm.ENGINE, {}, version="0.9.1")
    assert "--enable-per-request-metrics" not in order.words
    assert order.left_out == ("--enable-per-request-metrics", "--enable-prompt-tokens-details")
    assert "--generation-config" in order.words
    assert composed(vllm.ENGINE, {}, version="0.32.0+cpu").left_out == ()


def test_what_its_help_does_not_list_is_left_out():
    order = composed(llamacpp.ENGINE, {}, help_text="  --threads-http N\n  --metrics\n  --no-kv-unified-per-slot\n")
    assert {"--threads-http", "--metrics"} <= set(order.words)
    assert order.left_out == ("--no-kv-unified", "--cache-ram", "--fit", "--slot-save-path")


def test_llama_cpp_python():
    assert line(llamacpp_python.ENGINE, {}) == (
        "{python} -m llama_cpp.server --model /m --model_alias m --host 127.0.0.1 --port 8000 "
        "--interrupt_requests False --n_ctx 4096 --n_threads 4"
    ).replace("{python}", "python")


def test_tensorrt_llm_has_a_file_of_options():
    order = composed(tensorrt_llm.ENGINE, {"prefix_cache": False, "kv_dtype": "fp8", "chunked_prefill": True})
    assert order.words[-2:] == ("--extra_llm_api_options", "/o.json")
    assert order.options == {
        "return_perf_metrics": True,
        "kv_cache_config": {"enable_block_reuse": False, "dtype": "fp8"},
        "enable_chunked_prefill": True,
    }


def test_tgi_refuses_nobody_and_is_told_by_variables():
    order = composed(tgi.ENGINE, {"prefix_cache": False})
    assert order.words[order.words.index("--max-concurrent-requests") + 1] == "128"
    assert order.env["PREFIX_CACHING"] == "0"
    marks = MARKS | {"n_connections": 500}
    words = compose(tgi.ENGINE.launch, ("tgi",), marks, {}).words
    assert words[words.index("--max-concurrent-requests") + 1] == "504"


def test_ollama_is_told_everything_by_variables():
    order = composed(ollama.ENGINE, {})
    assert order.words == ("ollama", "serve")
    assert order.env == {
        "OLLAMA_HOST": "127.0.0.1:8000",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_NUM_PARALLEL": "8",
        "OLLAMA_CONTEXT_LENGTH": "4096",
    }


def test_a_switch_that_only_has_an_off():
    assert "--disable-radix-cache" in composed(sglang.ENGINE, {"prefix_cache": False}).words
    assert composed(sglang.ENGINE, {"prefix_cache": True}).words == composed(sglang.ENGINE, {}).words


@pytest.mark.parametrize(
    "extra",
    [("--generation-config", "auto"), ("--generation-config=auto",)],
)
def test_what_a_person_gives_wins_over_a_default(extra):
    words = composed(vllm.ENGINE, {}, extra=extra).words
    assert words[-len(extra) :] == extra
    assert "vllm" not in words[1:]


@pytest.mark.parametrize("flag", ["--kv-unified", "--no-kv-unified"])
def test_a_switch_is_the_same_one_on_and_off(flag):
    words = composed(llamacpp.ENGINE, {}, extra=(flag,)).words
    assert [word for word in words if word.endswith("kv-unified")] == [flag]


def test_what_was_filled_in_yields_to_a_flag_of_the_engine_and_what_was_set_contradicts_it():
    words = composed(llamacpp.ENGINE, {}, extra=("--ctx-size", "100")).words
    assert words.count("--ctx-size") == 1
    with pytest.raises(UsageError, match="--ctx-size after -- and --set context"):
        check_knobs("llama.cpp", llamacpp.ENGINE.launch, {"context": 3}, ("--ctx-size=100",))


def test_a_knob_that_it_has_not_is_refused_with_the_reason():
    with pytest.raises(UsageError, match=r"llama.cpp has no knob dtype: the GGUF file decides") as caught:
        check_knobs("llama.cpp", llamacpp.ENGINE.launch, {"dtype": "float16"})
    assert "max_concurrency" in caught.value.remedy


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("0.32.0", "0.32.0", True),
        ("0.32.0+cpu", "0.32", True),
        ("0.9.1", "0.32.0", False),
        ("1.0", "0.32.0", True),
        ("", "0.1", False),
        ("main", "0.1", False),
    ],
)
def test_versions_are_compared_by_their_numbers(version, wanted, expected):
    assert is_at_least(version, wanted) is expected


# --- knobs ---------------------------------------------------------------------------------------------------------


def test_settings_are_read():
    assert parse_settings(["context=4096", "kv-ratio=0.5", "prefix_cache=off", "dtype=auto", "seed=0"]) == {
        "context": 4096,
        "kv_ratio": 0.5,
        "prefix_cache": False,
        "dtype": "auto",
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("setting", "says", "remedy"),
    [
        ("kontext=3", "there is no knob 'kontext'", "did you mean context?"),
        ("zzz=3", "there is no knob 'zzz'", "knobs are max_concurrency, "),
        ("context", "'context' has no value", "--set knob=value"),
        ("context=0", "a whole number of at least 1, not '0'", "tokens of one request"),
        ("context=4k", "a whole number of at least 1, not '4k'", ""),
        ("kv_ratio=1.5", "a number above 0, up to 1, not '1.5'", ""),
        ("kv_ratio=nan", "not 'nan'", ""),
        ("prefix_cache=maybe", "on or off, not 'maybe'", ""),
        ("dtype=a b", "a word, not 'a b'", ""),
        ("seed=-1", "at least 0, not '-1'", ""),
    ],
)
def test_settings_that_make_no_sense(setting, says, remedy):
    with pytest.raises(UsageError) as caught:
        parse_settings([setting])
    assert says in str(caught.value)
    assert remedy in caught.value.remedy


def test_a_knob_is_set_once():
    with pytest.raises(UsageError, match="context is set twice"):
        parse_settings(["context=1", "context=2"])


@pytest.mark.parametrize("name", ["llama.cpp", "llamacpp", "LlamaCpp", "llama-cpp"])
def test_an_engine_goes_by_its_name_however_it_is_written(name):
    assert engine_named(name) is llamacpp.ENGINE


@pytest.mark.parametrize(("name", "remedy"), [("vlm", "did you mean vllm?"), ("gpt", "llama.cpp, vllm, ")])
def test_an_engine_that_there_is_not(name, remedy):
    with pytest.raises(UsageError, match=f"there is no engine '{name}'") as caught:
        engine_named(name)
    assert remedy in caught.value.remedy
