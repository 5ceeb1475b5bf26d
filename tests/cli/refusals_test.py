# SPDX-License-Identifier: Apache-2.0
"""What cannot be carried out as asked is refused in one line with a remedy, before a byte is sent or a folder made."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--concurrency", "2", "--rate", "3"], ("--concurrency and --rate", "closed loop", "open loop", "choose one")),
        (["--concurency", "2"], ("--concurency", "--concurrency", "inferometer run --help")),
        (["--concurrency", "two"], ("--concurrency", "integer")),
        (["--concurrency"], ("--concurrency", "argument")),
        (["--for", "five minutes"], ("'five minutes' is not a duration", "500ms")),
        (["--api-key-env", "NO_SUCH_VARIABLE"], ("NO_SUCH_VARIABLE is not set", "export NO_SUCH_VARIABLE")),
        (["--config", "missing.toml"], ("missing.toml", "No such file")),
        (["--output-tokens", "many"], ("--output-tokens 'many'", "lognormal:")),
        (["--rate", "2", "--arrivals", "poison"], ("did you mean poisson?",)),
        (["--slo", "ttf<500ms"], ("ttf is not a metric", "did you mean ttft?")),
        (["--tokenizer", "missing.json"], ("no tokenizer at missing.json",)),
        (["http://127.0.0.1:1"], ("http://127.0.0.1:1",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_flag(shell, tripwire, refused, flags, words):
    done = shell("run", tripwire.url, *flags)
    refused(done, 2, *words)
    assert not tripwire.is_touched()
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize(
    "flags",
    [
        ["--header", "Authorization {}"],
        ["--api-key-env", "{}"],
        ["http://user:{}@127.0.0.1:8000"],
        ["http://127.0.0.1:8000/?api_key={}"],
        ["http://user:{}@127.0.0.1:x"],
    ],
    ids=" ".join,
)
def test_a_refusal_does_not_repeat_a_secret(shell, refused, flags):
    secret = "sk-live-0123456789"
    done = shell("run", *[flag.format(secret) for flag in flags])
    refused(done, 2)
    assert secret not in done.stderr


def test_credentials_in_the_url_of_a_command_are_refused_before_it_starts(shell, refused):
    done = shell("run", "http://user:hunter2@127.0.0.1:1", "--", "touch", "started")
    refused(done, 2, "--api-key-env")
    assert "hunter2" not in done.stderr
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("concurency = 3", ("unknown key 'concurency'", "did you mean 'concurrency'?")),
        ("header = 'Authorization: Bearer sk-123456'", ("header is not a list of texts",)),
    ],
)
def test_a_wrong_file(shell, tripwire, refused, toml, words):
    (shell.folder / "run.toml").write_text(toml)
    done = shell("run", tripwire.url, "--config", "run.toml")
    refused(done, 2, *words)
    assert "sk-123456" not in done.stderr
    assert not tripwire.is_touched()


def test_a_command_without_a_place_for_the_port(shell, refused):
    done = shell("run", "--", "touch", "started")
    refused(done, 2, "{port}", "the URL before --")
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("is_folder", [True, False])
def test_an_existing_out_is_never_touched(shell, tripwire, refused, is_folder):
    mine = shell.folder / "mine"
    if is_folder:
        mine.mkdir()
    else:
        mine.write_text("precious")
    refused(shell("run", tripwire.url, "--out", "mine"), 2, "mine exists already", "never overwritten")
    assert not tripwire.is_touched()
    assert list(mine.iterdir()) == [] if is_folder else mine.read_text() == "precious"


def test_an_unknown_verb(shell, refused):
    refused(shell("mesure"), 2, "mesure", "inferometer --help")


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "257"])
def test_a_number_of_workers_that_cannot_be(shell, value):
    done = shell("run", "http://127.0.0.1:9", "--workers", value, "--dry-run")
    assert done.exit_code == 2
    assert "is no number of processes" in done.stderr


def test_a_dry_run_finds_a_folder_that_cannot_be_made(shell):
    (shell.folder / "file").touch()
    done = shell("run", "http://127.0.0.1:9", "--dry-run", "--out", "file/run")
    assert done.exit_code == 2
    assert "cannot make the folder file/run" in done.stderr


def test_a_dry_run_finds_that_there_may_not_be_so_many_open_files(shell):
    done = shell("run", "http://127.0.0.1:9", "--dry-run", "--concurrency", "900000000")
    assert done.exit_code == 4
    assert "open files" in done.stderr


def test_a_model_that_the_embedded_engine_does_not_have(shell, refused):
    refused(shell("run", "--model", "randm"), 2, "no model 'randm'", "did you mean random?")
    assert list(shell.folder.iterdir()) == []


def test_lengths_that_the_embedded_model_cannot_hold(shell, refused):
    done = shell("run", "--model", "random", "--input-tokens", "9000")
    refused(done, 2, "do not fit the 8,192 of inferometer-tiny-v1-s1", "--input-tokens")
    assert list(shell.folder.iterdir()) == []
