# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the token limits of a server, out of what was measured of them: rules, one function each.

Rule 1: a rule knows lengths, counts and answers; neither the engine's name nor how a fault may have been made.
Rule 2: a refusal, and an answer that ends where the window ends, are what a healthy server does: no finding.
"""

from __future__ import annotations

from collections.abc import Sequence

from inferometer.analysis.effective import Effective
from inferometer.analysis.finding import Bound, Finding, Remedy, worst_first
from inferometer.analysis.number import Number, number_of
from inferometer.analysis.reach import Part
from inferometer.analysis.token_limits import Output
from inferometer.analysis.window import Window
from inferometer.stats import exact

_SHORT_OF = 0.98  # of what is advertised: template and the one token of the answer are no breach of it


def findings_of(
    window: Window,
    overflow: Output | None,
    outputs: Sequence[Output],
    reach: Sequence[Part],
    effective: Effective | None,
) -> list[Finding]:
    """Worst first."""
    found = [
        *_cut_silently(window, reach),
        *_lost_parts(window, reach),
        *_less_than_advertised(window),
        *_brought_down(window),
        *_answers_cut(window, [*outputs, *([overflow] if overflow is not None else [])]),
        *_short_effective(window, reach, effective),
    ]
    return worst_first(found)


def _tokens(value: int, n: int, method: str) -> Number:
    return number_of(exact(float(value), n=n, unit="tokens", method=method))


def _cut_silently(window: Window, reach: Sequence[Part]) -> list[Finding]:
    beyond = window.beyond
    if beyond is None or beyond.what != "cut" or window.longest is None:
        return []
    lost = [part.part for part in reach if part.verdict == "lost" and part.n_tokens > window.longest]
    side = f"the {' and the '.join(dict.fromkeys(lost))}" if lost else "a part"
    return [
        Finding(
            code="prompt_cut_silently",
            challenge="limits",
            level="wrong",
            claim=f"a prompt of more than {window.longest:,} tokens loses {side} of it, with status 200",
            cause=f"the server keeps {beyond.n_counted or window.longest:,} tokens of a prompt and says nothing: "
            "questions about the rest are answered without it",
            shown_by=f"{beyond.n_sent:,} tokens sent, {beyond.n_counted:,} counted in the answer's usage"
            + (f"; what stands in {side} makes no difference to the answer" if lost else ""),
            figure=_tokens(window.longest, window.n_requests, "longest prompt taken whole; halving"),
            bound=_advertised(window),
            remedy=Remedy(
                "raise the context of the server, or count tokens before sending and cut the prompt yourself",
                expected="prompts up to the new context arrive whole",
                source="its own count of tokens",
            ),
        )
    ]


def _lost_parts(window: Window, reach: Sequence[Part]) -> list[Finding]:
    """Lost within the length that the server counts as whole: nothing but the answers can tell."""
    found = []
    inside = [part for part in reach if window.longest is None or part.n_tokens <= window.longest]
    for name in dict.fromkeys(part.part for part in inside):
        mine = [part for part in inside if part.part == name]
        lost = [part for part in mine if part.verdict == "lost"]
        if not lost:
            continue
        shortest = min(part.n_tokens for part in lost)
        held = max((p.n_tokens for p in mine if p.verdict != "lost" and p.n_tokens < shortest), default=None)
        n_pairs = sum(part.n_pairs for part in lost)
        since = f"somewhere above {held:,} and up to {shortest:,} tokens" if held else f"at {shortest:,} tokens"
        method = "shortest prompt seen to lose it; twins"
        found.append(
            Finding(
                code=f"{name}_lost",
                challenge="limits",
                level="wrong",
                claim=f"the {name} of a prompt of {shortest:,} tokens does not reach the model, but is counted",
                cause=f"what stands in the {name} makes no difference to the answer: it is dropped before the model, "
                f"from {since} on",
                shown_by=f"{n_pairs} of {n_pairs} pairs of prompts that differ there alone were answered alike to the "
                "letter; short ones were not",
                figure=Number(float(shortest), float(held or 0), float(shortest), n_pairs, "tokens", method),
                bound=_advertised(window),
                remedy=Remedy(
                    f"find what shortens prompts on the way (a gateway that compresses, a cache that evicts), or keep "
                    f"prompts to {held:,} tokens"
                    if held
                    else "find what shortens prompts on the way",
                    expected="answers from the whole prompt",
                ),
            )
        )
    return found


def _advertised(window: Window) -> Bound | None:
    if window.advertised is None:
        return None
    return Bound(float(window.advertised), "tokens", "the longest prompt that the server tells", "its own routes")


def _less_than_advertised(window: Window) -> list[Finding]:
    longest, told = window.longest, window.advertised
    if longest is None or told is None or window.cuts or not window.is_exact or longest >= _SHORT_OF * told:
        return []
    beyond = window.beyond
    return [
        Finding(
            code="less_than_advertised",
            challenge="limits",
            level="bad",
            claim=f"{longest:,} tokens are the longest prompt that is taken, and the server tells {told:,}",
            cause="the limit that is enforced is another one than the server tells",
            shown_by=f"{longest:,} tokens were taken, {beyond.n_sent if beyond else longest + 1:,} refused"
            + (f": {beyond.said}" if beyond is not None and beyond.said else ""),
            figure=_tokens(longest, window.n_requests, "longest prompt taken whole; halving"),
            bound=_advertised(window),
            remedy=Remedy("plan with the limit that is enforced, or raise it"),
        )
    ]


def _brought_down(window: Window) -> list[Finding]:
    beyond = window.beyond
    if beyond is None or beyond.what != "lost":
        return []
    return [  # that the server is not merely slow was asked with a short prompt
        Finding(
            code="no_answer_when_too_long",
            challenge="limits",
            level="wrong",
            claim=f"a prompt of {beyond.n_sent:,} tokens is neither answered nor refused",
            cause="the server does not check the length of a prompt before it works on it",
            shown_by=f"one request: {beyond.said}",
            figure=_tokens(beyond.n_sent, 1, "the prompt that got no answer"),
            bound=_advertised(window),
            remedy=Remedy("refuse prompts of that length before they reach the server"),
        )
    ]


def _answers_cut(window: Window, outputs: Sequence[Output]) -> list[Finding]:
    """Cut short although the window has room for more."""
    short = [
        one
        for one in outputs
        if one.what == "shortened"
        and one.n_given is not None
        and window.longest is not None
        and one.n_prompt + one.n_given < min(window.longest, one.n_prompt + one.n_asked)
    ]
    if not short:
        return []
    worst = max(short, key=lambda one: one.n_given or 0)
    given = worst.n_given or 0
    return [
        Finding(
            code="answers_cut_silently",
            challenge="limits",
            level="wrong",
            claim=f"answers end after {given:,} tokens where {worst.n_asked:,} were asked for, with status 200",
            cause="the server has a limit of its own on the length of answers: the window still had room for "
            f"{(window.longest or 0) - worst.n_prompt - given:,} tokens",
            shown_by=f"asked for {worst.n_asked:,} tokens after a prompt of {worst.n_prompt:,}, given {given:,}, "
            f"finish reason {worst.finish or 'none'}",
            figure=_tokens(given, len(short), "longest answer that was cut short"),
            bound=Bound(float(worst.n_asked), "tokens", "asked for"),
            remedy=Remedy(
                "raise the server's limit on new tokens; until then look at the finish reason of every answer",
                expected=f"answers of up to {worst.n_asked:,} tokens",
            ),
        )
    ]


def _short_effective(window: Window, reach: Sequence[Part], effective: Effective | None) -> list[Finding]:
    """Answers fall within the window, and every part reaches the model: it is the model that cannot use it."""
    if effective is None or window.longest is None:
        return []
    failing = next((one for one in effective.lengths if one.verdict == "fails"), None)
    if failing is None or effective.threshold is None or any(part.verdict == "lost" for part in reach):
        return []  # what never reaches the model says nothing of it
    read = sorted({part.part for part in reach if part.verdict in ("read", "reaches")})
    figure, share = effective.length, failing.share
    held = f"up to {figure.value:,.0f} tokens" if figure.value is not None else "at short lengths only"
    return [
        Finding(
            code="effective_shorter_than_window",
            challenge="limits",
            level="bad",
            claim=f"answers stay right {held} and fall to {100 * (share.value or 0):.0f} % at {failing.n_tokens:,}; "
            f"prompts may have {window.longest:,}",
            cause="the model does not make use of more: it was hardly trained on longer prompts"
            + (", for what stands there does reach it" if read else ""),
            shown_by=f"retrieval, {failing.n} questions at {failing.n_tokens:,} tokens"
            + (f"; the {', '.join(read)} of a long prompt makes a difference to the answer" if read else ""),
            figure=figure,
            bound=Bound(float(window.longest), "tokens", "longest prompt that is taken", "measured"),
            remedy=Remedy(
                "keep prompts to the effective length (retrieve less, cut, summarise), or take another model",
                expected=f"the share of right answers of {figure.value:,.0f} tokens" if figure.value else "",
                source="the shares by length",
            ),
        )
    ]
