# SPDX-License-Identifier: Apache-2.0
"""One experiment: find or start the server, ask it, plan, drive, write the run down.

Rule 1: everything that can be wrong is found before the first request is sent.
Rule 2: whatever happens after the folder is made, the folder says what happened, and the engine is stopped.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inferometer.clock import Clock
from inferometer.config import Experiment
from inferometer.drive.loop import Options
from inferometer.drive.progress import Observer
from inferometer.engines.registry import dialects, engines
from inferometer.errors import BY_USER, InferometerError, RunError
from inferometer.experiment import caches, scraping
from inferometer.experiment.manifest import begun, ended, known
from inferometer.experiment.pace import Pace
from inferometer.experiment.sending import headers_of, payloads_of, target_of
from inferometer.experiment.sizing import (
    n_requests_of,
    n_reserve_of,
    schedule_of,
    seeds_of,
    shape_of,
    stagger_s_of,
    time_alone,
)
from inferometer.experiment.staffing import check_workers, n_workers_of
from inferometer.experiment.starting import Start
from inferometer.experiment.subject import Subject, check_embedded, engine_pids, start_of, started
from inferometer.host import environment
from inferometer.host.ask import ServerFacts, ask, counting
from inferometer.host.control import Control, normalise_url
from inferometer.host.disk import refuse_unwritable, reserve
from inferometer.host.leave import NOT_OURS, NOT_READ, SHARED, Departure, leave
from inferometer.host.reset import empty
from inferometer.host.sample import ClientSampler, EngineSampler, HostSampler
from inferometer.measurement import Job, Measurement, Sampler
from inferometer.plan import make as planning
from inferometer.plan.plan import Plan
from inferometer.plan.plan import save as save_plan
from inferometer.plan.tokenizer import FileCounter
from inferometer.recorder import Writer, gauges_path
from inferometer.run_folder import DEFAULT_PARENT, PLAN, RECORDER, STATE_FAILED, STATE_RUNNING, STATE_STARTING, Run
from inferometer.scraper import Order
from inferometer.units import NS_PER_S
from inferometer.workers import Crew

N_OWN_FILES = 64  # open files beside the connections


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that was found out and decided before the first measured request. `words_nonce`: see sizing.seeds_of;
    `caches`: see caches.settled."""

    subject: Subject
    facts: ServerFacts
    plan: Plan
    stagger_s: float
    words_nonce: int
    n_workers: int
    beside: scraping.Beside
    departure: Departure
    caches: dict[str, Any]


def check(config: Experiment, *, is_dry: bool = False) -> Start | None:
    """Look at what only the world outside can tell, before anything is made, started or sent. `is_dry`: nor fetched.

    Returns the engine that is to be started, if one was named.
    Raises: UsageError; EngineError if it cannot be started; RunError if the system does not allow as many open files
    as the load needs.
    """
    check_workers(config)
    if config.is_embedded:
        check_embedded(config)
    if config.url is not None:
        normalise_url(config.url)
    if config.out is not None:
        Run.refuse_existing(config.out)
    refuse_unwritable(Path(config.out) if config.out else Path(DEFAULT_PARENT) / "run")
    if config.mode != "open":
        environment.raise_open_files((config.concurrency or config.requests or 1) + N_OWN_FILES)
    if config.tokenizer is not None:
        FileCounter(config.tokenizer)
    return start_of(config, is_dry=is_dry) if config.engine is not None else None


def run(config: Experiment, observer: Observer, *, is_staggered: bool = True) -> Run:
    """Carry the experiment out; the folder it left. `is_staggered`: slots of a closed loop open one after another.

    Raises: UsageError, EngineError, RunError. A run that ended early is no exception: its manifest says why.
    """
    start = check(config)
    with ExitStack() as stack:
        if config.url is not None and not config.command:
            subject, run_ = Subject(config.url, config.model), None
        else:
            run_ = Run.create(config.out, name_of(config))
            stack.enter_context(_noting_failure(config, run_))
            subject = stack.enter_context(started(config, shape_of(config), run_.path, observer, start))
        prepared = _prepare(config, subject, observer, is_staggered=is_staggered)
        if run_ is None:
            run_ = Run.create(config.out, name_of(config))
            stack.enter_context(_noting_failure(config, run_))
        observer.say(f"folder    {run_.path}")
        _drive(config, prepared, run_, observer)
    run_.write_tables()
    return run_


@contextmanager
def serving(config: Experiment, folder: Path, observer: Observer, pace: Pace | None = None) -> Iterator[Subject]:
    """The server of many runs, started once if it is ours to start, with its log in `folder`.

    `config`: the greatest load that will come; `pace`: of this same server when it ran before.
    Raises: UsageError, EngineError.
    """
    start, pace = check(config), pace or Pace()
    if config.url is not None and not config.command:
        yield Subject(config.url, config.model, serves_many=True, pace=pace)
        return
    with started(config, shape_of(config), folder, observer, start) as subject:
        yield replace(subject, serves_many=True, pace=pace)


def run_against(
    subject: Subject,
    config: Experiment,
    observer: Observer,
    *,
    facts: ServerFacts | None = None,
    is_staggered: bool = True,
) -> Run:
    """One run, of a server that is there. `config` names the folder by `out`. `facts`: what is known of it, so that it
    need not be asked again. Raises: as `run`."""
    run_ = Run.create(config.out, name_of(config))
    with _noting_failure(config, run_):
        prepared = _prepare(config, subject, observer, is_staggered=is_staggered, facts=facts)
        _drive(config, prepared, run_, observer)
    subject.pace.learn(config, run_.write_tables().requests)
    return run_


def facts_of(subject: Subject, config: Experiment) -> ServerFacts:
    """What the server is and does, asked for by a few short questions. Raises: EngineError, UsageError."""
    return ask(subject.url, model=subject.model, api=config.api, count_tokens=config.count_tokens, **access_of(config))


def access_of(config: Experiment) -> dict[str, Any]:
    """How its server is reached and spoken to."""
    return {
        "headers": config.headers(),
        "is_insecure": config.insecure,
        "engines": engines(),
        "dialects": dialects(),
    }


def _prepare(
    config: Experiment, subject: Subject, observer: Observer, *, is_staggered: bool, facts: ServerFacts | None = None
) -> Prepared:
    """Ask the server, time one request where that is needed and not known, and make the plan."""
    shape, schedule = shape_of(config), schedule_of(config)
    seed, words_nonce = seeds_of(config)
    facts = _as_asked(facts or facts_of(subject, config), config)
    observer.say(f"engine    {facts.title}, model {facts.model}, {facts.api} API at {facts.url}")
    is_staggered = is_staggered and config.mode == "closed"
    taken_s = 0.0  # by a request, at the least
    if is_staggered or schedule.n_planned is None:
        taken_s = subject.pace.at_least_s(config) or time_alone(config, shape, facts)
    with counting(facts, tokenizer=config.tokenizer, **access_of(config)) as counter:
        server = planning.Server(
            counter=counter,
            context_tokens=facts.context_tokens,
            takes_token_ids=facts.takes_token_ids,
            takes_messages=dialects()[facts.api].is_chat,
            takes_text=dialects()[facts.api].takes_text,
        )
        n_requests = n_requests_of(schedule, taken_s)
        plan = planning.make(shape, schedule, server, n_requests=n_requests, seed=seed, words_nonce=words_nonce)
    observer.say(f"plan      {schedule.law}; {config.input_tokens} tokens in, {config.output_tokens} out")
    n_workers = n_workers_of(config, shape, taken_s, subject)
    if n_workers > 1:
        observer.say(f"workers   {n_workers} processes send and receive")
    stagger_s = stagger_s_of(config, taken_s) if is_staggered else 0.0
    engine = next(engine for engine in engines() if engine.name == facts.engine)
    with Control(facts.url, headers=config.headers(), is_insecure=config.insecure) as control:
        beside = scraping.found(engine, control, config.scrape_every_s, is_local=subject.is_local)
        departure = Departure(NOT_OURS if subject.server is None else SHARED if subject.serves_many else NOT_READ)
        if subject.server is not None and config.scrape_every_s and not subject.serves_many:
            speed = shape.outputs.mean / taken_s if taken_s else None
            departure = leave(control, engine, facts, dialects(), tokens_per_s=speed)
        state = caches.settled(  # last, for whatever was asked until now may lie in them
            partial(empty, control, engine, facts.n_slots),
            has_new_words=config.seed is None and shape.inputs.kind != "file",
            is_our_server=subject.server is not None,
            is_new_server=subject.server is not None and not subject.serves_many,
            keeps_caches=config.keep_caches,
        )
    return Prepared(subject, facts, plan, stagger_s, words_nonce, n_workers, beside, departure, state)


def _as_asked(facts: ServerFacts, config: Experiment) -> ServerFacts:
    """The same with the fields that this run's requests are to carry."""
    if config.forces_length and not config.body_fields:
        return facts
    kept = {name: value for name, value in facts.extras.items() if name not in facts.length_extras}
    extras = {**(facts.extras if config.forces_length else kept), **config.body_fields}
    if config.forces_length:
        return replace(facts, extras=extras)
    outputs_by = "nothing" if facts.counts_outputs_by == "length" else facts.counts_outputs_by
    return replace(facts, extras=extras, is_length_forced=False, counts_outputs_by=outputs_by)


@contextmanager
def _noting_failure(config: Experiment, run_: Run) -> Iterator[None]:
    """Whatever ends the run before it is done: the folder says so, and that there is no measurement if so."""
    run_.write_manifest(begun(config) | {"state": STATE_STARTING})
    try:
        yield
    except (InferometerError, KeyboardInterrupt) as error:
        told = run_.manifest()
        if told["state"] in (STATE_STARTING, STATE_RUNNING):
            state = STATE_RUNNING if (run_.path / RECORDER).exists() else STATE_FAILED
            is_interrupted = isinstance(error, KeyboardInterrupt)
            noted = {"state": state, "stop_reason": str(error) or BY_USER, "is_interrupted": is_interrupted}
            with suppress(RunError):  # a disk that is full; the error itself says so
                run_.write_manifest(told | noted)
        raise


def name_of(config: Experiment) -> str:
    """For the folder of a run: whom it measures, and under what load."""
    if config.is_embedded:
        who = "embedded"
    elif config.engine is not None:
        who = "".join(c for c in config.engine if c.isalnum() or c in "._-")
    elif config.url is not None:
        who = urlsplit(config.url).netloc.rpartition("@")[2].replace(":", "-")
    else:
        who = Path(config.command[0]).name
    load = {"closed": f"c{config.concurrency}", "open": f"r{config.rate or 0:g}", "burst": f"b{config.requests}"}
    return f"{who}-{load[config.mode]}"


# --- the measurement -----------------------------------------------------------------------------------------------


def _drive(config: Experiment, prepared: Prepared, run_: Run, observer: Observer) -> None:
    facts, plan, subject = prepared.facts, prepared.plan, prepared.subject
    nonce = secrets.token_hex(4)
    clock = Clock()
    manifest = begun(config) | known(config, plan, facts, subject, prepared.n_workers) | {"nonce": nonce}
    manifest["plan"] |= {"words_nonce": prepared.words_nonce} | prepared.caches
    manifest["engine"]["when_a_client_leaves"] = prepared.departure.facts()
    manifest["engine"]["notes"] += prepared.departure.notes()
    manifest["clock"] = {"origin_ns": clock.origin_ns}
    manifest["gauges"] = prepared.beside.facts()
    run_.write_manifest(manifest | {"state": STATE_RUNNING})  # first: killed from here on, it is still a run's folder
    headers = headers_of(facts.url, config.headers())
    payloads = payloads_of(plan, facts, headers, nonce)
    target = target_of(config, facts.url)
    save_plan(plan, run_.path / PLAN, with_content=config.keeps_content)
    _allow_files(config, plan)
    options = Options(
        timeout_ns=round(config.timeout_s * NS_PER_S),
        stall_timeout_ns=round(config.stall_timeout_s * NS_PER_S),
        keeps_content=config.keeps_content,
        n_reserve=n_reserve_of(config),
        stagger_ns=round(prepared.stagger_s * NS_PER_S),
    )
    with reserve(run_.path) as release:
        # Before this process keeps to its cores, so that the one that reads gauges need not.
        with scraping.scraping(_order(config, prepared, run_, clock), prepared.beside), _pinned(subject.client_cores):
            recorder = Writer(run_.path / RECORDER)
            samplers = _samplers(subject, prepared.n_workers)
            dialect = dialects()[facts.api]
            job = Job(target, payloads, plan.schedule, dialect, recorder, clock, options, samplers, observer)
            if prepared.n_workers == 1:
                measured = Measurement(job).run()
            else:
                cores = subject.client_cores
                crew = Crew(job, n_workers=prepared.n_workers, client_sampler=ClientSampler, cores=cores)
                measured = crew.run()
            for sampler in samplers:
                sampler.close()
            try:
                recorder.close()
            except RunError as error:
                measured = replace(measured, stop_reason=measured.stop_reason or str(error), is_own_fault=True)
        release()
        manifest["gauges"] = prepared.beside.facts()
        run_.write_manifest(manifest | ended(measured, manifest, subject))


def _order(config: Experiment, prepared: Prepared, run_: Run, clock: Clock) -> Order:
    """What is to be read beside the load."""
    return Order(
        recorder=str(gauges_path(run_.path.resolve() / RECORDER)),
        url=prepared.facts.url,
        engine=prepared.facts.engine,
        headers=config.headers(),
        is_insecure=config.insecure,
        is_scraped=not prepared.beside.prospect.not_measured,
        has_gpus=not prepared.beside.no_gpus,
        period_ns=round(config.scrape_every_s * NS_PER_S),
        origin_ns=clock.origin_ns,
    )


def _samplers(subject: Subject, n_workers: int) -> list[Sampler]:
    # Of several processes, this one leads and drives nothing: what it suffers says nothing about the records.
    samplers: list[Sampler] = [ClientSampler("client" if n_workers == 1 else "leader"), HostSampler()]
    pids = engine_pids(subject)
    return [*samplers, EngineSampler(pids)] if pids else samplers


def _allow_files(config: Experiment, plan: Plan) -> None:
    """Make room for a connection per request in flight, and some files of our own.

    In open loop nobody knows how many that will be; as many as the system gives are asked for, and a request that finds
    none left becomes a NOT_SENT row.
    Raises: RunError with the remedy if a closed loop or a burst cannot have what it needs.
    """
    limits = environment.open_files_limits()
    if config.mode == "open" and limits is not None:
        n_wanted = math.ceil((config.rate or 0) * config.timeout_s) + N_OWN_FILES
        environment.raise_open_files(min(n_wanted, limits[1]))
    elif config.mode != "open":
        environment.raise_open_files((config.concurrency or len(plan.requests)) + N_OWN_FILES)


@contextmanager
def _pinned(cores: Sequence[int]) -> Iterator[None]:
    """Keep this process on the cores that were left for it."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
