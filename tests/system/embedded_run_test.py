# SPDX-License-Identifier: Apache-2.0
"""`inferometer run` without a URL: the real engine with the model made here, in every mode."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from inferometer.embedded import models

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    "flags",
    [
        ("--for", "2s", "--warmup", "0.5s"),
        ("--concurrency", "2", "--requests", "8", "--api", "completions", "--shared-prefix", "16"),
        ("--concurrency", "2", "--requests", "6", "--api", "native"),
        ("--concurrency", "2", "--requests", "6", "--count-tokens"),
        ("--rate", "4", "--requests", "8", "--output-tokens", "uniform:5-20"),
        ("--burst", "--requests", "8", "--no-stream", "--no-content"),
        ("--requests", "4", "--repeats", "2", "--input-tokens", "lognormal:60,0.3", "--temperature", "0.7"),
    ],
    ids=" ".join,
)
def test_the_engine_is_started_obeys_and_is_stopped(shell, rows, flags):
    done = shell("run", *flags, "--out", "run", "--format", "json", timeout=120)
    assert done.exit_code in (0, 4), done.stderr
    assert done.json["counts"]["failed"] == 0
    found = rows(shell.folder / "run")
    assert {row["outcome"] for row in found} == {"ok"}
    for row in found:
        assert row["n_output_tokens"] == row["n_output_tokens_asked"]
        assert row["n_prompt_tokens"] == row["n_prompt_tokens_asked"]
    engine = json.loads((shell.folder / "run" / "manifest.json").read_text())["engine"]
    assert engine["is_embedded"]
    assert done.json["engine"]["model"] == models.choose().served
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(engine["url"]).port), timeout=5)


@pytest.mark.parametrize("model", [model.name for model in models.models()])
def test_each_of_its_models_can_be_asked_for(shell, rows, model):
    flags = ("--model", model, "--requests", "6", "--input-tokens", "600", "--temperature", "1")
    done = shell("run", *flags, "--out", "run", "--format", "json", timeout=120)
    assert done.exit_code in (0, 4), done.stderr
    assert done.json["engine"]["model"] == models.choose(model).served
    found = rows(shell.folder / "run")
    assert [row["n_prompt_tokens"] for row in found] == [600] * len(found)
    for row in found:
        assert row["n_output_tokens"] == row["n_output_tokens_asked"]


def test_no_prefix_cache_helps_unless_it_was_asked_for(shell, rows):
    flags = ("--concurrency", "2", "--requests", "10", "--output-tokens", "8", "--input-tokens", "64")
    for name, extra in (("apart", ()), ("shared", ("--shared-prefix", "40"))):
        done = shell("run", *flags, *extra, "--out", name, "--quiet", timeout=120)
        assert done.exit_code in (0, 4), done.stderr
    apart, shared = ([row["n_cached_tokens"] for row in rows(shell.folder / name)] for name in ("apart", "shared"))
    assert max(apart) <= 8, "the chat template's own beginning at most"
    assert max(shared) >= 40
