# SPDX-License-Identifier: Apache-2.0
"""What is measured, as one word: a URL, an engine with its settings, the embedded engine, or a file of options.

http://127.0.0.1:8000     llamacpp,threads=2,kv_type=q8_0     embedded,model=random     candidate.toml
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from inferometer import config as configuration
from inferometer.config import Experiment
from inferometer.errors import UsageError

EMBEDDED = "embedded"
_OF_THE_TARGET = ("model", "revision", "api")  # what stands beside the knobs of an engine
# What two targets may differ in: who is asked, not what. All else is the load, and has to be the same.
_WHO = ("url", "command", "engine", "settings", "revision", "model", "api", "header", "api_key_env", "insecure")
_MAY_DIFFER = (*_WHO, "ready_timeout_s", "label", "out", "repeats")  # the last is the number of rounds, of both


def experiment_of(target: str, flags: Mapping[str, Any], config: str | None = None) -> Experiment:
    """The experiment that measures a target under the load that the flags give, or the file `config`.

    Raises: UsageError for what cannot be carried out.
    """
    given = dict(flags)
    if target.endswith(".toml"):
        if config is not None:
            raise UsageError(
                f"{target} and --config {config} both hold options", "put the load into the targets' files"
            )
        return configuration.resolve(given, target)
    if "://" in target:
        return configuration.resolve(given | {"url": target}, config)
    name, *settings = (part.strip() for part in target.split(","))
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign or not value:
            raise UsageError(f"{target!r}: {setting!r} is no setting", "write it like llamacpp,threads=2,model=m.gguf")
        if key in _OF_THE_TARGET:
            given[key] = value
        elif name == EMBEDDED:
            raise UsageError(f"{target!r}: the embedded engine has no {key}", f"take llamacpp,{setting} and a model")
        else:
            given["set"] = [*(given.get("set") or ()), setting]
    return configuration.resolve(given | ({} if name == EMBEDDED else {"engine": name}), config)


def rounds_of(configs: Sequence[Experiment]) -> int | None:
    """How many rounds `repeats` of the targets' files asks for; None: they do not say. Raises: UsageError if they
    differ."""
    told = {config.repeats for config in configs if config.repeats > 1}
    if len(told) > 1:
        both = " and ".join(map(str, sorted(told)))
        raise UsageError(f"the files of the two targets ask for {both} repeats", "give --repeats, or both the same")
    return next(iter(told), None)


def refuse_unlike(a: Experiment, b: Experiment, ignored: tuple[str, ...]) -> None:
    """What could not be compared afterwards is not measured first. Raises: UsageError."""
    unlike = [f.name for f in fields(a) if f.name not in _MAY_DIFFER and getattr(a, f.name) != getattr(b, f.name)]
    if unlike and "plan" not in ignored:
        told = "; ".join(f"{name} {getattr(a, name)} and {getattr(b, name)}" for name in unlike)
        raise UsageError(f"the two targets get different loads: {told}", "give both the same, or --ignore plan")
    if a.model != b.model and "model" not in ignored:
        raise UsageError(
            f"the two targets serve different models: {a.model or 'default'} and {b.model or 'default'}",
            "give --model for both, or, if the models are what you want to compare, --ignore model",
        )
    if a.url is not None and a.url == b.url and a.seed is not None:
        raise UsageError(
            "with --seed both sides send one server the very same prompts, and its cache favours the second",
            "leave --seed out: lengths and arrivals are the same all the same, the words are fresh",
        )
