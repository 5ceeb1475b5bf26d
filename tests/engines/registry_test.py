# SPDX-License-Identifier: Apache-2.0
"""Engines of other packages: the example of docs/guides/add-an-engine.md as an installed package, and refusals."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from tests.host.fake_server import Answer, FakeEngine, serving

from inferometer.drive.answer import Answer as Heard
from inferometer.engines import ENGINES, vllm
from inferometer.engines.gauges import canonical
from inferometer.engines.launch import Knob
from inferometer.engines.registry import GROUP, combined, dialects, engines
from inferometer.errors import UsageError
from inferometer.kinds import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "add-an-engine.md"


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def package(tmp_path):
    """A folder that, on the path, is the installed package of the page."""
    (tmp_path / "acme_engine.py").write_text(block("python"), encoding="utf-8")
    (value,) = re.findall(r'^acme = "(.*)"$', block("toml"), re.MULTILINE)
    info = tmp_path / "inferometer_acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: inferometer-acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nacme = {value}\n")
    return tmp_path


def python(package: Path, source: str, *args: str) -> str:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", source, *args], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ours_are_all_there_is_without_packages():
    assert engines() == ENGINES
    assert combined(()) == ENGINES
    assert list(dialects())[:2] == ["chat", "completions"]


@pytest.mark.parametrize("first", ["", "import acme_engine\n"])
def test_the_example_is_found_whatever_is_imported_first(package, first):
    source = first + "from inferometer.engines.registry import engines, dialects\nprint(engines()[0].name, *dialects())"
    assert python(package, source).split()[:4] == ["acme", "chat", "completions", "acme-generate"]


ASK = """
import json, sys
from dataclasses import asdict
from inferometer.engines.registry import dialects, engines
from inferometer.host.ask import ask
facts = ask(sys.argv[1], engines=engines(), dialects=dialects(), api=sys.argv[2])
print(json.dumps(asdict(facts)))
"""


def test_the_example_recognises_its_server_and_speaks_its_protocol(package):
    def generate(body, headers):
        n_output = body.get("exact_tokens", 2)
        lines = [{"piece": " ok", "n": i + 1} for i in range(n_output)]
        lines.append({"end": "length", "n_prompt": len(body["text"].split()), "n_total": n_output})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        return Answer(text.encode(), headers={"content-type": "application/x-ndjson"})

    about = {"product": "acme", "version": "1.2", "context": 4096}
    routes = FakeEngine(obeys=("exact_tokens",)).routes() | {
        "GET /acme/about": lambda body, headers: Answer(about),
        "POST /acme/generate": generate,
    }
    with serving(routes) as url:
        native, chat = (json.loads(python(package, ASK, url, api)) for api in ("native", "chat"))
    for facts in (native, chat):
        assert (facts["engine"], facts["version"], facts["context_tokens"]) == ("acme", "1.2", 4096)
        assert facts["is_length_forced"]
        assert facts["notes"] == []
    assert native["api"] == "acme-generate"
    assert native["counts_by"] == "usage"


def test_the_example_reads_its_stream_however_it_is_cut():
    module: dict[str, object] = {}
    exec(block("python"), module)  # the page is ours
    body = re.search(r"^```text\n(\{.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[1].encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncontent-length: %d\r\n\r\n" % len(body)
    for n_read in (1, 7, 10_000):
        answer, stream = Heard(module["GENERATE"]), head + body
        for at in range(0, len(stream), n_read):
            answer.feed(stream[at : at + n_read], at)
        assert answer.n_tokens.tolist() == [1, 1, -1, -1]
        assert (answer.usage.n_prompt_tokens, answer.usage.n_output_tokens) == (26, 3)
        assert answer.outcome(3) == (Outcome.OK, "")


def test_the_example_is_started_with_its_own_flags(package):
    (package / "m.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    words = [
        "serve",
        "acme",
        "--model",
        str(package / "m.gguf"),
        "--port",
        "8001",
        "--set",
        "context=4096",
        "--dry-run",
    ]
    source = "import sys; from inferometer.cli.main import main; sys.argv = ['inferometer', *sys.argv[1:]]; main()"
    told = python(package, source, *words, "--set", "seed=7")
    listen = "--listen 127.0.0.1:8001 --no-replay --window 4096"
    assert told.strip() == f"env ACME_SEED=7 acme-serve --weights {package}/m.gguf {listen}"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no_such_module:ENGINE", "cannot be loaded (ModuleNotFoundError: No module named 'no_such_module')"),
        ("inferometer.engines.vllm:NO_SUCH", "cannot be loaded (AttributeError"),
        ("inferometer.engines.vllm:TOKENS", "is no Engine"),
        ("inferometer.engines.vllm:ENGINE", "there is an engine named 'vllm' already"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(value, says):
    with pytest.raises(UsageError) as caught:
        combined([EntryPoint("x", value, GROUP)])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "uninstall" in caught.value.remedy


class Entry:
    """An entry point whose value is at hand."""

    name, value, dist = "x", "x:ENGINE", None

    def __init__(self, engine):
        self.load = lambda: engine


def test_names_and_apis_must_fit():
    from dataclasses import replace

    other = replace(vllm.ENGINE, name="fork")
    assert [engine.name for engine in combined([Entry(other)])][:2] == ["fork", "llama.cpp"]
    with pytest.raises(UsageError, match="an engine named 'fork' already"):
        combined([Entry(other), Entry(other)])
    for speaks in ({}, {"grpc": vllm.ENGINE.speaks["chat"]}):
        with pytest.raises(UsageError, match="must speak one or more of chat"):
            combined([Entry(replace(other, speaks=speaks))])
    with pytest.raises(UsageError, match="its knobs must be among max_concurrency"):
        combined([Entry(replace(other, launch=replace(vllm.ENGINE.launch, knobs={"window": Knob(("--w",))})))])
    speech = vllm.ENGINE.speaks["chat"]
    mine = replace(speech, dialect=replace(speech.dialect, path="/mine"))
    with pytest.raises(UsageError, match="another dialect named 'chat' already"):
        combined([Entry(replace(other, speaks={"chat": mine}))])


def test_the_example_reads_its_gauges():
    module: dict[str, object] = {}
    exec(block("python"), module)  # the page is ours
    old = 'acme_active_jobs 3\nacme_first_token_seconds_bucket{le="+Inf"} 2\n'
    assert canonical(module["GAUGES"], old) == {"requests_running": 3, "n_ttft": 2}
