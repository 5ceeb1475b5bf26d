# SPDX-License-Identifier: Apache-2.0
"""One experiment: find or start the server, ask it, plan, drive, write the run down.

Rule 1: everything that can be wrong is found before the first request is sent.
Rule 2: whatever happens after the folder is made, the folder says what happened, and the engine is stopped.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from inferometer import __version__, embedded
from inferometer.clock import Clock, utc_now
from inferometer.config import Experiment, Warmup, describe
from inferometer.drive.connection import Target
from inferometer.drive.loop import Options
from inferometer.drive.progress import Observer
from inferometer.drive.scrub import secrets_of
from inferometer.embedded.cache import ensure_model
from inferometer.embedded.server import command as embedded_command
from inferometer.engines import DIALECTS, ENGINES
from inferometer.engines.engine import Dialect
from inferometer.errors import EngineError, InferometerError
from inferometer.host import environment
from inferometer.host.ask import ServerFacts, ask, counting
from inferometer.host.control import Control, normalise_url
from inferometer.host.launch import Server, divide_cores, family, launch, listeners, place_port
from inferometer.host.probe import probe
from inferometer.host.sample import ClientSampler, EngineSampler, HostSampler
from inferometer.measurement import Measured, Measurement, Sampler
from inferometer.plan import make as planning
from inferometer.plan.lengths import Lengths, parse_lengths
from inferometer.plan.plan import Plan
from inferometer.plan.plan import save as save_plan
from inferometer.plan.request import Request, Sampling
from inferometer.plan.schedule import Schedule, burst, closed, open_loop, parse_arrivals
from inferometer.plan.tokenizer import FileCounter
from inferometer.plan.words import TokenCounter
from inferometer.recorder import Writer
from inferometer.records import SCHEMA_VERSION
from inferometer.run_folder import ENGINE_LOG, PLAN, RECORDER, STATE_FINISHED, STATE_RUNNING, STATE_STOPPED, Run
from inferometer.units import NS_PER_S
from inferometer.wire.http1 import encode_request
from inferometer.wire.tls import make_context

STATE_STARTING, STATE_FAILED = "starting", "failed"
MIN_POOL = 128
MAX_ALONE_TOKENS = 64  # of the request that is timed alone
MAX_POOL = 50_000  # prompts made for a closed loop that time ends; past it they are used again
OPEN_LOOP_SLOTS = 8  # of the embedded engine, where no concurrency was asked for
N_OPEN_CONNECTIONS = 256  # that the embedded engine has threads for in open loop
CONNECT_TIMEOUT_S = 5.0
MIN_MASKED_CHARS = 8
N_OWN_FILES = 64  # open files beside the connections


class LiveObserver(Observer, Protocol):
    """An observer that also wants to know how answers are to be read."""

    def begin(self, dialect: Dialect) -> None: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """The server that is measured. `server` is there if we started it; `client_core` if one was kept for us."""

    url: str
    server: Server | None = None
    client_core: int | None = None


def check(config: Experiment) -> None:
    """Look at what only the world outside can tell, before anything is made, started or sent. Raises: UsageError."""
    if config.url is not None:
        normalise_url(config.url)
    if config.out is not None:
        Run.refuse_existing(config.out)
    if config.tokenizer is not None:
        FileCounter(config.tokenizer)


def shape_of(config: Experiment) -> planning.Shape:
    """What requests are asked to be. Raises: UsageError."""
    return planning.Shape(
        inputs=parse_lengths(config.input_tokens, "--input-tokens"),
        outputs=parse_lengths(config.output_tokens, "--output-tokens"),
        sampling=Sampling(config.temperature, config.seed),
        is_streamed=config.is_streamed,
        n_shared=config.shared_prefix,
    )


def schedule_of(config: Experiment) -> Schedule:
    """When they are due. Raises: UsageError."""
    arrivals = parse_arrivals(config.arrivals)
    warmup = config.warmup or Warmup()
    open_ = partial(open_loop, config.rate or 1, arrivals, seed=config.seed or 0)
    begin = {"open": open_, "closed": partial(closed, config.concurrency or 1)}.get(config.mode)
    if begin is None:
        return burst(
            config.requests or 1, n_warmup=warmup.n_requests, warmup_s=warmup.duration_s, n_trials=config.repeats
        )
    return begin(
        n_requests=config.requests,
        for_s=config.for_s,
        n_warmup=warmup.n_requests,
        warmup_s=warmup.duration_s,
        n_trials=config.repeats,
    )


def run(config: Experiment, observer: LiveObserver, *, is_staggered: bool = True) -> Run:
    """Carry the experiment out; the folder it left. `is_staggered`: slots of a closed loop open one after another.

    Raises: UsageError, EngineError, RunError. A run that ended early is no exception: its manifest says why.
    """
    check(config)
    shape, schedule = shape_of(config), schedule_of(config)
    seeds = _seeds(config)
    with ExitStack() as stack:
        if config.url is not None and not config.command:
            subject, run_ = Subject(config.url), None
        else:
            run_ = Run.create(config.out, _name(config))
            stack.enter_context(_noting_failure(config, run_))
            subject = stack.enter_context(_started(config, shape, run_, observer))
        access: dict[str, Any] = {"headers": config.headers(), "is_insecure": config.insecure}
        access |= {"engines": ENGINES, "dialects": DIALECTS}
        facts = ask(subject.url, model=config.model, api=config.api, **access)
        observer.say(f"engine    {facts.title}, model {facts.model}, {facts.api} API at {facts.url}")
        with counting(facts, tokenizer=config.tokenizer, **access) as counter:
            is_staggered = is_staggered and config.mode == "closed"
            needs_time = is_staggered or schedule.n_planned is None
            alone_s = _time_alone(config, shape, facts) if needs_time else 0.0
            plan = _plan(shape, schedule, facts, counter, alone_s, seeds)
        observer.say(f"plan      {schedule.law}; {config.input_tokens} tokens in, {config.output_tokens} out")
        run_ = run_ or Run.create(config.out, _name(config))
        observer.say(f"folder    {run_.path}")
        observer.begin(DIALECTS[facts.api])
        stagger_s = _stagger_s(config, alone_s) if is_staggered else 0.0
        _drive(config, plan, facts, subject, run_, observer, stagger_s, seeds)
    run_.write_tables()
    return run_


# --- the server ----------------------------------------------------------------------------------------------------


@contextmanager
def _noting_failure(config: Experiment, run_: Run) -> Iterator[None]:
    """Until the measurement begins the folder says that there is none, and why it did not come to one."""
    manifest = _manifest(config)
    run_.write_manifest(manifest | {"state": STATE_STARTING})
    try:
        yield
    except InferometerError as error:
        if run_.manifest()["state"] == STATE_STARTING:
            run_.write_manifest(manifest | {"state": STATE_FAILED, "stop_reason": str(error)})
        raise


@contextmanager
def _started(config: Experiment, shape: planning.Shape, run_: Run, observer: LiveObserver) -> Iterator[Subject]:
    """Start the embedded engine, or the command given, and stop it in the end."""
    client_core, engine_cores = None, None
    if config.is_embedded:
        model = _model(observer)
        client_core, engine_cores = divide_cores()
        command = _embedded_command(config, shape, model, n_threads=len(engine_cores or [0]))
    else:
        command = list(config.command)
    argv, url = place_port(command, config.url)
    observer.say(f"starting  {'the embedded engine' if config.is_embedded else argv[0]} at {url}")
    with launch(
        argv,
        base_url=url,
        log_path=run_.path / ENGINE_LOG,
        ready_within_s=config.ready_timeout_s,
        cpus=engine_cores,
        secrets=[secret.decode(errors="surrogateescape") for secret in secrets_of(config.headers())],
    ) as server:
        yield Subject(url, server, client_core)


def _model(observer: LiveObserver) -> Path:
    embedded.require("xllamacpp")
    observer.say("model     the small model of the embedded engine (made on first use)")
    return ensure_model()


def _embedded_command(config: Experiment, shape: planning.Shape, model: Path, *, n_threads: int) -> list[str]:
    n_slots = config.concurrency or OPEN_LOOP_SLOTS
    if config.burst:
        n_connections = config.requests or 1
    else:
        n_connections = config.concurrency or N_OPEN_CONNECTIONS
    return embedded_command(
        model,
        n_slots=n_slots,
        n_threads=n_threads,
        context_tokens=_longest(shape.inputs) + _longest(shape.outputs) + 64,
        n_connections=n_connections,
    )


def _longest(lengths: Lengths) -> int:
    """A bound that practically no draw exceeds; the rest is clipped, and said."""
    if lengths.kind in ("fixed", "uniform"):
        return int(max(lengths.a, lengths.b))
    if lengths.kind == "normal":
        return math.ceil(lengths.a + 4 * lengths.b)
    if lengths.kind == "lognormal":
        return min(8192, math.ceil(lengths.a * math.exp(4 * lengths.b)))
    return 4096


def _name(config: Experiment) -> str:
    if config.is_embedded:
        who = "embedded"
    elif config.url is not None:
        who = urlsplit(config.url).netloc.rpartition("@")[2].replace(":", "-")
    else:
        who = Path(config.command[0]).name
    load = {"closed": f"c{config.concurrency}", "open": f"r{config.rate or 0:g}", "burst": f"b{config.requests}"}
    return f"{who}-{load[config.mode]}"


# --- the plan ------------------------------------------------------------------------------------------------------


def _plan(
    shape: planning.Shape,
    schedule: Schedule,
    facts: ServerFacts,
    counter: TokenCounter,
    alone_s: float,
    seeds: tuple[int, int],
) -> Plan:
    server = planning.Server(
        counter=counter,
        context_tokens=facts.context_tokens,
        takes_token_ids=facts.takes_token_ids,
        takes_messages=facts.api == "chat",
    )
    seed, words_nonce = seeds
    n_requests = _n_requests(schedule, alone_s)
    return planning.make(shape, schedule, server, n_requests=n_requests, seed=seed, words_nonce=words_nonce)


def _seeds(config: Experiment) -> tuple[int, int]:
    """The plan's seed, and a nonce for the words of its prompts: fresh in every run, unless the very same requests were
    asked for by --seed. What a server's prefix cache kept of the last run would be measured otherwise."""
    return config.seed or 0, 0 if config.seed is not None else secrets.randbits(32)


def _n_requests(schedule: Schedule, alone_s: float) -> int:
    """All that is planned, and for stages that time ends more than the server can answer: every slot at the speed of
    one alone, and half as many again."""
    n_planned = n_pool = 0
    for stages in schedule.trials:
        for stage in stages:
            if stage.n_planned is not None:
                n_planned += stage.n_planned
            else:
                n_slots = stage.concurrency or 1
                n_pool += math.ceil(1.5 * (stage.duration_ns or 0) / NS_PER_S * n_slots / alone_s) + 2 * n_slots
                n_pool += stage.n_warmup
    return n_planned + (min(MAX_POOL, n_pool + MIN_POOL) if n_pool else 0)


def _stagger_s(config: Experiment, alone_s: float) -> float:
    """How far apart the slots open: over one request's time, and well within the warm-up. Without one, together."""
    warmup = config.warmup or Warmup()
    concurrency = config.concurrency or 1
    if warmup.duration_s:
        return min(alone_s, 0.5 * warmup.duration_s) / concurrency
    return 0.8 * alone_s / concurrency if warmup.n_requests >= concurrency else 0.0


def _time_alone(config: Experiment, shape: planning.Shape, facts: ServerFacts) -> float:
    """Seconds that one request of middling size takes on the idle server, once it is warm; a long answer is not waited
    for but reckoned from its first tokens.

    Raises: EngineError if it answers with an error.
    """
    n_output = max(1, math.ceil(shape.outputs.mean))
    n_asked = min(n_output, MAX_ALONE_TOKENS)
    prompt = " ".join(["water"] * math.ceil(shape.inputs.mean))
    request = Request(0, prompt, 0, n_asked, shape.sampling, shape.is_streamed)
    clock = Clock()
    t_start_ns = 0
    with Control(facts.url, headers=config.headers(), is_insecure=config.insecure) as control:
        for _ in range(2):
            t_start_ns = clock.now_ns()
            seen = probe(control, DIALECTS[facts.api], facts.model, facts.extras, request)
            if seen.error:
                raise EngineError(f"a first request failed: {seen.error}", "mend what the server says, then try again")
    return max(1e-3, (clock.now_ns() - t_start_ns) / NS_PER_S * n_output / n_asked)


# --- the measurement -----------------------------------------------------------------------------------------------


def _drive(
    config: Experiment,
    plan: Plan,
    facts: ServerFacts,
    subject: Subject,
    run_: Run,
    observer: LiveObserver,
    stagger_s: float,
    seeds: tuple[int, int],
) -> None:
    nonce = secrets.token_hex(4)
    clock = Clock()
    manifest = _manifest(config) | _facts(config, plan, facts, subject) | {"nonce": nonce}
    manifest["plan"] |= {"words_nonce": seeds[1]}
    manifest["clock"] = {"origin_ns": clock.origin_ns}
    run_.write_manifest(manifest | {"state": STATE_RUNNING})  # first: killed from here on, it is still a run's folder
    headers = _headers(facts.url, config.headers())
    payloads = _payloads(plan, facts, headers, nonce)
    target = _target(config, facts.url, headers)
    save_plan(plan, run_.path / PLAN, with_content=config.keeps_content)
    _allow_files(config, plan)
    recorder = Writer(run_.path / RECORDER)
    samplers = _samplers(subject)
    options = Options(
        timeout_ns=round(config.timeout_s * NS_PER_S),
        stall_timeout_ns=round(config.stall_timeout_s * NS_PER_S),
        keeps_content=config.keeps_content,
        n_reserve=2 if config.is_embedded or config.mode == "open" else 0,  # ours has threads to spare
        stagger_ns=round(stagger_s * NS_PER_S),
    )
    dialect = DIALECTS[facts.api]
    try:
        with _pinned(subject.client_core):
            measurement = Measurement(
                target, payloads, plan.schedule, dialect, recorder, clock, options, samplers, observer
            )
            measured = measurement.run()
    finally:
        recorder.close()
        for sampler in samplers:
            sampler.close()
    run_.write_manifest(manifest | _ending(measured, manifest, subject))


def _samplers(subject: Subject) -> list[Sampler]:
    samplers: list[Sampler] = [ClientSampler(), HostSampler()]
    pids = subject.server.pids() if subject.server is not None else _listeners(subject.url)
    return [*samplers, EngineSampler(pids)] if pids else samplers


def _listeners(url: str) -> list[int]:
    """Processes of this machine that serve a loopback URL, as far as we may see them."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return []
    found = [family(pid) for pid in listeners(parts.port or (443 if parts.scheme == "https" else 80))]
    return list(dict.fromkeys(pid for pids in found for pid in pids))


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
def _pinned(core: int | None) -> Iterator[None]:
    """Keep this thread on the core that was left for it."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _headers(url: str, own: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of every request; the user's own take the place of ours."""
    ours = [
        ("host", urlsplit(url).netloc),
        ("user-agent", f"inferometer/{__version__}"),
        ("accept", "text/event-stream, application/json"),
        ("accept-encoding", "identity"),
        ("content-type", "application/json"),
    ]
    named = {name.lower() for name, _ in own}
    return [*[(name, value) for name, value in ours if name not in named], *own]


def _payloads(plan: Plan, facts: ServerFacts, headers: Sequence[tuple[str, str]], nonce: str) -> list[bytes]:
    """Every request of the plan as the bytes that go out."""
    dialect, prefix = DIALECTS[facts.api], urlsplit(facts.url).path
    payloads = []
    for request in plan.requests:
        encoded = dialect.encode(request, facts.model, facts.extras)
        fields = [*headers, ("x-request-id", f"{request.id}-{nonce}")]
        payloads.append(encode_request("POST", prefix + encoded.path, fields, encoded.body))
    return payloads


def _target(config: Experiment, url: str, headers: Sequence[tuple[str, str]]) -> Target:
    """Resolve the name once, and take the first address that accepts a connection.

    Raises: EngineError if none does.
    """
    parts = urlsplit(url)
    hostname = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    reason = "no address"
    try:
        found = socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: no such name can be
        raise EngineError(f"{hostname} cannot be resolved: {error}", "check the host name") from error
    for kind, _, _, _, address in found:
        try:
            with socket.socket(kind, socket.SOCK_STREAM) as attempt:
                attempt.settimeout(CONNECT_TIMEOUT_S)
                attempt.connect(address)
        except OSError as error:
            reason = error.strerror or str(error)
            continue
        tls = make_context(config.insecure) if parts.scheme == "https" else None
        return Target(kind, address, hostname, tls, _unwritten(config, headers))
    raise EngineError(f"no connection to {hostname}:{port}: {reason}", "is the server running?")


def _unwritten(config: Experiment, headers: Sequence[tuple[str, str]]) -> tuple[bytes, ...]:
    """What must never reach the disk: keys, and whatever else the user put into a header, if it is long enough to be
    told from ordinary text."""
    own = {value.encode() for _, value in config.headers() if len(value) >= MIN_MASKED_CHARS}
    return tuple(sorted({*secrets_of(headers), *own}, key=len, reverse=True))


# --- the manifest --------------------------------------------------------------------------------------------------


def _manifest(config: Experiment) -> dict[str, Any]:
    """What is known before the server is asked."""
    return {
        "schema": SCHEMA_VERSION,
        "created": utc_now().isoformat(timespec="seconds"),
        "config": describe(config),
        "host": environment.host_facts(),
        "versions": environment.versions(),
        "stop_reason": "",
        "is_cut_off": False,
    }


def _facts(config: Experiment, plan: Plan, facts: ServerFacts, subject: Subject) -> dict[str, Any]:
    server = subject.server
    return {
        "dialect": facts.api,
        "plan": plan.schedule.facts()
        | {
            "digest": plan.digest,
            "seed": plan.seed,
            "lengths_from": plan.lengths_from,
            "notes": list(plan.notes),
            "is_streamed": config.is_streamed,
            "input_tokens": config.input_tokens,
            "output_tokens": config.output_tokens,
            "shared_prefix": config.shared_prefix,
            "timeout_s": config.timeout_s,
            "stall_timeout_s": config.stall_timeout_s,
            "is_length_forced": facts.is_length_forced,
            "n_template_tokens": facts.n_template_tokens,
            "n_pool": len(plan.requests),
            "slo": config.slo,
        },
        "engine": {
            "name": facts.engine,
            "title": facts.title,
            "version": embedded.engine_version() if config.is_embedded else facts.version,
            "model": facts.model,
            "url": facts.url,
            "api": facts.api,
            "context_tokens": facts.context_tokens,
            "evidence": list(facts.evidence),
            "notes": list(facts.notes),
            "argv": server.argv if server is not None else [],
            "ready_s": server.ready_s if server is not None else None,
            "is_embedded": config.is_embedded,
        },
        "wire": {
            "url": facts.url,
            "model": facts.model,
            "extras": dict(facts.extras),
            "headers": _headers(facts.url, [(name, "") for name, _ in config.headers()]),
            "key_name": config.api_key_env or "API_KEY",
            "is_insecure": config.insecure,
            "keeps_content": config.keeps_content,
        },
        "client": {"core": subject.client_core, "pid": os.getpid()},
    }


def _ending(measured: Measured, manifest: dict[str, Any], subject: Subject) -> dict[str, Any]:
    server = subject.server
    died = "" if server is None or server.is_running else f" (the engine ended with exit code {server.exit_code})"
    return {
        "state": STATE_STOPPED if measured.stop_reason else STATE_FINISHED,
        "stop_reason": measured.stop_reason + died,
        "is_interrupted": measured.is_interrupted,
        "engine_last_lines": server.last_lines() if server is not None and died else [],
        "windows": [asdict(window) for window in measured.windows],
        "stamps": measured.stamps,
        "clock": manifest["clock"]
        | {
            "n_steps": measured.n_clock_steps,
            "max_bracket_ns": max(measured.clock_start.width_ns, measured.clock_end.width_ns),
            "start": asdict(measured.clock_start),
            "end": asdict(measured.clock_end),
        },
    }
