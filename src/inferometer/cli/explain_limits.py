# SPDX-License-Identifier: Apache-2.0
"""`inferometer explain limits`: how much a server takes and gives, and up to which length its answers are right."""

from __future__ import annotations

import sys

import typer

from inferometer.cli import flags
from inferometer.cli.options import Format, FormatOption


def limits(
    context: typer.Context,
    url: flags.Url = None,
    engine: flags.Engine = None,
    model: flags.Model = None,
    set_: flags.Set = None,
    revision: flags.Revision = None,
    api: flags.Api = None,
    budget: flags.Budget = None,
    seed: flags.Seed = None,
    timeout: flags.Timeout = None,
    stall_timeout: flags.StallTimeout = None,
    ready_timeout: flags.ReadyTimeout = None,
    header: flags.Header = None,
    api_key_env: flags.ApiKeyEnv = None,
    insecure: flags.Insecure = None,
    out: flags.Out = None,
    config: flags.Config = None,
    quiet: flags.Quiet = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Find the real context limit, what happens beyond it, the longest answer, and the length that answers stay right.

    The limit is exact and takes few requests. Silent cuts are found by token counts and by prompts that differ in one
    part alone; answers are judged by questions whose right answer is known.
    """
    given = flags.fields_of(locals() | {"no_stream": None, "no_content": None})
    del given["budget"]
    from inferometer.cli import examining, probing
    from inferometer.probes.explain.limits import BUDGET_S

    common = probing.resolve(given, config)
    budget_s = examining.budget_of(budget, BUDGET_S)
    sys.exit(examining.limits(common, budget_s, format, is_quiet=quiet))
