# SPDX-License-Identifier: Apache-2.0
"""Help, version and the dry run: what can be had without a server."""

from __future__ import annotations

import re
import subprocess
import sys

from inferometer import __version__

FLAGS = [
    "--engine",
    "--set",
    "--revision",
    "--model",
    "--api",
    "--concurrency",
    "--rate",
    "--burst",
    "--arrivals",
    "--requests",
    "--for",
    "--warmup",
    "--input-tokens",
    "--output-tokens",
    "--shared-prefix",
    "--count-tokens",
    "--keep-caches",
    "--no-stream",
    "--temperature",
    "--seed",
    "--slo",
    "--repeats",
    "--timeout",
    "--stall-timeout",
    "--header",
    "--api-key-env",
    "--insecure",
    "--out",
    "--no-content",
    "--format",
    "--quiet",
    "--dry-run",
    "--config",
]


def test_every_promised_flag_is_there(shell):
    done = shell("run", "--help")
    assert done.exit_code == 0
    assert set(FLAGS) <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_every_verb_is_there(shell):
    for done in (shell("--help"), shell()):
        assert done.exit_code == 0
        assert re.findall(
            r"^  (run|sweep|limit|engines|serve|report|show|self-test|doctor) ", done.stdout, re.MULTILINE
        ) == [
            "run",
            "sweep",
            "limit",
            "engines",
            "serve",
            "report",
            "show",
            "self-test",
            "doctor",
        ]


def test_the_command_line_is_read_without_what_computes():
    code = "import sys, inferometer.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "duckdb", "msgspec", "inferometer.tasks"} & set(done.stdout.split())


def test_version(shell):
    assert shell("--version").stdout == f"inferometer {__version__}\n"


def test_a_dry_run_sends_nothing_and_makes_nothing(shell, tripwire):
    flags = ("--rate", "20", "--requests", "100", "--repeats", "2", "--output-tokens", "16", "--warmup", "10")
    document = shell("run", tripwire.url, *flags, "--dry-run", "--format", "json").json
    assert document["schema"] == "inferometer/dry-run/1"
    assert (document["n_trials"], document["n_requests"], document["output_tokens"]) == (2, 100, "16")
    assert document["memory_bytes"] > 0
    assert document["target"] == tripwire.url
    assert not tripwire.is_touched()
    assert list(shell.folder.iterdir()) == []


def test_a_dry_run_refuses_what_a_run_would_refuse(shell, refused):
    refused(shell("run", "--dry-run", "--slo", "ttf<1s"), 2, "ttf is not a metric")
    refused(shell("run", "http://user:hunter2@host", "--dry-run"), 2, "--api-key-env")


def test_a_dry_run_hides_the_secrets_of_a_command(shell):
    done = shell("run", "--dry-run", "--", "serve", "--api-key", "sk-live-0123456789", "--port", "{port}")
    assert done.exit_code == 0
    assert "serve --api-key" in done.stdout
    assert "sk-live-0123456789" not in done.stdout + done.stderr
