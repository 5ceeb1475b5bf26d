# SPDX-License-Identifier: Apache-2.0
"""The real engine with the model made here: it loads, obeys lengths, and answers in clean text, one event per token."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request

import httpx
import psutil
import pytest

from inferometer.embedded import model_name, models
from inferometer.embedded.cache import ensure_model
from inferometer.embedded.server import command
from inferometer.embedded.words import train_tokenizer
from inferometer.errors import EngineError
from inferometer.host.launch import launch, place_port
from inferometer.tasks import Split, Task, is_right, make_item

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

pytestmark = pytest.mark.engine

N_SLOTS = 4

# Starts the command given, says its pid and its first line, and waits.
PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
print(child.pid, child.stdout.readline(), flush=True)
child.wait()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return ensure_model(folder=tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def url(model, tmp_path_factory):
    argv, base_url = place_port(command(model, n_slots=N_SLOTS), None)
    with launch(argv, base_url=base_url, log_path=tmp_path_factory.mktemp("logs") / "engine.log"):
        yield base_url


def stream(url, path, **body):
    """(texts of the events that carry any, finish reasons, usage) of one streamed answer."""
    texts, finishes, usage = [], [], None
    body |= {"model": model_name(), "stream": True, "stream_options": {"include_usage": True}}
    with httpx.stream("POST", url + path, json=body, timeout=60) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            usage = event.get("usage") or usage
            for choice in event["choices"]:
                text = choice.get("text") or choice.get("delta", {}).get("content")
                texts += [text] if text else []
                finishes += [choice["finish_reason"]] if choice["finish_reason"] else []
    return texts, finishes, usage


def completion(n_tokens, temperature=0.0, seed=1):
    return "/v1/completions", {
        "prompt": [300 + (seed * 7919 + i * 104729) % 3000 for i in range(40)],
        "max_tokens": n_tokens,
        "ignore_eos": True,
        "temperature": temperature,
        "seed": seed,
    }


def chat(n_tokens, temperature=0.0, seed=1):
    return "/v1/chat/completions", {
        "messages": [{"role": "user", "content": f" some words {seed}"}],
        "max_tokens": n_tokens,
        "ignore_eos": True,
        "temperature": temperature,
        "seed": seed,
    }


@pytest.mark.parametrize("ask", [completion, chat])
@pytest.mark.parametrize("n_tokens", [1, 2, 33, 200])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_lengths_are_obeyed_and_each_token_is_an_event_of_clean_text(url, ask, n_tokens, temperature):
    path, body = ask(n_tokens, temperature, seed=n_tokens)
    texts, finishes, usage = stream(url, path, **body)
    assert usage["completion_tokens"] == n_tokens
    assert finishes == ["length"]
    assert len(texts) == n_tokens
    assert all(text.startswith(" ") and text[1:].isascii() and text[1:].isalpha() for text in texts)


def test_more_at_once_than_slots_all_get_their_length(url):
    answers = {}

    def ask(i):
        path, body = completion(20 + i, seed=i)
        answers[i] = stream(url, path, **body)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2 * N_SLOTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {i: usage["completion_tokens"] for i, (_, _, usage) in answers.items()} == {
        i: 20 + i for i in range(2 * N_SLOTS)
    }


def test_prompts_are_counted_as_sent_and_the_chat_template_adds_three_tokens(url):
    path, body = completion(1)
    assert stream(url, path, **body)[2]["prompt_tokens"] == len(body["prompt"])
    content = " some plain words"
    n_content = len(train_tokenizer(1, 4096).encode(content).ids)
    _, _, usage = stream(
        url, "/v1/chat/completions", messages=[{"role": "user", "content": content}], max_tokens=1, ignore_eos=True
    )
    assert usage["prompt_tokens"] == n_content + 3  # <|user|> ... <|end|><|assistant|>


def test_the_engines_tokenizer_is_the_one_that_was_trained(url):
    tokenizer = train_tokenizer(1, 4096)
    text = " What is it? Größe, 你好\n\t🙂 " + tokenizer.decode(range(300, 400))
    ids = httpx.post(f"{url}/tokenize", json={"content": text}).json()["tokens"]
    assert ids == tokenizer.encode(text).ids


def test_it_says_what_it_serves_and_counts_what_it_does(url):
    assert httpx.get(f"{url}/v1/models").json()["data"][0]["id"] == "inferometer-tiny-v1-s1"
    assert httpx.get(f"{url}/props").json()["total_slots"] == N_SLOTS
    assert "llamacpp:tokens_predicted_total" in httpx.get(f"{url}/metrics").text


def test_sigterm_ends_it_while_it_is_answering(model, tmp_path):
    argv, base_url = place_port(command(model, n_slots=1), None)
    with launch(argv, base_url=base_url, log_path=tmp_path / "log", grace_s=60) as server:
        path, body = completion(1500)
        request = urllib.request.Request(
            base_url + path, json.dumps(body | {"stream": True}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            answer.readline()
            os.kill(server.pids()[0], signal.SIGTERM)
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
    assert server.exit_code == 0


def test_it_ends_with_its_parent(model):
    argv, _ = place_port(command(model, n_slots=1), None)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    pid, _, line = parent.stdout.readline().partition(b" ")
    assert b"ready on http://127.0.0.1:" in line
    engine = psutil.Process(int(pid))
    parent.kill()
    parent.communicate()
    engine.wait(timeout=60)


def test_a_model_that_is_not_there_is_told_in_the_engines_words(tmp_path):
    argv, base_url = place_port(command(tmp_path / "none.gguf", n_slots=1), None)
    with pytest.raises(EngineError, match=r"exit code 1") as caught:
        launch(argv, base_url=base_url, log_path=tmp_path / "log")
    assert "none.gguf" in caught.value.remedy
    assert "model's path" in caught.value.remedy


# --- the trained model ---------------------------------------------------------------------------------------------

TRAINED = [model for model in models.models() if model.name != "random"]


@pytest.fixture(scope="module", params=TRAINED, ids=lambda model: model.name)
def trained_url(request, tmp_path_factory):
    argv, base_url = place_port(command(request.param.ensure(), n_slots=N_SLOTS), None)
    with launch(argv, base_url=base_url, log_path=tmp_path_factory.mktemp("logs") / "engine.log"):
        yield base_url


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_beyond_its_answer_it_goes_on_in_clean_text_one_event_per_token(trained_url, path, temperature):
    for seed, text in enumerate(("What is 47 plus 38?", "water river stone", "Größe, 你好 {}", " x")):
        asked = {"prompt": text} if path == "/v1/completions" else {"messages": [{"role": "user", "content": text}]}
        told = stream(trained_url, path, **asked, max_tokens=150, ignore_eos=True, temperature=temperature, seed=seed)
        texts, finishes, usage = told
        assert (usage["completion_tokens"], finishes, len(texts)) == (150, ["length"], 150)
        assert all(text.isascii() and text.isprintable() for text in texts)


def test_it_answers_most_questions_and_stops_by_itself(trained_url):
    n_right = 0
    for i in range(10):
        item = make_item(Task.RETRIEVAL, Split.HELD_OUT, 1, i, n_facts=4)
        body = {"messages": [{"role": "user", "content": item.prompt}], "temperature": 0, "max_tokens": 100}
        answer = httpx.post(f"{trained_url}/v1/chat/completions", json=body, timeout=60).json()["choices"][0]
        assert answer["finish_reason"] == "stop"
        n_right += is_right(item, answer["message"]["content"])
    assert n_right >= 8
