# SPDX-License-Identifier: Apache-2.0
"""The documentation cannot rot: links resolve, names are those of the code, and what a page shows is what happens.

Unmarked tests only read. Tests with the marker `docs` execute: every ```python block, and every ```console block, a
page being one shell session in an empty folder, as for somebody who types it. In a console block `$ ` begins a command,
`> ` continues it, `...` stands for lines left out. Port 8000 is replaced by a free one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
import typer

from inferometer import config, errors, kinds, records
from inferometer.analysis.comparable import KINDS
from inferometer.cli.main import app
from inferometer.engines import ENGINES
from inferometer.engines.facts import DEVICES
from inferometer.engines.gauges import GAUGES, HISTOGRAMS
from inferometer.engines.knobs import KNOBS
from inferometer.host.description import describe, devices, known_models
from inferometer.metrics import METRICS
from inferometer.metrics.slo_presets import presets
from inferometer.model.families import FAMILIES, PLAIN
from inferometer.model.formats import KV_FORMATS, WEIGHT_FORMATS
from inferometer.model.kv import bytes_per_token
from inferometer.plan.workloads import PRESETS as WORKLOADS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "benchmarks" / "README.md"])
SEPARATE = ("decisions", "benchmarks")  # written as notes, not as pages of the documentation
WIDTH = 120  # of what people read as text; tables are as wide as they are


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The insides of a page's fenced blocks in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def table(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table from a line on that begins with `heading`, without its two header rows."""
    _, found, rest = f"\n{text_of(page)}".partition(f"\n{heading}")
    assert found, f"{page} has no line that begins with {heading!r}"
    lines = re.search(r"(?:^\|.*\n)+", heading + rest, re.MULTILINE)
    assert lines, f"{page} has no table below {heading!r}"
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[0].splitlines()]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def words(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


# --- pages ---------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """How the headings of a page are linked to, by GitHub's rule."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{name_of(page)} links to {link}: no such heading"


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name not in SEPARATE], ids=name_of)
def test_lines_are_short(page):
    prose = re.sub(
        r"^```text.*?^```$", lambda fenced: "\n" * fenced[0].count("\n"), page.read_text(), flags=re.M | re.S
    )
    for n_line, line in enumerate(prose.splitlines(), 1):
        assert len(line) <= WIDTH or line.startswith("|"), f"{name_of(page)}, line {n_line}: {len(line)} columns"


def test_every_page_is_reached_from_the_index():
    listed = set(re.findall(r"\]\((\w+/[\w-]+\.md)", text_of("index.md")))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    reached = listed | {f"evidence/{link}" for link in re.findall(r"\]\(([\w-]+\.md)", text_of("evidence/index.md"))}
    assert {page for page in pages if not page.startswith("decisions/")} <= reached


# --- reference -----------------------------------------------------------------------------------------------------

COMMAND = typer.main.get_command(app)
VERBS = {
    " ".join(filter(None, (name, below))): inner
    for name, command in COMMAND.commands.items()
    for below, inner in (command.commands.items() if hasattr(command, "commands") else [("", command)])
}


def option_table(command) -> str:
    """Every option of a command, in the order of --help."""
    rows = ["| option | value | meaning |", "|---|---|---|"]
    for option in command.params:
        if option.param_type_name != "option":
            continue
        value = "" if option.is_flag else option.metavar or "TEXT"
        if isinstance(option.default, Enum):
            value = "|".join(member.value for member in type(option.default))
        names, value, meaning = (cell.replace("|", "\\|") for cell in (", ".join(option.opts), value, option.help))
        rows.append(f"| `{names}` | {f'`{value}`' if value else ''} | {meaning} |")
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("verb", ["inferometer", *VERBS])
def test_options_are_documented(verb, page_block):
    page_block("reference/cli.md", f"options of {verb}", option_table(VERBS.get(verb, COMMAND)))


def test_the_presets_of_limits_are_listed(page_block):
    rows = ["| preset | limits | share | from |", "|---|---|---|---|"]
    for name, preset in presets().items():
        rows.append(f"| `{name}` | `{preset.limits.text}` | {preset.attainment:.0%} | {preset.source} |")
    page_block("reference/cli.md", "presets", "\n".join(rows) + "\n")


def test_the_workloads_are_listed(page_block):
    rows = ["| workload | prompts | answers | from |", "|---|---|---|---|"]
    for one in WORKLOADS:
        rows.append(f"| `{one.name}` | `{one.input_tokens}` | `{one.output_tokens}` | {one.source} |")
    page_block("guides/choose.md", "workloads", "\n".join(rows) + "\n")


def test_every_verb_has_its_section():
    sections = set(re.findall(r"^## `inferometer ([\w -]+)`$", text_of("reference/cli.md"), re.MULTILINE))
    assert sections == set(VERBS)


def test_the_example_file_resolves(tmp_path):
    (example,) = blocks(DOCS / "reference" / "config.md", "toml")
    path = tmp_path / "chat.toml"
    path.write_text(example, encoding="utf-8")
    experiment = config.resolve({}, str(path))
    assert (experiment.mode, experiment.rate, experiment.for_s, experiment.repeats) == ("open", 4.0, 120.0, 3)
    assert not experiment.keeps_content
    assert config.resolve({"rate": 8.0}, str(path)).rate == 8.0


def config_keys() -> list[tuple[str, str]]:
    return [(words(row[0])[0], words(row[1])[0]) for row in table("reference/config.md", "## Keys")]


@pytest.mark.parametrize(("key", "example"), config_keys(), ids=[key for key, _ in config_keys()])
def test_each_key_is_taken_as_written(key, example, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "not-a-real-key")
    path = tmp_path / "one.toml"
    path.write_text(example + "\n", encoding="utf-8")
    # A law has no meaning without an open loop, settings none without an engine that is started.
    beside = {"arrivals": {"rate": 1.0}, "set": {"engine": "vllm"}, "revision": {"engine": "vllm"}}.get(key, {})
    assert example.startswith(f"{key} = ")
    assert config.resolve(beside, str(path)) != config.resolve(beside)


def test_every_option_of_run_that_can_stand_in_a_file_is_a_key():
    options = {name.removeprefix("--") for option in VERBS["run"].params for name in option.opts}
    once = {"config", "quiet", "dry-run", "format"}
    assert {key for key, _ in config_keys()} == options - once | {"url", "command"}
    assert all(f"`--{name}`" in text_of("reference/config.md") for name in once)


def test_every_metric_is_documented_with_its_unit():
    rows = re.findall(r"^\| `(\w+)`[ *HF]* \| `([^`]+)` \| (\w+) \| (\w+) \|", text_of("reference/metrics.md"), re.M)
    assert sorted(rows) == sorted((m.name, m.unit, m.per, m.better) for m in METRICS.values())


def test_headline_metrics_and_those_that_count_failures_are_marked():
    rows = re.findall(r"^\| `(\w+)` ?([*HF ]*)\| `", text_of("reference/metrics.md"), re.MULTILINE)
    marks = {name: mark.replace("*", "").split() for name, mark in rows}
    assert {name for name, mark in marks.items() if "H" in mark} == {m.name for m in METRICS.values() if m.is_headline}
    assert {name for name, mark in marks.items() if "F" in mark} == {
        m.name for m in METRICS.values() if m.counts_failures
    }


PARQUET_TYPES = {"i1": "INT8", "i2": "INT16", "i4": "INT32", "i8": "INT64", "f8": "DOUBLE"}


@pytest.mark.parametrize("name", records.TABLES)
def test_every_column_is_documented_with_its_type(name):
    dtype, enums = records.TABLES[name], ("phase", "outcome", "kind")
    rows = [(words(row[0])[0], row[1]) for row in table("reference/records.md", f"<!-- columns of {name} -->")]
    types = {column: PARQUET_TYPES.get(dtype[column].str[1:], "text") for column in dtype.names}
    assert rows == [(column, "text" if column in enums else types[column]) for column in dtype.names]


@pytest.mark.parametrize(
    ("heading", "enum"), [("### Outcomes", kinds.Outcome), ("| kind | what the event", kinds.ChunkKind)]
)
def test_the_words_of_the_records_are_documented(heading, enum):
    page = text_of("reference/records.md")
    found = re.findall(r"^\| `(\w+)` \|", page[page.index(heading) :], re.MULTILINE)
    assert found[: len(enum)] == [member.name.lower() for member in enum]


def error_classes(kind: type[errors.InferometerError]) -> Iterator[type[errors.InferometerError]]:
    for below in kind.__subclasses__():
        yield below
        yield from error_classes(below)


def test_exit_codes_are_documented():
    rows = {int(row[0]): words(row[2]) for row in table("reference/exit-codes.md", "# Exit codes")}
    for kind in error_classes(errors.InferometerError):
        if kind.__module__ == "inferometer.errors":
            assert kind.__name__ in rows[kind.exit_code]


def reason_codes() -> set[str]:
    """Codes that rules give their reasons: the first argument of `Reason(...)`."""
    sources = [path.read_text() for path in (ROOT / "src" / "inferometer" / "metrics").glob("reasons_*.py")]
    return {code for source in sources for code in re.findall(r"Reason\(\s*\"(\w+)\"", source)}


@pytest.mark.parametrize("page", ["guides/trust.md", "concepts/fidelity.md"])
def test_every_reason_is_explained(page):
    assert len(reason_codes()) > 20
    assert {found for found in re.findall(r"^\| `(\w+)` \|", text_of(page), re.MULTILINE) if "_" in found} >= {
        code for code in reason_codes() if "_" in code
    }
    assert all(f"| `{code}` |" in text_of(page) for code in reason_codes())


def test_every_check_of_the_doctor_is_explained():
    source = (ROOT / "src" / "inferometer" / "host" / "doctor.py").read_text()
    codes = set(re.findall(r"Check\(\s*\"([\w-]+)\"", source)) | set(re.findall(r"code = \"([\w-]+)\"", source))
    assert codes == {words(row[0])[0] for row in table("guides/trust.md", "| check | asks")}


def test_what_may_be_ignored_in_a_comparison_is_documented():
    assert [words(row[0])[0] for row in table("reference/cli.md", "| word for `--ignore`")] == list(KINDS)
    (option,) = (option for option in VERBS["compare"].params if "--ignore" in option.opts)
    assert ", ".join(KINDS) in option.help


def test_every_engine_is_documented():
    assert [words(row[0]) for row in table("reference/engines.md", "<!-- engines -->")] == [[e.name] for e in ENGINES]


STARTED = [engine for engine in ENGINES if engine.launch is not None]


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def test_the_knobs_of_every_engine_are_listed(page_block):
    rows = ["| knob | means | " + " | ".join(f"`{engine.name}`" for engine in STARTED) + " |"]
    rows.append("|---" * (len(STARTED) + 2) + "|")
    for name, (_, meaning) in KNOBS.items():
        cells = []
        for engine in STARTED:
            knob = engine.launch.knobs.get(name)
            written = [*knob.words[::2], *knob.off_words[:1], *knob.env, knob.option] if knob is not None else []
            cells.append(" ".join(f"`{word}`" for word in dict.fromkeys(written) if word) or "-")
        rows.append(f"| `{name}` | {meaning} | {' | '.join(cells)} |")
    page_block("reference/engines.md", "knobs", "\n".join(rows) + "\n")


def test_the_settings_that_avoid_traps_are_listed(page_block):
    rows = ["| engine | setting | because |", "|---|---|---|"]
    for engine in STARTED:
        for default in engine.launch.defaults:
            words = [
                " ".join(default.words),
                *(f"{k}={v}" for k, v in (*default.env.items(), *default.options.items())),
            ]
            shown = " ".join(word for word in words if word)
            rows.append(f"| `{engine.name}` | `{cell(shown)}` | {default.why} |")
    page_block("reference/engines.md", "defaults", "\n".join(rows) + "\n")


def test_what_every_engine_runs_on_is_listed(page_block):
    rows = ["| engine | runs on | models | licence | upkeep | proven |", "|---|---|---|---|---|---|"]
    for engine in ENGINES:
        if (facts := engine.facts) is not None:
            devices = ", ".join(f"{DEVICES[kind]} ({fact.known})" for kind, fact in facts.devices.items())
            told = (devices, facts.formats.text, facts.licence.text, facts.upkeep.text, facts.proven)
            rows.append(f"| `{engine.name}` | {' | '.join(map(cell, told))} |")
    page_block("reference/engines.md", "hardware", "\n".join(rows) + "\n")


def test_every_dialect_is_documented_with_the_fields_it_is_sent():
    rows = table("reference/engines.md", "<!-- dialects -->")
    spoken = [(engine.name, api, speech) for engine in ENGINES for api, speech in engine.speaks.items()]
    for row, (name, api, speech) in zip(rows, spoken, strict=True):
        dialect = speech.dialect
        assert [words(cell)[0] for cell in row[:4]] == [name, api, dialect.name, dialect.path]
        assert words(row[4]) == list(speech.length_extras)
        assert speech.length_extras or row[4] == "none"
        assert bool(speech.count_extras) == row[6].startswith("on request")


def test_the_traps_of_every_engine_are_listed(page_block):
    rows = [f"| `{engine.name}` | {quirk} |\n" for engine in ENGINES for quirk in engine.quirks]
    page_block("reference/engines.md", "traps", "| engine | trap |\n|---|---|\n" + "".join(rows))


def told_by(engine) -> str:
    """A row: what an engine tells of itself."""
    gauges = engine.gauges
    if gauges is None:
        return f"| `{engine.name}` | none that is known | | | |\n"
    names = [name for name in GAUGES if name in gauges.names] + [
        name for name in HISTOGRAMS if name in gauges.histograms
    ]
    cells = [f"`{gauges.path}`", ", ".join(f"`{name}`" for name in names)]
    cells += ["at the end" if gauges.counts_at_end else "as it works", gauges.remedy or "always on"]
    return f"| `{engine.name}` | {' | '.join(cells)} |\n"


def test_the_gauges_of_every_engine_are_listed(page_block):
    head = "| engine | where | what | counters move | if there are none |\n|---|---|---|---|---|\n"
    page_block("reference/engines.md", "gauges", head + "".join(map(told_by, ENGINES)))


def test_every_gauge_of_a_server_is_documented():
    page = table("reference/records.md", "| source | gauge")
    documented = {word for row in page if row[0] == "`server`" for word in words(row[1])}
    assert set(GAUGES) <= documented
    assert "n_ttft_le_BOUND" in documented
    assert all(f"`{name}`" in text_of("reference/records.md") for name in HISTOGRAMS if name != "ttft")


def test_every_number_of_the_servers_block_is_documented():
    source = (ROOT / "src" / "inferometer" / "metrics" / "server.py").read_text()
    documented = {word for row in table("reference/json.md", "<!-- server -->") for word in words(row[0])}
    named = set(re.findall(r'found\["((?:server|scraper)_\w+)"\]', source))
    assert len(named) >= 4
    assert named <= documented


def test_the_families_of_models_that_are_known_are_listed(page_block):
    def names(found):
        return ", ".join(f"`{name}`" for name in sorted(found))

    rows = f"| counted | families |\n|---|---|\n| with parameters | {names(FAMILIES)} |\n"
    page_block("reference/models.md", "families", rows + f"| without | {names(PLAIN)} |\n")


def test_the_formats_of_weights_and_caches_are_listed(page_block):
    kept = {"all": "nothing", "matrices": "embeddings, head, norms", "experts": "all but the experts"}
    rows = ["| weights | bits | kept in 16 bits | |", "|---|---|---|---|"]
    for format in WEIGHT_FORMATS.values():
        rows.append(f"| `{format.name}` | {float(format.bits):.8g} | {kept[format.touched]} | {format.note} |")
    page_block("reference/models.md", "weights", "\n".join(rows) + "\n")
    cells = [f"| `{name}` | {float(bits):g} |" for name, bits in KV_FORMATS.items()]
    page_block("reference/models.md", "caches", "\n".join(["| cache | bits |", "|---|---|", *cells]) + "\n")


def test_every_device_and_its_source_are_listed(page_block):
    rows = ["| device | GB | visible MiB | GB/s | bf16 | fp8 | fp4 | W | known | source |", "|---" * 10 + "|"]
    for device in devices():
        numbers = (device.memory_gb, device.visible_mib, device.bandwidth_gb_per_s, device.bf16_tflops)
        numbers += (device.fp8_tflops, device.fp4_tflops, device.power_w)
        shown = " | ".join("" if number is None else f"{number:.9g}" for number in numbers)
        told = "; ".join(filter(None, (device.source, device.note)))
        rows.append(f"| {device.name} | {shown} | {device.status} | {cell(told)} |")
    page_block("reference/models.md", "devices", "\n".join(rows) + "\n")


def test_every_known_model_is_listed(page_block):
    rows = ["| name | on the hub | parameters | B per token (bf16) |", "|---|---|---|---|"]
    for name, hub in known_models():
        its = describe(name).architecture
        counted = f"{its.parameters.total:,}" if its.parameters else "not known"
        rows.append(f"| `{name}` | {hub} | {counted} | {bytes_per_token(its):,} |")
    page_block("reference/models.md", "models", "\n".join(rows) + "\n")


def test_the_glossary_is_in_order():
    entries = [row[0] for row in table("reference/glossary.md", "# Glossary")]
    assert entries == sorted(entries, key=str.lower)


# --- what pages show -----------------------------------------------------------------------------------------------


@dataclass
class Command:
    """One command of a console block, and the lines the page shows after it."""

    text: str
    shown: list[str] = field(default_factory=list)


def commands(block: str) -> list[Command]:
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif line.startswith("> ") and found and not found[-1].shown:
            found[-1].text += "\n" + line[2:]
        else:
            found[-1].shown.append(line)
    return found


def session(page: Path) -> list[Command]:
    """All console commands of a page but those that set the project up."""
    return [command for block in blocks(page, "console") for command in commands(block)]


SHOWN_PORT = "8000"
MARK = "--- end of command {} with"
# Programs on the path, and a width that does not depend on who runs the tests.
ENVIRONMENT = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}


def script(session: list[Command], port: int) -> str:
    """A shell script that runs the commands one after the other and marks where the output of each ends."""
    lines = []
    for i, command in enumerate(session):
        lines += [re.sub(rf"\b{SHOWN_PORT}\b", str(port), command.text), "code=$?"]
        if command.text.endswith("&"):  # whoever types has waited until it was there
            lines.append(f"until (: < /dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.1; done")
        lines += [f"echo '{MARK.format(i)}' $code", "(exit $code)"]
    return "\n".join(lines) + "\n"


def executed(session: list[Command], folder: Path) -> list[tuple[int, str]]:
    """(exit code, output) of each command of a page."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryFile() as output:
        shell = subprocess.Popen(
            ["bash", "-c", script(session, port)],
            cwd=folder,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            shell.wait(timeout=500)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)  # servers in the background
            shell.wait()
        output.seek(0)
        text = output.read().decode("utf-8", errors="replace").replace(str(port), SHOWN_PORT)
    parts = re.split("^" + MARK.format(r"\d+") + r" (\d+)\n", text, flags=re.MULTILINE)
    assert len(parts) == 2 * len(session) + 1, f"the session ended early:\n{parts[-1]}"
    return [(int(code), part) for part, code in zip(parts[::2], parts[1::2], strict=False)]


# Lines that depend on the machine: verdicts, reasons and remedies, what is missing, legends, and all that is indented
# below a label. Their labels and numbers differ from run to run; of the others all words must come again.
_MACHINE = re.compile(
    r"VALID|SUSPECT|INVALID|valid |suspect |invalid |warning |note |trustworthy |  -  |  read as |   "
)
_LABELLED = re.compile(r"(engine|served|server|rates|load|smooth|client|limits|ttft|tpot|gap|e2e)\b")
_CHECKED = re.compile(r"  (ok|suspect|invalid) +([\w-]+)")
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]{2,}")
_UNITS = {"per"}


def fixed_words(line: str) -> set[str]:
    """The words of a shown line that every run must print."""
    if checked := _CHECKED.match(line):
        return {checked[2]}
    if line == "..." or _MACHINE.match(line):
        return set()
    if labelled := _LABELLED.match(line):
        return {labelled[1]}
    return set(_WORD.findall(line)) - _UNITS


def is_spoiled_by_the_machine(code: int, output: str) -> bool:
    """A busy machine makes runs invalid: a verdict, not an error, and no fault of the page."""
    told = output.replace("inferometer: these runs cannot be compared: validity: ", "")
    return code == errors.RunError.exit_code and "inferometer: " not in told


def check_session(page: Path, typed: list[Command], done: list[tuple[int, str]]) -> None:
    """Exit codes are 0, or what the page asks for by `echo $?`; what is shown was printed."""
    for i, (command, (code, output)) in enumerate(zip(typed, done, strict=True)):
        asks_code = i + 1 < len(typed) and typed[i + 1].text == "echo $?"
        expected = int(typed[i + 1].shown[0]) if asks_code else 0
        where = f"{name_of(page)}: $ {command.text}\n{output}"
        if is_spoiled_by_the_machine(code, output):
            continue
        assert code == expected, where
        if command.text != "echo $?":
            missing = set().union(*map(fixed_words, command.shown)) - set(_WORD.findall(output))
            assert not missing, f"{missing} shown, but not printed by {where}"


def check_python(page: Path, folder: Path) -> None:
    """Every block runs, and prints the ```text block right below it if there is one."""
    pattern = r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?"
    for source, shown in re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        done = subprocess.run([sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name_of(page)}:\n{source}\n{done.stderr}"
        assert not shown or done.stdout == shown


TRUTH = "-- python -m inferometer.truth.server --port {port}"


def executable_pages() -> list[Path]:
    return [page for page in PAGES if session(page) or blocks(page, "python")]


@pytest.mark.docs
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", executable_pages(), ids=name_of)
def test_what_a_page_shows_is_what_happens(page, tmp_path):
    typed = session(page)
    check_session(page, typed, executed(typed, tmp_path) if typed else [])
    check_python(page, tmp_path)


@pytest.mark.docs
def test_gauges_and_manifest_keys_of_a_run_are_documented(tmp_path):
    ((code, output),) = executed([Command(f"inferometer run --requests 20 --out run {TRUTH}")], tmp_path)
    assert code == 0 or is_spoiled_by_the_machine(code, output), output
    samples = records.read_table(tmp_path / "run" / "samples.parquet", records.SAMPLE)
    documented = {(*words(row[0]), *words(row[1])) for row in table("reference/records.md", "| source | gauge")}
    assert set(zip(samples["source"].tolist(), samples["gauge"].tolist(), strict=True)) <= documented
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert set(manifest) == {words(row[0])[0] for row in table("reference/records.md", "## `manifest.json`")}
