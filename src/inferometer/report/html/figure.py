# SPDX-License-Identifier: Apache-2.0
"""A figure: a title, its panels one above the other, what must be known to read it, and its data to be saved."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from inferometer.report.html.chart import Panel, panel_element, widest
from inferometer.report.html.element import Element, h
from inferometer.stats import FloatArray


@dataclass(frozen=True, slots=True)
class Data:
    """What a figure shows, as columns: names with their units, values in base units (NaN: none)."""

    file_name: str  # without `.csv`
    columns: tuple[tuple[str, FloatArray | Sequence[str]], ...]

    def to_csv(self) -> str:
        """Columns may differ in length: the shorter ones end in empty cells."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([name for name, _ in self.columns])
        texts = [_texts(values) for _, values in self.columns]
        for i in range(max(map(len, texts), default=0)):
            writer.writerow([column[i] if i < len(column) else "" for column in texts])
        return out.getvalue()


def _texts(values: FloatArray | Sequence[str]) -> list[str]:
    if isinstance(values, np.ndarray):
        return ["" if np.isnan(value) else f"{value:.9g}" for value in values.tolist()]
    return list(values)


def figure(title: str, panels: Sequence[Panel], data: Data, *notes: str) -> Element:
    """`notes`: what is shown, of how many, what was left out."""
    y_ch = max(widest([text for _, text in panel.y.ticks]) for panel in panels)
    end_ch = max(widest([end.text for end in panel.ends]) for panel in panels)
    return h(
        "figure",
        h("figcaption", h("h3", title), save_link(data)),
        *(panel_element(panel, y_ch=y_ch, end_ch=end_ch) for panel in panels),
        *(h("p", note, class_="note") for note in notes if note),
    )


def save_link(data: Data, words: str = "save data") -> Element:
    """A link that holds the data itself: it works without network and script."""
    href = "data:text/csv;charset=utf-8," + quote(data.to_csv(), safe=",.:/()[]<>=+-")
    return h(
        "a",
        words,
        href=href,
        download=f"{data.file_name}.csv",
        class_="save",
        aria_label=f"{words}: {data.file_name}.csv",
    )
