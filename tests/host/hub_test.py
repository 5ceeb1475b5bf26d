# SPDX-License-Identifier: Apache-2.0
"""The real `huggingface_hub` against a small hub on loopback: pinned, chosen, cached, and what is said offline.

Each look-up is a process of its own, for the package reads its variables when it is imported.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

SHA = "0123456789abcdef0123456789abcdef01234567"
ORIGINAL = {"config.json": b"{}", "model.safetensors": b"12345", "pytorch_model.bin": b"old", "README.md": b"long"}
LLAMA = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 9}
DESCRIBED = {
    "config.json": json.dumps({**LLAMA, "intermediate_size": 8}).encode(),
    "model.safetensors.index.json": b'{"metadata": {"total_size": 12345}}',
    "model.safetensors": b"never fetched",
}
QUANTIZED = {f"m-{kind}.gguf": kind.encode() for kind in ("Q4_K_M", "Q8_0", "F16")}
REPOSITORIES = {
    "acme/tiny": ORIGINAL,
    "acme/described": DESCRIBED,
    "acme/tiny-GGUF": QUANTIZED,
    "acme/odd-GGUF": {"a-Q8_0.gguf": b"a", "b-F16.gguf": b"b"},
}

FETCH = """
import json, sys
from inferometer.errors import InferometerError
from inferometer.host import hub
given, wants_gguf, revision = json.loads(sys.argv[1])
try:
    found = hub.fetch(given, wants_gguf=wants_gguf, revision=revision)
    print(json.dumps([str(found.path), found.revision]))
except InferometerError as error:
    print(json.dumps({"code": error.exit_code, "says": str(error), "remedy": error.remedy}))
"""


DESCRIBE = """
import json, sys
from inferometer.errors import InferometerError
from inferometer.host.description import describe
try:
    found = describe(sys.argv[1])
    print(json.dumps([found.name, found.source, found.stored.n_bytes, found.architecture.n_layers]))
except InferometerError as error:
    print(json.dumps({"code": error.exit_code, "says": str(error), "remedy": error.remedy}))
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of it as a download needs."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        for name, files in REPOSITORIES.items():
            if path.startswith(f"/api/models/{name}/revision/") or path == f"/api/models/{name}":
                revision = path.rpartition("/revision/")[2]
                if revision in ("main", SHA) or path == f"/api/models/{name}":
                    siblings = [{"rfilename": file} for file in files]
                    self.answer(json.dumps({"id": name, "sha": SHA, "siblings": siblings}).encode())
                else:
                    self.answer(b"{}", 404, {"x-error-code": "RevisionNotFound"})
                return
            if path.startswith(f"/api/models/{name}/tree/"):
                tree = [{"type": "file", "path": f, "size": len(d), "oid": "0" * 40} for f, d in files.items()]
                self.answer(json.dumps(tree).encode())
                return
            if path.startswith(f"/{name}/resolve/"):
                self.answer(files[path.rpartition("/")[2]], 200, {"etag": f'"{path[-20:]}"', "x-repo-commit": SHA})
                return
        self.answer(b"{}", 404, {"x-error-code": "RepoNotFound"})

    do_HEAD = do_GET

    def answer(self, body, status=200, headers=None):
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    handler = type("Asked", (Hub,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    server.asked = handler.asked
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(hub, tmp_path):
    """`fetch(name, wants_gguf, revision, **variables)`: what was found, or the error as a mapping."""

    def ask(given, wants_gguf=False, revision=None, **variables):
        return told_by(hub, tmp_path, FETCH, json.dumps([given, wants_gguf, revision]), **variables)

    return ask


def told_by(hub, home, script, argument, **variables):
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **variables}
    words = [sys.executable, "-c", script, argument]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_model_is_described_without_its_weights(hub, tmp_path):
    found = told_by(hub, tmp_path, DESCRIBE, "acme/described")
    assert found == ["acme/described", f"the Hugging Face hub, commit {SHA[:12]}", 12345, 4]
    assert not any(path.endswith(".safetensors") for path in hub.asked)
    offline = told_by(hub, tmp_path, DESCRIBE, "acme/described", HF_HUB_OFFLINE="1")
    assert offline == found, "out of the cache"


@pytest.mark.parametrize(
    ("given", "variables", "code", "says"),
    [
        ("acme/nothing", {}, 2, "the Hugging Face hub has no model acme/nothing"),
        ("acme/tiny-GGUF", {}, 2, "acme/tiny-GGUF has no config.json on the hub"),
        ("acme/described", {"HF_HUB_OFFLINE": "1"}, 3, "acme/described is not in the cache"),
    ],
)
def test_what_cannot_be_described(hub, tmp_path, given, variables, code, says):
    error = told_by(hub, tmp_path, DESCRIBE, given, **variables)
    assert error["code"] == code
    assert says in error["says"]


def test_a_model_is_one_commit_and_only_what_an_engine_reads(fetch):
    path, revision = fetch("acme/tiny")
    assert revision == SHA
    assert sorted(file.name for file in Path(path).iterdir()) == ["config.json", "model.safetensors"]


def test_of_several_quantizations_the_one_that_is_named_or_the_usual_one(fetch):
    for given, expected in (
        ("acme/tiny-GGUF:Q8_0", b"Q8_0"),
        ("acme/tiny-GGUF:f16", b"F16"),
        ("acme/tiny-GGUF", b"Q4_K_M"),
    ):
        path, _ = fetch(given, wants_gguf=True)
        assert Path(path).read_bytes() == expected
    assert len(list(Path(path).parent.glob("*.gguf"))) == 3, "each was fetched alone"


@pytest.mark.parametrize(
    ("given", "wants_gguf", "revision", "says"),
    [
        ("acme/nothing", False, None, "the Hugging Face hub has no model acme/nothing"),
        ("acme/tiny", False, "v9", "has no revision v9 of acme/tiny"),
        ("acme/tiny", True, None, "acme/tiny has 0 GGUF files that fit: none"),
        ("acme/tiny-GGUF", False, None, "no weights in the Hugging Face layout"),
        ("acme/tiny-GGUF:Q2_K", True, None, "has 0 GGUF files that fit"),
        ("acme/odd-GGUF", True, None, "has 2 GGUF files that fit: F16, Q8_0"),
    ],
)
def test_what_it_has_not_is_a_mistake_of_ours(fetch, given, wants_gguf, revision, says):
    error = fetch(given, wants_gguf, revision)
    assert error["code"] == 2
    assert says in error["says"]
    assert error["remedy"]


@pytest.mark.parametrize("variables", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:1"}])
def test_offline_the_cache_is_enough_and_without_it_that_is_said(fetch, variables):
    path, revision = fetch("acme/tiny")
    assert fetch("acme/tiny", **variables) == [path, revision]
    error = fetch("acme/other", **variables)
    assert error["code"] == 3
    assert "cannot be reached" in error["says"]
    assert "acme/other is not whole in the cache" in error["says"]
    assert "on disk" in error["remedy"]


def test_what_is_cached_is_not_fetched_again(fetch, hub):
    fetch("acme/tiny")
    before = [path for path in hub.asked if "/resolve/" in path]
    fetch("acme/tiny")
    again = [path for path in hub.asked if "/resolve/" in path][len(before) :]
    assert before
    assert again == []


def test_offline_a_model_of_which_a_shard_is_missing_is_not_whole(fetch):
    path, _ = fetch("acme/tiny")
    index = Path(path, "model.safetensors.index.json")
    index.write_text(json.dumps({"weight_map": {"w": "model-00002-of-00002.safetensors"}}))
    assert fetch("acme/tiny", HF_HUB_OFFLINE="1")["code"] == 3
    index.write_text(json.dumps({"weight_map": {"w": "model.safetensors"}}))
    assert fetch("acme/tiny", HF_HUB_OFFLINE="1")[0] == path
