# SPDX-License-Identifier: Apache-2.0
"""`explain memory` as one types it: the answer first, in under a second, and refusals with a remedy."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from inferometer.host.description import devices, known_models


def explained(shell, *args):
    done = shell("explain", "memory", *args, "--format", "json")
    assert done.exit_code == 0, done.stderr
    return done.json


def test_the_answer_stands_first(shell):
    done = shell("explain", "memory", "Qwen3-32B", "--device", "H200", "--context", "4096")
    assert done.stdout.startswith("Qwen3-32B on H200-SXM-141GB: 62 sequences fit, of 4,096 tokens each\n")
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert len(done.stdout.splitlines()) <= 36


def test_text_and_json_say_the_same(shell):
    document = explained(shell, "Qwen3-32B", "--device", "H200", "--context", "4096")
    assert document["schema"] == "inferometer/memory/1"
    assert document["n_sequences"] == 62
    assert document["cache"]["bytes_per_token"] == 262144
    assert document["weights"]["bytes"] == 2 * 32_762_123_264
    room = 143771 * 2**20 * 0.9 - 2 * 32_762_123_264 - 3.5e9
    assert document["cache"]["room_bytes"] == pytest.approx(room, abs=2)
    assert document["n_sequences"] == int(room) // (4096 * 262144)
    assert document["by_format"][0]["n_sequences"]["1"] == 62


def test_it_takes_about_half_a_second():
    """Of CPU: what it takes on a machine with nothing else to do. Elapsed time would measure the neighbours, and they
    make CPU time longer, too: twice what is promised is far more than they can."""
    argv = [sys.executable, "-P", "-m", "inferometer", "explain", "memory", "DeepSeek-V3", "--device", "H200"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_everything_in_the_list_can_be_asked_for(shell):
    listed = shell("explain", "memory", "--list").stdout
    assert all(device.name in listed for device in devices())
    assert all(name in listed for name, _ in known_models())


def test_a_config_on_disk(shell):
    config = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4}
    config |= {"num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100, "tie_word_embeddings": True}
    folder = shell.folder / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    for given in ("mine", "mine/config.json"):
        document = explained(shell, given, "--memory", "1GB", "--share", "1", "--other", "0", "--context", "16")
        assert document["model"]["name"] == "mine"
        assert document["n_sequences"] == (10**9 - document["weights"]["bytes"]) // (16 * 256 * 2)


def test_shape_and_bytes_of_weights_on_disk_win(shell):
    from inferometer.embedded.weights import write_weights

    np = pytest.importorskip("numpy")
    config = {"model_type": "new", "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "vocab_size": 10}
    folder = shell.folder / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    write_weights(folder / "model.safetensors", {"model.embed_tokens.weight": np.zeros((10, 8), np.float16)})
    document = explained(shell, "mine", "--device", "L4")
    assert (document["weights"]["bytes"], document["weights"]["format"]) == (160, "as stored")
    assert document["model"]["n_parameters"] == 80
    assert "new is not known here" in document["model"]["not_known"][0]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["Qwen3-32B", "--device", "H20"], ("no device 'H20'", "did you mean H200")),
        (["Qwen3-32", "--device", "H200"], ("no file, folder or known model", "did you mean Qwen3-32B?")),
        (["missing.gguf"], ("there is no file or folder missing.gguf",)),
        (["Qwen3-8B", "--device", "L4", "--tp", "3"], ("32 attention heads", "1, 2, 4, 8, 16")),
        (["Qwen3-8B", "--device", "L4", "--weights", "q4_k"], ("no weight format", "did you mean q4_k_")),
        (["Qwen3-8B", "--device", "L4", "--kv", "fp9"], ("no format of keys and values", "did you mean fp8")),
        (["Qwen3-8B", "--memory", "lots"], ("'lots' is not a size", "24GB")),
        (["Qwen3-8B", "--device", "Xeon"], ("no memory of its own size", "--memory 512GB")),
        (["Qwen3-8B", "--device", "L4", "--context", "99999"], ("made for 40,960 tokens",)),
        (["Qwen3-8B", "--share", "2"], ("--share", "inferometer explain memory --help")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_refusal_has_a_remedy(shell, refused, args, words):
    refused(shell("explain", "memory", *args), 2, *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no object"),
        ("{}", "has no num_hidden_layers"),
        ('{"num_hidden_layers": true}', "num_hidden_layers is True"),
    ],
)
def test_a_config_that_is_none(shell, refused, text, words):
    (shell.folder / "config.json").write_text(text)
    refused(shell("explain", "memory", "config.json", "--device", "L4"), 2, words)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--check", "--device", "H200"), "--device means nothing"),
        (("--list", "--format", "json"), "no --format json"),
        (("trained", "--budget", "2m"), "--budget is about a running engine"),
        (("http://127.0.0.1:9", "--context", "512"), "--context means nothing here"),
        (("trained", "--engine", "llamacpp", "--check"), "--check means nothing here"),
    ],
)
def test_flags_that_would_be_passed_over_are_refused(shell, flags, word):
    done = shell("explain", "memory", *flags)
    assert done.exit_code == 2
    assert word in done.stderr
