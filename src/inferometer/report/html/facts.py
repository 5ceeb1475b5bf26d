# SPDX-License-Identifier: Apache-2.0
"""The lower half of a run's page: how true the measurement is, what the server says, every number, where it is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inferometer.metrics.registry import METRICS
from inferometer.metrics.summary import Summary
from inferometer.report.figures import scale_of
from inferometer.report.html.element import Element, h
from inferometer.report.html.figure import Data, save_link
from inferometer.report.html.words import Cell, scale_for_metric, table, unit_of, value_and_bracket
from inferometer.report.server import server_parts
from inferometer.report.table import COLUMNS, rows
from inferometer.stats import Estimate, Missing

_HEAD = ("number", "value", "95 % interval", "unit", "n", "how")


def fidelity(summary: Summary) -> tuple[Element | None, ...]:
    stamps = {
        "kernel": "Receive stamps are the kernel's.",
        "user": "There were no kernel stamps: receive stamps are the client's own, and late by its read lag.",
    }.get(summary.stamps)
    return (
        h("p", stamps, class_="lead") if stamps else None,
        _numbers("What the client did to the numbers", summary.fidelity),
    )


def server(summary: Summary) -> tuple[Element | None, ...]:
    parts = server_parts(summary)
    items = [h("li", "; ".join(each)) for each in parts]
    if not items and not summary.server:
        return (h("p", "Nothing: it told no times, and its gauges were not read.", class_="note"),)
    return (
        h("ul", *items, class_="told") if items else None,
        _numbers("Its gauges, beside the load", summary.server) if summary.server else None,
    )


def _numbers(caption: str, numbers: Mapping[str, Estimate | Missing]) -> Element | None:
    return (
        table(caption, _HEAD, [_row(name, number) for name, number in numbers.items()], "lrrlrl", class_="wide")
        if numbers
        else None
    )


def _row(name: str, number: Estimate | Missing) -> list[Cell]:
    if isinstance(number, Missing):
        return [h("code", name), "-", "", number.unit, f"{number.n:,}", number.reason]
    scale = scale_of([number])
    value, bracket = value_and_bracket(number, scale)
    return [h("code", name), value, bracket, unit_of(scale), f"{number.n:,}", number.method]


def everything(summary: Summary) -> tuple[Element | None, ...]:
    """Every statistic of every metric, to be looked up; and all of it as a file."""
    data = Data("numbers", tuple(zip(COLUMNS, map(list, zip(*rows(summary), strict=True)), strict=True)))
    body: list[list[Cell]] = []
    for name in METRICS:
        numbers = summary.metrics[name]
        scale = scale_for_metric(name, list(numbers.values()))
        for statistic, number in numbers.items():
            label = h("code", name if statistic == "value" else f"{name} {statistic}")
            if isinstance(number, Missing):
                body.append([label, "-", "", number.unit, f"{number.n:,}", number.reason])
            else:
                value, bracket = value_and_bracket(number, scale)
                body.append([label, value, bracket, unit_of(scale), f"{number.n:,}", number.method])
    return (
        h("p", save_link(data, "save all numbers")),
        h(
            "details",
            h("summary", f"{len(body):,} statistics"),
            table("Every statistic of every metric", _HEAD, body, "lrrlrl", class_="wide"),
        ),
    )


def provenance(facts: Mapping[str, Any]) -> tuple[Element | None, ...]:
    """The manifest, key by key: what was asked, of whom, with what, on which machine."""
    plain = {name: value for name, value in facts.items() if not isinstance(value, Mapping)}
    groups = [("run", plain), *((name, value) for name, value in facts.items() if isinstance(value, Mapping))]
    return tuple(
        table(name, ["", ""], [[h("code", key), _fact(value)] for key, value in _flat(group)], "ll", class_="facts")
        for name, group in groups
        if group
    )


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _fact(value: Any) -> Cell:
    """`yes`, `-` for what is not told, lists in lines of their own."""
    if isinstance(value, list | tuple):
        return h("span", *(h("span", _text(item), class_="item") for item in value)) if value else "none"
    return _text(value)


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(item)}" for name, item in value.items())
    return " ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
