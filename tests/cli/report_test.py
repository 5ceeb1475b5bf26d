# SPDX-License-Identifier: Apache-2.0
"""`report` and `show`: what they print of a run folder, and how they refuse what is none."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def run(module_shell, truth):
    """Folder of a short run."""
    url = truth(ttft_ms=40, gap_ms=2).url
    done = module_shell("run", url, "--requests", "6", "--output-tokens", "4", "--out", "run", "--quiet")
    assert done.exit_code in (0, 4), done.stderr
    return module_shell.folder / "run"


def test_text_begins_with_the_verdict_and_ends_with_the_next_command(module_shell, run):
    done = module_shell("report", "run")
    assert done.exit_code in (0, 4)
    assert done.stdout.split()[0] in ("VALID", "SUSPECT", "INVALID")
    assert "6 ok" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["next", "inferometer", "show", "run", "--slowest", "5"]
    assert done.stderr == ""


@pytest.fixture(scope="module")
def document(module_shell, run):
    done = module_shell("report", "run", "--format", "json")
    assert (run / "report.json").read_text() == done.stdout
    return done.json


def test_json_is_the_document_in_the_folder(document):
    assert document["counts"]["ok"] == 6


def test_markdown_is_a_table(module_shell, run):
    done = module_shell("report", "run", "--format", "markdown")
    assert any(line.startswith("| `ttft_s` |") for line in done.stdout.splitlines())


def test_a_page_goes_to_a_file_and_says_how_large_it_is(module_shell, run):
    done = module_shell("report", "run", "--format", "html", "--out", "page.html")
    page = module_shell.folder / "page.html"
    assert (done.exit_code, done.stdout) in ((0, ""), (4, ""))
    assert done.stderr.startswith("page.html: ")
    assert page.read_text().startswith("<!doctype html>")
    assert page.read_text() == module_shell("report", "run", "--format", "html").stdout


def test_a_page_is_not_poured_into_a_terminal(module_shell, run):
    parent, child = os.openpty()
    command = [sys.executable, "-m", "inferometer", "report", "run", "--format", "html"]
    done = subprocess.run(command, cwd=module_shell.folder, stdout=child, stderr=subprocess.PIPE, text=True, timeout=60)
    for end in (parent, child):
        os.close(end)
    assert done.returncode == 2
    assert "--out report.html" in done.stderr


def test_a_file_that_cannot_be_written_is_said(module_shell, run):
    done = module_shell("report", "run", "--out", "nowhere/report.txt")
    assert done.exit_code == 4
    assert "cannot write nowhere/report.txt" in done.stderr


def test_csv_is_a_row_per_number(module_shell, run, document):
    done = module_shell("report", "run", "--format", "csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    (ttft,) = (row for row in rows if (row["name"], row["statistic"]) == ("ttft_s", "p50"))
    assert float(ttft["value"]) == document["metrics"]["ttft_s"]["p50"]["value"]


def test_other_limits_can_be_put_to_a_run_that_is_over(module_shell, run, document):
    done = module_shell("report", "run", "--slo", "ttft<1h,ttft_p50<1ms", "--format", "json")
    assert done.json["limits"]["per_run"][0]["result"] == "fail"
    assert done.json["limits"]["per_request"][0]["attained"]["value"] == 1
    assert done.exit_code == (4 if document["verdict"]["level"] == "invalid" else 5)


def test_show_prints_the_servers_bytes_of_the_slowest(module_shell, run):
    done = module_shell("show", "run", "--slowest", "2")
    assert done.exit_code == 0
    assert done.stdout.count("\ncurl ") == 2
    assert done.stdout.count('{"content":" alpha"}') == 2
    assert done.stdout.count("data: [DONE]\\n") == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_line_sends_the_request_again(module_shell, run):
    line = module_shell("show", "run", "--request", "3").stdout.strip().splitlines()[-1]
    again = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30)
    assert again.returncode == 0, again.stderr
    assert '"prompt_tokens":128' in again.stdout
    assert again.stdout.endswith("data: [DONE]\n\n")


@pytest.mark.slow
def test_show_refuses_a_request_that_is_not_there(module_shell, run, refused):
    refused(module_shell("show", "run", "--request", "99"), 2, "no request 99", "0 to")


def test_a_folder_that_is_not_there(shell, refused):
    refused(shell("report", "nowhere"), 2, "no folder nowhere", "inferometer-runs")


@pytest.mark.parametrize("verb", ["report", "show"])
def test_a_folder_that_is_no_run(shell, refused, verb):
    (shell.folder / "photos").mkdir()
    refused(shell(verb, "photos"), 6, "photos is not a run folder")


def test_a_run_of_a_newer_version(shell, run, refused):
    shutil.copytree(run, shell.folder / "newer")
    manifest = json.loads((run / "manifest.json").read_text())
    (shell.folder / "newer" / "manifest.json").write_text(json.dumps(manifest | {"schema": 99}))
    refused(shell("report", "newer"), 6, "schema 99, newer than", "update inferometer")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest.json", "requests.parquet", "recorder.bin"])
def test_a_damaged_file_is_named(shell, run, refused, name):
    shutil.copytree(run, shell.folder / "damaged")
    (shell.folder / "damaged" / name).write_bytes(b"not what it was")
    if name == "recorder.bin":  # only read again where a table is missing
        (shell.folder / "damaged" / "chunks.parquet").unlink()
    refused(shell("report", "damaged"), 6, f"damaged/{name}")


def test_tables_that_are_missing_are_made_again(shell, run, document):
    shutil.copytree(run, shell.folder / "again")
    for table in (shell.folder / "again").glob("*.parquet"):
        table.unlink()
    again = shell("report", "again", "--format", "json").json
    assert again["metrics"] == document["metrics"]
