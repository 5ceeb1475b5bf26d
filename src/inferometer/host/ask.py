# SPDX-License-Identifier: Apache-2.0
"""Asking a running server who it is, what it serves and what it really does, before anything is measured.

Rule 1: what a server says is checked by small requests where it matters: lengths, usage, streams, counts.
Rule 2: no engine is named here; what tells engines apart is in engines/, and is passed in.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from inferometer.engines.engine import OUTPUT_TOKENS_ASKED, Dialect, Engine, Identity, Speech
from inferometer.errors import EngineError, UsageError
from inferometer.host.control import Control, normalise_url
from inferometer.host.counting import SAMPLE_TEXT, NoCounter, ServerCounter, UsageCounter, tokenize
from inferometer.host.identify import choose, models_of, recognise
from inferometer.host.probe import Probe, probe
from inferometer.kinds import APIS
from inferometer.plan.request import Request
from inferometer.plan.tokenizer import FileCounter
from inferometer.plan.words import TokenCounter

# Short answers come naturally to these, so that a length honoured to the token was forced, not luck.
_PROBE_PROMPTS = ("Reply with one word only: ok", "Answer only yes or no: is water wet?")
_N_PROBE_TOKENS = 8
_MAX_REFUSALS = 6  # requests sent anew with less in them
_OPTIONAL_FIELDS = ("stream_options", "temperature", "seed")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Everything the rest of a run needs to know of a server. Holds no secret.

    `url`: without slash and /v1 at the end. `api`: the name of the dialect to use; `apis`: of all that answered, among
    those tried. `extras`: body fields to send, with OUTPUT_TOKENS_ASKED where each request's own number belongs;
    `count_extras`: those that make every event tell its tokens, at a cost, sent if that was asked for;
    `length_extras`: names of those that force a length, left out where the model is to end its answer itself.
    `is_length_forced`: an answer had the length asked for, where it would have been short. `counts_by`: who counts
    prompts: "server", "usage" or "nothing". `counts_outputs_by`: who counts answers: "usage" (or their events),
    "length" (nobody, but lengths are as asked) or "nothing". `n_template_tokens`: tokens before the user's words, the
    same in every request. `prompt_tokens`: of a prompt, where it has a limit of its own. `n_slots`: requests served at
    a time. `sample_ids`: token ids of a few words, for a dialect that takes nothing but ids. `notes`: remarks for the
    report, one line each; `evidence`: why we think it is this engine.
    """

    url: str
    engine: str
    title: str
    version: str
    model: str
    api: str
    apis: tuple[str, ...]
    extras: Mapping[str, Any]
    count_extras: Mapping[str, Any]
    length_extras: tuple[str, ...] = ()
    context_tokens: int | None = None
    prompt_tokens: int | None = None
    n_slots: int | None = None
    n_template_tokens: int | None = None
    is_length_forced: bool = False
    usage_in_stream: bool = False
    streams: bool = True
    takes_token_ids: bool = False
    sample_ids: tuple[int, ...] = ()
    counts_by: str = "nothing"
    counts_outputs_by: str = "nothing"
    notes: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    def longest_prompt(self, n_output: int = 0) -> int | None:
        """Tokens of the longest prompt that it says it takes, with room for such an answer; None: it does not say."""
        room = None if self.context_tokens is None else self.context_tokens - n_output
        return min((n for n in (self.prompt_tokens, room) if n is not None), default=None)


def ask(
    url: str,
    *,
    engines: Sequence[Engine],
    dialects: Mapping[str, Dialect],
    headers: Sequence[tuple[str, str]] = (),
    is_insecure: bool = False,
    model: str | None = None,
    api: str | None = None,
    count_tokens: bool = False,
    timeout_s: float = 5.0,
) -> ServerFacts:
    """Find out all of `ServerFacts`: a few short questions and two to six small requests.

    `timeout_s`: of a short question; that nobody is there is known within it.
    `api`: a word for --api; None: the first of kinds.APIS that answers. `count_tokens`: every event is to tell its
    tokens, if the engine has a way.
    Raises: EngineError, one line, if there is no server or none that answers; UsageError if the model is not clear, or
    the engine does not speak that API.
    """
    with Control(normalise_url(url), headers=headers, is_insecure=is_insecure, timeout_s=timeout_s) as control:
        reply = control.get("/v1/models")
        said = next(iter(dialects.values())).error_text(reply.body)
        entries = models_of(
            control.url, reply, said, has_key=any(name.lower() == "authorization" for name, _ in headers)
        )
        name, entry = choose(entries, model)
        engine, identity = recognise(control, engines, entry)
        return _examine(control, engine, identity, name, api, count_tokens=count_tokens)


@contextmanager
def counting(
    facts: ServerFacts,
    *,
    engines: Sequence[Engine],
    dialects: Mapping[str, Dialect],
    headers: Sequence[tuple[str, str]] = (),
    is_insecure: bool = False,
    tokenizer: str | None = None,
    timeout_s: float = 10.0,
) -> Iterator[TokenCounter]:
    """The best counter there is: the server's tokenizer, a file (`tokenizer`), the usage of answers, nothing.

    Raises: EngineError if the server went away; UsageError if the file is no tokenizer.
    """
    engine = next(engine for engine in engines if engine.name == facts.engine)
    with Control(facts.url, headers=headers, is_insecure=is_insecure, timeout_s=timeout_s) as control:
        dialect = dialects[facts.api]
        usage = UsageCounter(control, dialect, facts.model, facts.extras)
        server = ServerCounter(control, engine, facts.model, is_chat=dialect.is_chat)
        if facts.counts_by == "server" and server.find_way():
            yield server
        elif tokenizer is not None:
            n_told = usage.count(SAMPLE_TEXT) if facts.counts_by == "usage" else None
            n_bare = FileCounter(tokenizer).count(SAMPLE_TEXT) or 0
            yield FileCounter(tokenizer, 0 if n_told is None else max(0, n_told - n_bare))
        else:
            yield usage if facts.counts_by == "usage" else NoCounter()


# --- what does it do -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Trial:
    """An API that was tried, with the extras that were left in the end."""

    speech: Speech
    probe: Probe
    extras: Mapping[str, Any]
    notes: tuple[str, ...]


class _Asker:
    """Sends small requests to one model of one engine."""

    def __init__(self, control: Control, engine: Engine, model: str) -> None:
        self._control = control
        self._engine = engine
        self._model = model

    def probe(
        self,
        dialect: Dialect,
        extras: Mapping[str, Any],
        text: str = _PROBE_PROMPTS[0],
        n_tokens: int = _N_PROBE_TOKENS,
        *,
        is_streamed: bool = True,
    ) -> Probe:
        prompt = text if dialect.takes_text else self.ids(text)
        request = Request(0, prompt, 0, n_tokens, is_streamed=is_streamed)
        return probe(self._control, dialect, self._model, extras, request)

    def ids(self, text: str) -> tuple[int, ...]:
        """Raises: EngineError if the server's tokenizer cannot be asked."""
        if self._engine.tokenize_text is not None:
            tokens = tokenize(self._control, self._engine.tokenize_text(self._model, text))
            if tokens is not None and tokens.ids:
                return tokens.ids
        raise EngineError(
            f"this API of {self._engine.title} takes nothing but token ids, and the server does not tokenize",
            "measure another API, or turn the server's tokenizer on",
        )

    def takes_ids(self, dialect: Dialect) -> bool:
        """Whether a prompt of token ids is counted as just those."""
        if self._engine.tokenize_bare is None:
            return False
        tokens = tokenize(self._control, self._engine.tokenize_bare(self._model, SAMPLE_TEXT))
        if tokens is None or not tokens.ids:
            return False
        request = Request(0, tokens.ids, 0, 1, is_streamed=False)
        seen = probe(self._control, dialect, self._model, {}, request)
        return not seen.error and seen.n_prompt_tokens == len(tokens.ids)


def _examine(
    control: Control, engine: Engine, identity: Identity, model: str, api: str | None, *, count_tokens: bool
) -> ServerFacts:
    asker = _Asker(control, engine, model)
    best, apis = _choose_api(asker, control.url, engine, api, count_tokens=count_tokens)
    speech, seen = best.speech, best.probe
    dialect = speech.dialect
    notes = [*identity.notes, *best.notes]
    whole = seen
    if seen.n_prompt_tokens is None or seen.n_output_tokens is None:  # some tell usage, but never in a stream
        whole = asker.probe(dialect, best.extras, is_streamed=False)
    is_forced = _is_forced(best, seen if seen.n_output_tokens is not None else whole, notes)
    outputs_by = "usage" if seen.n_output_tokens is not None else "length" if is_forced else "nothing"
    if not seen.is_streamed:
        notes.append("the server answered a streamed request in one piece: no first token, no gaps to measure")
    if outputs_by == "length":
        notes.append(
            "the server tells no usage in a stream: an answer that ends by its length is taken to have the length "
            "asked for, as whole answers had"
        )
    elif outputs_by == "nothing":
        notes.append("the server tells no usage in a stream: output tokens are not known")
    if count_tokens and seen.is_streamed and seen.n_counted is None:
        notes.append("events do not tell their tokens, although they were to: gaps are per event")
    n_told = whole.n_prompt_tokens if seen.n_prompt_tokens is None else seen.n_prompt_tokens
    server = ServerCounter(control, engine, model, is_chat=dialect.is_chat)
    counts_by = _counts_by(server, n_told, notes)
    n_template = _template_prefix(server) if counts_by == "server" else None
    if n_template is None:  # a prefix cache shows it, if nothing else is the same in two requests
        again = asker.probe(dialect, best.extras, f"{secrets.token_hex(4)} {_PROBE_PROMPTS[1]}", 1)
        n_template = again.usage.n_cached_tokens if again.usage is not None else None
    return ServerFacts(
        url=control.url,
        engine=engine.name,
        title=engine.title,
        version=identity.version,
        model=model,
        api=dialect.name,
        apis=apis,
        extras=best.extras,
        count_extras=speech.count_extras,
        length_extras=tuple(name for name in speech.length_extras if name in best.extras),
        context_tokens=identity.context_tokens,
        prompt_tokens=identity.prompt_tokens,
        n_slots=identity.n_slots,
        n_template_tokens=n_template,
        is_length_forced=is_forced,
        usage_in_stream=seen.is_streamed and seen.n_output_tokens is not None,
        streams=seen.is_streamed,
        takes_token_ids=speech.takes_token_ids and asker.takes_ids(dialect),
        sample_ids=() if dialect.takes_text else asker.ids(SAMPLE_TEXT),
        counts_by=counts_by,
        counts_outputs_by=outputs_by,
        notes=tuple(notes),
        evidence=identity.evidence,
    )


def _counts_by(server: ServerCounter, n_told: int | None, notes: list[str]) -> str:
    """Who is to be believed about the length of prompts. `n_told`: the usage of an answer to the first probe."""
    if server.find_way():
        n_counted = server.count(_PROBE_PROMPTS[0])
        if n_told is None or n_counted == n_told:
            return "server"
        if n_counted:
            notes.append(
                f"the server's tokenizer counts {n_counted} tokens where its answer says {n_told}: "
                "prompts are sized by the usage of answers instead"
            )
    if n_told is None:
        notes.append("the server does not count prompts: input lengths are a guess")
        return "nothing"
    return "usage"


def _choose_api(
    asker: _Asker, url: str, engine: Engine, api: str | None, *, count_tokens: bool
) -> tuple[_Trial, tuple[str, ...]]:
    """The API asked for, else the first of those that all engines have, else the engine's first that answers; and all
    that answer.

    Raises: UsageError if the engine does not speak it; EngineError with the server's own words if none answers.
    """
    if api is not None and api not in engine.speaks:
        raise UsageError(
            f"the {api} API of {engine.title} is not known, or there is none",
            f"choose {' or '.join(engine.speaks)} with --api",
        )
    wanted = (
        (api,) if api is not None else tuple(name for name in APIS if name in engine.speaks) or tuple(engine.speaks)
    )
    best: _Trial | None = None
    answering, errors = [], []
    for name in wanted:
        speech = engine.speaks[name]
        if best is None:
            trial = _try(asker, speech, count_tokens=count_tokens)
            if not trial.probe.error:
                best = trial
                answering.append(speech.dialect.name)
            else:
                errors.append(f"{name}: {trial.probe.error}")
        elif not asker.probe(speech.dialect, {}, n_tokens=1, is_streamed=False).error:
            answering.append(speech.dialect.name)
    if best is None:
        has_other = api is not None
        remedy = "does the model serve this API? try the other with --api" if has_other else "see the server's own log"
        if any("HTTP 401" in error or "HTTP 403" in error for error in errors):
            remedy = "give the key by --api-key-env NAME"
        raise EngineError(f"{url} does not answer a request ({'; '.join(errors)})", remedy)
    return best, tuple(answering)


def _try(asker: _Asker, speech: Speech, *, count_tokens: bool) -> _Trial:
    """Probe with everything we would like to send; what the server refuses is left out, with a note."""
    ours = {**speech.length_extras, **speech.usage_extras, **(speech.count_extras if count_tokens else {})}
    extras: dict[str, Any] = dict(ours)
    notes: list[str] = []
    for _ in range(_MAX_REFUSALS):
        seen = asker.probe(speech.dialect, extras)
        if seen.status not in (400, 422) or not (change := _milder(extras, seen.error)):
            break
        extras |= change
        for name in ours:
            if extras.get(name, name) is None:
                del extras[name]
        notes.append(f"the server refuses {' and '.join(change)}: left out ({seen.error})")
    return _Trial(speech, seen, extras, tuple(notes))


def _milder(extras: Mapping[str, Any], error: str) -> dict[str, Any]:
    """Changes to the extras that the server's complaint suggests: those fields it names, else all that are ours."""
    if "max_completion_tokens" in error and "max_completion_tokens" not in extras:
        return {"max_tokens": None, "max_completion_tokens": OUTPUT_TOKENS_ASKED}
    forcing = [name for name, value in extras.items() if value is not None and not name.startswith("max_")]
    optional = [name for name in _OPTIONAL_FIELDS if name not in extras]
    named = [name for name in (*forcing, *optional) if name.rpartition(".")[2] in error]
    return dict.fromkeys(named or forcing)


def _is_forced(trial: _Trial, seen: Probe, notes: list[str]) -> bool:
    """Whether an answer had the length asked for, by the fields that are meant to force it."""
    n_given = seen.n_output_tokens
    fields = [name for name in trial.speech.length_extras if name in trial.extras]
    if n_given is None:
        return False
    if n_given != _N_PROBE_TOKENS:
        notes.append(
            f"{_N_PROBE_TOKENS} output tokens were asked for and {n_given} came"
            + (f" in spite of {' and '.join(fields)}" if fields else "")
            + ": output lengths are not as asked"
        )
        return False
    if not fields:
        notes.append("output lengths cannot be forced: answers may end early")
    return bool(fields)


def _template_prefix(counter: ServerCounter) -> int | None:
    """Tokens that two requests share although their texts begin differently."""
    first, second = (counter.ids(prompt) for prompt in _PROBE_PROMPTS)
    if not first or not second:
        return None
    same = [a == b for a, b in zip(first, second, strict=False)]
    return same.index(False) if False in same else len(same)
