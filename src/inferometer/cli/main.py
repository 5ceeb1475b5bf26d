# SPDX-License-Identifier: Apache-2.0
"""The `inferometer` command: verbs, and the one place where errors become a line and an exit code.

A verb imports what it needs when it is called, so that `--help` answers at once (docs/decisions/004).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from inferometer import __version__
from inferometer.cli import (
    ab,
    choose,
    compare,
    doctor,
    emulate,
    engines,
    explain,
    gate,
    history,
    limit,
    report,
    run,
    self_test,
    serve,
    show,
    sweep,
)
from inferometer.errors import Cancelled, InferometerError, UsageError

app = typer.Typer(
    name="inferometer",
    help="Measure LLM inference engines truthfully: how fast under load, how sure, and whether to trust the run.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("run", short_help="Measure an engine under load, and say how sure each number is.")(run.run)
app.command("sweep", short_help="Throughput against latency over a ladder of loads.")(sweep.sweep)
app.command("limit", short_help="The highest load at which the limits are met.")(limit.limit)
app.command("choose", short_help="Which engine and configuration to prefer, and how sure that is.")(choose.choose)
app.command("engines", short_help="What is installed, what this machine can run, facts of each.")(engines.engines)
app.command("serve", short_help="Start an engine, and stop it with all its processes.")(serve.serve)
app.command("report", short_help="Print what a folder holds; as a page, Markdown, CSV or JSON.")(report.report)
app.command("compare", short_help="Runs held against each other, one verdict per metric.")(compare.compare)
app.command("ab", short_help="Two targets measured in turns, then compared.")(ab.ab)
app.command("gate", short_help="Fail (exit code 5) if a run is worse than its baseline.")(gate.gate)
app.command("history", short_help="The runs of a directory over time.")(history.history)
app.command("show", short_help="The slowest requests, in the server's own bytes.")(show.show)
app.command("self-test", short_help="How wrong can it be? Measure a server that knows the truth.")(self_test.self_test)
app.command("doctor", short_help="Is this machine fit to measure on?")(doctor.doctor)
app.command("emulate", short_help="A server that looks like an engine, to rehearse with.")(emulate.emulate)
app.add_typer(explain.app, name="explain", short_help="Where does it hurt? Six challenges, each with a remedy.")

# Typer exports what a wrong flag raises, but not what it is a kind of: also an unknown flag, one without its value.
WrongFlag: type[typer.BadParameter] = typer.BadParameter.__mro__[1]


def _version(is_asked: bool) -> None:
    if is_asked:
        print(f"inferometer {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Measure LLM inference engines truthfully: how fast under load, how sure, and whether to trust the run."""


def _verb_of(words: list[str]) -> str:
    """The verb that was meant, with a space before it, `explain memory` for one of a group; "" for an unknown one."""
    if words[0] in {verb.name for verb in app.registered_commands}:
        return f" {words[0]}"
    inner = next((group.typer_instance for group in app.registered_groups if group.name == words[0]), None)
    if inner is None:
        return ""
    is_known = bool(words[1:]) and words[1] in {verb.name for verb in inner.registered_commands}
    return f" {words[0]} {words[1]}" if is_known else f" {words[0]}"


def _complain(message: str, remedy: str, exit_code: int) -> NoReturn:
    print(f"inferometer: {message}", file=sys.stderr)
    if remedy:
        print(f"  -> {remedy}", file=sys.stderr)
    sys.exit(exit_code)


def _leave(code: int) -> NoReturn:
    """End with this code and no other. CPython remembers an interrupt that struck while an extension module was being
    imported, and would end the process by SIGINT at the very last, whatever code it was told."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# The last are of `explain`.
TAKE_COMMANDS = ("run", "sweep", "limit", "serve", "target", "latency", "scale", "memory", "cost", "limits", "accuracy")


def _named(words: list[str]) -> str:
    """The verb, and of `explain` the one of its own that is meant."""
    verb = words[0] if words else ""
    return explain.meant(words[1:])[0] if verb == "explain" else verb


def main() -> None:
    """Entry point. What stands after `--` is a command to start, or an engine's own flags; not ours to parse."""
    words = sys.argv[1:]
    command: tuple[str, ...] = ()
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], tuple(words[at + 1 :])
        if _named(words) not in TAKE_COMMANDS or not command:
            print(
                "inferometer: -- belongs between `run`, `sweep`, `limit` or `explain` and the command of a server to "
                "be started, or between `serve ENGINE` and the engine's own flags",
                file=sys.stderr,
            )
            sys.exit(UsageError.exit_code)
    words = words or ["--help"]
    try:
        # Not standalone: a wrong flag is then ours to report, in one line, and Ctrl-C comes back as an exit code.
        code = app(args=words, obj=command, prog_name="inferometer", standalone_mode=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # leaving: one more Ctrl-C must not change the exit code
        if code == Cancelled.exit_code:  # before or after the measurement, which has its own way of stopping
            print("inferometer: stopped", file=sys.stderr)
            _leave(code)
        sys.exit(code)
    except InferometerError as error:
        sys.stdout.flush()
        _complain(str(error), error.remedy, error.exit_code)
    except WrongFlag as error:
        verb = _verb_of(words)
        _complain(error.format_message().rstrip("."), f"see inferometer{verb} --help", UsageError.exit_code)
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
