# SPDX-License-Identifier: Apache-2.0
"""For each reason a trace that gives it and one, nearly the same, that does not; and how reasons become a verdict."""

from __future__ import annotations

import re

import numpy as np
import pytest
from traces import CONTENT, MS, closed_loop, failed, gauges, make_trace, open_loop, request, span_of, stream
from traces import S as SECOND

from inferometer.kinds import Outcome
from inferometer.metrics import METRICS
from inferometer.metrics.summary import summarize
from inferometer.records import NEVER

SPAN = span_of(closed_loop())


def reasons(trace):
    return {reason.code: reason for reason in summarize(trace).verdict.reasons}


def delayed(trace, rows, *, by, names=("t_sent_ns",)):
    """Some requests shifted, answer and all; what `names` does not name stays."""
    for name in (*names, "t_head_ns", "t_first_content_ns", "t_first_answer_ns", "t_last_content_ns", "t_end_ns"):
        trace.requests[name][rows] += by
    return trace


def with_samples(**rises):
    return closed_loop(samples=gauges(SPAN, **rises))


def test_a_healthy_run_is_valid_in_every_part():
    for trace in (closed_loop(), open_loop()):
        summary = summarize(trace)
        assert summary.verdict.level == "valid"
        assert summary.verdict.reasons == ()
        assert {verdict.level for verdict in summary.metric_verdicts.values()} == {"valid"}


def test_healthy_runs_are_valid_whatever_the_seed():
    for seed in range(10):
        assert reasons(closed_loop(200, seed=seed)) == {}
        assert reasons(open_loop(200, rate_per_s=15, seed=seed)) == {}


# -- the client -------------------------------------------------------------------------------------------------------


def test_late_sends_make_what_counts_from_due_invalid():
    found = reasons(closed_loop(lateness=4 * MS))["late_sends"]  # TTFT median about 28 ms, end to end 68 ms
    assert (found.level, found.metrics) == ("invalid", ("ttft_s", "ttfat_s", "ttfb_s"))
    assert "4.00 ms" in found.text
    assert "handed over" in found.text
    assert "late_sends" not in reasons(closed_loop(lateness=2 * MS))


def test_few_late_sends_are_judged_by_what_they_do_to_the_percentiles():
    late = np.arange(400) % 50 == 7  # 2 %: the lower bound of p99 lateness is still that of a punctual request
    found = reasons(delayed(closed_loop(), late, by=30 * MS))["late_sends"]
    from_due = ("ttft_s", "ttfat_s", "e2e_s", "normalized_latency_s", "ttfb_s")
    assert (found.level, found.metrics) == ("suspect", from_due)
    assert "ttft_s p99 is" in found.text
    assert "late_sends" not in reasons(delayed(closed_loop(), late, by=2 * MS))


def test_lateness_is_harmless_to_what_counts_from_sent():
    verdicts = summarize(closed_loop(lateness=4 * MS)).metric_verdicts
    assert (verdicts["ttft_s"].level, verdicts["ttft_sent_s"].level) == ("invalid", "valid")


def test_load_that_never_left_the_client_makes_the_run_invalid():
    trace = open_loop()
    trace.requests["outcome"][::50] = Outcome.NOT_SENT
    assert reasons(trace)["not_delivered"].level == "invalid"
    trace = open_loop()
    trace.requests["outcome"][:2] = Outcome.NOT_SENT
    assert "not_delivered" not in reasons(trace)


def test_a_kill_in_the_instant_something_was_due_is_no_such_thing():
    trace = open_loop(60, meta={"is_cut_off": True})
    trace.requests["outcome"][-1] = Outcome.NOT_SENT
    trace.requests["t_sent_ns"][-1] = NEVER
    assert "not_delivered" not in reasons(trace)


def test_a_rate_that_was_not_kept_makes_the_run_invalid():
    trace = open_loop()
    found = reasons(delayed(trace, slice(None), by=trace.requests["t_due_ns"] // 20))["not_delivered"]  # 5 % slower
    assert found.level == "invalid"
    assert "were due" in found.text
    trace = open_loop()
    assert "not_delivered" not in reasons(delayed(trace, slice(None), by=trace.requests["t_due_ns"] // 200))


def passes(longest_s):
    return [(second * SECOND, "client", "pass_max_s", longest_s) for second in range(1, SPAN // SECOND + 1)]


def test_user_space_stamps_are_as_good_as_the_loop_is_fast():
    trace = closed_loop(samples=passes(0.001), meta={})
    trace = type(trace)(trace.requests, trace.chunks, trace.samples, {**trace.meta, "stamps": "user"})
    found = reasons(trace)["lagging_stamps"]
    assert found.level == "suspect"
    assert "gap_s" in found.metrics
    assert "ttft_s" not in found.metrics
    fast = closed_loop(samples=passes(0.0001))
    fast = type(fast)(fast.requests, fast.chunks, fast.samples, {**fast.meta, "stamps": "user"})
    assert reasons(fast) == {}
    assert reasons(closed_loop(samples=passes(0.001))) == {}  # kernel stamps do not mind a slow loop


@pytest.mark.parametrize("gauge", ["n_kernel_stamped", "n_stamps_rejected"])
def test_refused_kernel_stamps_matter_when_user_space_lags(gauge):
    n_refused = 200
    counters = {"client_n_reads": 4000, "client_n_kernel_stamped": 4000, "client_n_stamps_rejected": 0}
    counters[f"client_{gauge}"] = 4000 - n_refused if gauge == "n_kernel_stamped" else n_refused
    trace = with_samples(**counters)
    assert reasons(trace) == {}  # user space lags by 30 us
    trace.chunks["t_read_ns"] += 1 * MS
    assert "5 % of the reads" in reasons(trace)["lagging_stamps"].text
    counters[f"client_{gauge}"] = 3990 if gauge == "n_kernel_stamped" else 10
    trace = with_samples(**counters)
    trace.chunks["t_read_ns"] += 1 * MS
    assert reasons(trace) == {}  # too few to reach p99


def test_merged_reads_spoil_gaps_and_leave_the_run_valid():
    def merged(every):
        trace = closed_loop()
        second = np.arange(len(trace.chunks)) % 10 % every == 1
        trace.chunks["read_id"][second] -= 1
        return trace

    summary = summarize(merged(3))
    (found,) = summary.verdict.reasons
    assert (found.code, found.level) == ("merged_reads", "suspect")
    assert (summary.verdict.level, summary.metric_verdicts["gap_s"].level) == ("valid", "suspect")
    assert summary.fidelity["merged_ratio"].value == pytest.approx(3 / 9)
    assert "merged_reads" in reasons(merged(9))  # 1 of 9 gaps
    trace = merged(9)
    trace.chunks["read_id"][::20] += 10_000  # half of those
    assert "gap p95, p99 overstated" in reasons(trace)["merged_reads"].text
    trace = closed_loop()
    trace.chunks["read_id"][1::200] -= 1  # 20 of 3600
    assert "merged_reads" not in reasons(trace)


@pytest.mark.parametrize(
    ("code", "share", "rises"),
    [
        ("client_starved", 0.30, {"client_run_delay_s": 1}),
        ("slow_disk", 0.15, {"client_write_s": 1}),
        ("collector_pauses", 0.03, {"client_gc_pause_s": 1}),
        ("stolen_time", 0.08, {"host_steal_s": 2}),
        ("engine_starved", 0.20, {"engine_run_delay_s": 1}),
    ],
)
def test_a_machine_that_starves_one_of_them_is_suspect(code, share, rises):
    def run(share):
        seconds = {name: times * share * SPAN / SECOND for name, times in rises.items()}
        if code == "engine_starved":
            seconds["engine_cpu_s"] = (1 - share) * SPAN / SECOND
        samples = [*gauges(SPAN, **seconds), (0, "host", "n_cores", 2.0)]
        return reasons(closed_loop(samples=sorted(samples)))

    assert run(share)[code].level == "suspect"
    assert f"{100 * share:.2g} %" in run(share)[code].text
    assert run(share / 4) == {}


def test_a_client_that_waits_a_little_each_time_is_starved_for_what_it_is_late_for():
    waiting = gauges(SPAN, client_run_delay_s=0.15 * SPAN / SECOND)
    assert reasons(closed_loop(samples=waiting)) == {}  # a lag of 30 us
    found = reasons(closed_loop(samples=waiting, lateness=1_500_000))["client_starved"]  # TTFT median about 26 ms
    assert (found.level, found.metrics) == ("suspect", ("ttft_s",))
    assert reasons(closed_loop(samples=waiting, lateness=1_000_000)) == {}
    trace = closed_loop(samples=waiting)
    trace.chunks["t_read_ns"] += MS  # gaps of 4.5 ms
    assert reasons(trace)["client_starved"].metrics == ("gap_s", "gap_token_s", "gap_max_s")


def away(length, *, worker="client", write=0, start=2 * SECOND, stopped=0.0):
    """One absence of the driving loop, as it is sampled."""
    end = start + length
    rows = {"away_s": length / SECOND, "away_write_s": write / SECOND, "away_stopped": stopped, "write_s": 0.01}
    return [(end, worker, gauge, value) for gauge, value in rows.items()]


def test_a_client_that_stood_still_spoils_what_was_due_meanwhile():
    found = reasons(closed_loop(samples=away(300 * MS)))["client_stalled"]
    assert (found.level, found.metrics) == ("suspect", ("ttft_s", "e2e_s"))
    assert found.text.startswith(
        "the client stood still once, for 300 ms at the longest: 19 of 400 requests became due"
    )
    assert reasons(closed_loop(samples=away(60 * MS))) == {}  # 4 of 400: no more than a tail
    many = [row for i in range(1, 6) for row in away(60 * MS, start=i * SECOND)]
    assert "client_stalled" in reasons(closed_loop(samples=many))
    assert reasons(closed_loop(samples=away(300 * MS, start=-SECOND))) == {}  # before the window


def test_many_absences_too_short_to_move_a_latency_are_harmless():
    many = [row for i in range(600) for row in away(2 * MS, start=i * 10 * MS)]
    assert reasons(closed_loop(samples=many)) == {}


def test_first_tokens_with_the_stamp_of_another_are_told_from_those_with_their_own():
    def run(*, is_merged):
        trace = closed_loop(samples=away(300 * MS))
        first = trace.requests["chunk_start"]
        came = (trace.chunks["t_recv_ns"][first] > 2 * SECOND) & (trace.chunks["t_recv_ns"][first] < 2300 * MS)
        if is_merged:
            trace.chunks["read_id"][first[came] + 1] = trace.chunks["read_id"][first[came]]
        return reasons(trace)["client_stalled"].metrics

    assert set(run(is_merged=True)) - set(run(is_merged=False)) == {"ttft_sent_s", "tpot_s"}


def waits(*in_each_second):
    """How long the client waited for a core in each second of a run."""
    sums = np.cumsum([0.0, *in_each_second])
    return [(second * SECOND, "client", "run_delay_s", float(waited_s)) for second, waited_s in enumerate(sums)]


@pytest.mark.parametrize(
    ("write", "waited_s", "codes"),
    [
        (0, 0.0, {"client_stalled"}),
        (200 * MS, 0.0, {"slow_disk"}),
        (0, 0.2, set()),  # for want of a core: harmless here but for late sends, which have a reason of their own
        (200 * MS, 0.2, set()),
        (100 * MS, 0.1, {"client_stalled"}),
    ],
)
def test_an_absence_has_one_cause(write, waited_s, codes):
    waited = waits(0.0, 0.0, waited_s, 0.0, 0.0, 0.0, 0.0)
    assert set(reasons(closed_loop(samples=sorted(waited + away(300 * MS, write=write))))) == codes


def test_what_a_client_that_hardly_gets_its_core_does_late_is_no_stop():
    waited = waits(*[0.8] * 7)
    found = reasons(closed_loop(samples=sorted(waited + away(300 * MS))))
    assert set(found) == {"client_starved"}


def test_a_stop_is_seen_although_the_client_waits_for_its_core_all_the_time():
    waited = waits(*[0.2] * 7)
    assert set(reasons(closed_loop(samples=sorted(waited + away(300 * MS))))) == {"client_stalled"}


def test_a_stop_that_was_told_is_one_however_busy_the_core_was():
    waited = waits(0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0)
    assert set(reasons(closed_loop(samples=sorted(waited + away(300 * MS, stopped=1.0))))) == {"client_stalled"}


def test_writing_that_waits_for_a_core_is_no_slow_disk():
    seconds = SPAN / SECOND
    assert reasons(with_samples(client_write_s=0.15 * seconds, client_run_delay_s=0.09 * seconds)) == {}


def test_an_absence_of_one_worker_touches_its_requests_only():
    worker = np.arange(400) % 5
    found = reasons(closed_loop(samples=away(300 * MS, worker="client-2"), worker=worker))
    assert found == {}  # 3 or 4 of 400
    assert "client_stalled" in reasons(closed_loop(samples=away(300 * MS, worker="client-2"), worker=2))


def test_an_engine_that_waits_for_its_own_threads_is_not_starved():
    seconds = SPAN / SECOND
    own = {"engine_run_delay_s": 0.3 * seconds, "engine_cpu_s": 0.7 * seconds, "client_cpu_s": 0.1 * seconds}
    client_apart = {"client": {"core": 1}}

    def run(others_s, meta):
        busy_s = 0.8 * seconds + others_s
        samples = [*gauges(SPAN, **own, host_cpu_busy_s=busy_s), (0, "host", "n_cores", 2.0)]
        return reasons(closed_loop(samples=sorted(samples), meta=meta))

    assert run(0.01 * seconds, client_apart) == {}
    assert "22 %" in run(0.2 * seconds, client_apart)["engine_starved"].text  # 0.2 / (0.2 + 0.7)
    assert "engine_starved" in run(0.01 * seconds, {}), "a client on the engine's cores is one of the others"


def test_an_engine_whose_own_threads_wait_for_each_other_is_not_starved():
    seconds = SPAN / SECOND
    rises = {"engine_run_delay_s": 0.2 * seconds, "engine_cpu_s": seconds, "client_cpu_s": 0.3 * seconds}

    def run(busy, **client):
        samples = [*gauges(SPAN, **rises, host_cpu_busy_s=busy * seconds), (0, "host", "n_cores", 2.0)]
        return reasons(closed_loop(samples=sorted(samples), meta={"client": client}))

    assert run(busy=1.35, core=1) == {}  # the client keeps to its core, and nobody else runs
    assert "17 %" in run(busy=1.9, core=1)["engine_starved"].text  # 0.6 of a core is used by others
    assert "the client used 30 % of a core" in run(busy=1.35, core=None)["engine_starved"].text


def test_only_what_happened_inside_the_window_counts():
    samples = [*gauges(SPAN, client_run_delay_s=0.01), (2 * SPAN, "client", "run_delay_s", 100.0)]  # after the last due
    assert reasons(closed_loop(samples=samples)) == {}


def test_an_engine_whose_processes_are_not_ours_to_see_is_not_judged():
    found = summarize(closed_loop()).fidelity["engine_run_delay_ratio"]
    assert found.reason == "was not sampled"


def test_a_wall_clock_that_was_set_matters_to_kernel_stamps_only():
    assert reasons(closed_loop(meta={"clock": {"n_steps": 1}}))["clock_steps"].level == "suspect"
    assert reasons(closed_loop(meta={"clock": {"n_steps": 0}})) == {}
    trace = closed_loop(meta={"clock": {"n_steps": 1}})
    assert reasons(type(trace)(trace.requests, trace.chunks, trace.samples, {**trace.meta, "stamps": "user"})) == {}


def test_a_step_of_the_wall_clock_touches_what_was_in_flight():
    def run(n_requests):
        step = [(2 * SECOND, "clock", "step_s", -1.0)]
        return reasons(closed_loop(n_requests, samples=step, meta={"clock": {"n_steps": 1}}))

    assert run(200)["clock_steps"].text.endswith(
        "by up to 1.00 s, with 4 of 200 requests in flight, whose stamps may be wrong"
    )
    assert run(600) == {}


def test_a_run_that_was_killed_or_stopped_says_so():
    trace = closed_loop(meta={"is_cut_off": True})
    trace.requests["outcome"][-2:] = Outcome.CENSORED
    assert "was cut off with 2 requests open" in reasons(trace)["cut_off"].text
    trace = closed_loop()
    trace.requests["outcome"][-2:] = Outcome.CANCELLED
    assert "was stopped with 2 requests open" in reasons(trace)["cut_off"].text


def test_trials_that_did_not_take_place_are_missed():
    assert reasons(closed_loop(plan={"n_trials": 3}))["fewer_trials"].text == "1 of 3 trials took place"


# -- the engine and its answers ---------------------------------------------------------------------------------------


def test_nothing_but_failures_is_invalid():
    found = reasons(make_trace(*[failed(due=i) for i in range(20)], failed(Outcome.STALLED, due=30)))["no_success"]
    assert found.level == "invalid"
    assert found.text == "none of 21 requests succeeded (20 reset, 1 stalled)"
    assert reasons(make_trace())["no_success"].text == "no request became due"


@pytest.mark.parametrize(("every", "level"), [(2, "invalid"), (20, "suspect"), (150, None)])
def test_failures_beyond_what_p99_can_hide(every, level):
    trace = closed_loop()
    trace.requests["outcome"][1::every] = Outcome.ENGINE_ERROR
    trace.requests["outcome"][2 :: max(every, 9)] = Outcome.ENGINE_ERROR if level else Outcome.OK
    found = reasons(trace).get("errors")
    assert (found and found.level) == level


def test_a_median_without_an_interval_makes_the_run_suspect():
    found = reasons(closed_loop(5))["too_few"]
    assert (found.level, found.metrics) == ("suspect", ("ttft_s", "tpot_s", "e2e_s"))
    assert "too_few" not in reasons(closed_loop(40))
    assert "needs 2 requests, has 1" in reasons(make_trace(stream(due=0)))["too_few"].text


def test_the_latencies_of_a_burst_are_places_in_a_queue():
    rows = [stream(due=0, ttft=(10 + i) * MS, gap=(4 + i % 3) * MS) for i in range(100)]
    assert reasons(make_trace(*rows, plan={"mode": "burst"})) == {}
    assert "too_few" in reasons(make_trace(*rows))


def test_answers_of_one_token_are_not_too_few_for_a_tpot():
    rows = [request(due=i * MS, chunks=[((i + 10 + i * 7 % 5) * MS, CONTENT)]) for i in range(60)]
    assert "too_few" not in reasons(make_trace(*rows))


def test_a_latency_that_drifts_is_not_stationary():
    def drifting(share):
        trace = closed_loop()
        rise = (np.linspace(0, share, 400) * 28 * MS).astype(int)
        return delayed(trace, slice(None), by=rise, names=())

    found = reasons(drifting(2.0))["not_stationary"]
    assert (found.level, found.metrics) == ("suspect", ("ttft_s", "e2e_s"))
    assert re.search(r"ttft_s rises by 1\d\d % of its mean, e2e_s rises by [56]\d % of its mean over", found.text)
    assert "not_stationary" not in reasons(drifting(0.2)), "a machine's speed wanders by as much"


def test_a_burst_need_not_be_stationary():
    rows = [stream(due=0, ttft=(10 + i) * MS, gap=(4 + i % 3) * MS) for i in range(100)]
    assert "not_stationary" not in reasons(make_trace(*rows, plan={"mode": "burst"}))


def test_a_beginning_that_moves_a_median_is_a_ramp():
    def slow_for(share):
        trace = closed_loop()
        return delayed(trace, trace.requests["t_due_ns"] < share * SPAN, by=200 * MS, names=())

    found = reasons(slow_for(0.45))
    assert "not_stationary" not in found
    assert found["ramp"].metrics == ("ttft_s", "e2e_s")
    assert found["ramp"].remedy == "add --warmup 4s"  # of 6.5 s, up to the end of the last slow answer
    assert reasons(delayed(closed_loop(), slice(2), by=200 * MS, names=())) == {}


def test_a_beginning_that_moves_p99_only_is_a_ramp_too():
    found = reasons(delayed(closed_loop(), slice(8), by=400 * MS, names=()))["ramp"]
    assert found.level == "suspect"
    assert "the ttft_s p99 is" in found.text


def test_an_engine_that_hardly_runs_is_not_starved():
    seconds = SPAN / SECOND
    idle = gauges(SPAN, engine_run_delay_s=0.02 * seconds, engine_cpu_s=0.05 * seconds)  # 29 % of the time it wanted
    assert reasons(closed_loop(samples=idle)) == {}


def test_a_run_that_was_cut_off_is_judged_by_the_stamps_it_took():
    rises = gauges(SPAN, client_n_reads=4000, client_n_kernel_stamped=0)
    trace = closed_loop(samples=sorted([*rises, *passes(0.001)]))
    del trace.meta["stamps"]
    assert "no kernel stamps" in reasons(trace)["lagging_stamps"].text


def test_no_kernel_stamp_at_all_is_not_all_of_them():
    trace = with_samples(client_n_reads=4000, client_n_kernel_stamped=0)
    trace.chunks["t_read_ns"] += 1 * MS
    assert "100 % of the reads" in reasons(trace)["lagging_stamps"].text


def test_a_request_that_never_ends_breaks_littles_law():
    trace = closed_loop()
    trace.requests["t_end_ns"][2] = NEVER
    trace.requests["outcome"][2] = Outcome.CENSORED
    found = reasons(trace)["little"]
    assert found.level == "suspect"
    assert "request_throughput_per_s" in found.metrics


def test_prompts_that_were_used_again_may_have_been_cached():
    found = reasons(closed_loop(plan={"n_pool": 160}))["prompts_repeated"]
    assert (found.level, found.text) == ("suspect", "the 160 prompts were used 2.5 times")
    assert reasons(closed_loop(plan={"n_pool": 400})) == {}
    assert reasons(closed_loop(plan={"n_pool": 160, "input_tokens": "file:prompts.jsonl"})) == {}
    told = {"n_prompt_tokens": 200, "n_prompt_tokens_asked": 200, "n_cached_tokens": 0}
    assert reasons(closed_loop(plan={"n_pool": 160}, **told)) == {}  # the server says that none were


def test_requests_that_fail_are_not_what_a_server_sustains():
    trace = open_loop()
    trace.requests["outcome"][200::4] = Outcome.ENGINE_ERROR
    assert "ended well" in reasons(trace)["queue_growing"].text


def test_a_handful_of_answers_is_too_few():
    found = reasons(closed_loop(8))["too_few"]
    assert (found.level, found.metrics) == ("suspect", ("ttft_s",))


@pytest.mark.parametrize(("swing", "is_spoiled"), [(MS, True), (MS / 20, False)])
def test_answers_that_follow_each_other_are_too_few_if_that_can_move_the_median(swing, is_spoiled):
    rng = np.random.default_rng(7)
    at = np.zeros(200)
    for i in range(1, len(at)):
        at[i] = 0.97 * at[i - 1] + rng.normal()  # 200 values, worth between 6 and 10
    ttfts = (50 * MS + swing * at).astype(int).tolist()
    rows = [stream(due=100 * MS * i, ttft=ttft, gap=(4 + i % 3) * MS, n=4) for i, ttft in enumerate(ttfts)]
    assert ("too_few" in reasons(make_trace(*rows))) == is_spoiled


def test_an_open_loop_beyond_capacity_grows_a_queue():
    found = reasons(open_loop(rate_per_s=120))["queue_growing"]  # 60 requests/s is what the servers do
    assert found.level == "suspect"
    assert "not sustainable" in found.text
    assert "e2e_s" in found.metrics
    for seed in range(10):
        assert "queue_growing" not in reasons(open_loop(rate_per_s=30, seed=seed))


def test_the_ramp_of_long_answers_is_no_growing_queue():
    rows = [stream(due=i * 100 * MS, ttft=200 * MS, gap=200 * MS, n=100) for i in range(1000)]
    assert "queue_growing" not in reasons(make_trace(*rows, plan={"mode": "open"}))


def cached(n_cached, **plan):
    return reasons(closed_loop(n_prompt_tokens=200, n_prompt_tokens_asked=200, n_cached_tokens=n_cached, plan=plan))


def test_prefix_hits_beyond_the_template_are_told():
    found = cached(60, n_template_tokens=20)["prefix_hits"]
    assert found.level == "suspect"
    assert "20 %" in found.text
    assert cached(20, n_template_tokens=20) == {}
    assert cached(24, n_template_tokens=20) == {}  # a block more: 2 % of the prompt


@pytest.mark.parametrize(
    ("caches", "says"),
    [
        ("new prompts", "never saw these prompts"),
        ("emptied", "emptied before"),
        ("new server", "the server was new"),
        ("not known", "another --seed"),
    ],
)
def test_what_helps_against_hits_depends_on_what_the_cache_could_know(caches, says):
    remedy = cached(60, n_template_tokens=20, caches=caches)["prefix_hits"].remedy
    assert says in remedy
    assert "prefix cache off" in remedy


def test_hits_that_were_asked_for_are_not():
    assert cached(120, n_template_tokens=20, shared_prefix=100) == {}
    assert cached(120, n_template_tokens=20, input_tokens="file:prompts.jsonl") == {}


def test_where_the_template_is_not_known_the_least_hit_stands_for_it():
    assert cached(30) == {}
    hits = np.where(np.arange(400) % 4 == 0, 150, 30)
    assert "15 %" in cached(hits)["prefix_hits"].text
    assert "prefix_hits" in cached(200)  # no template is that long


def lengths(**columns):
    plan = columns.pop("plan", {"is_length_forced": True})
    return reasons(closed_loop(n_output_tokens_asked=10, plan=plan, **columns))


def test_output_lengths_that_were_not_honoured():
    short = np.where(np.arange(400) % 4 == 0, 5, 10)
    found = lengths(n_output_tokens=short)["output_lengths"]
    assert "12 %" in found.text
    assert lengths(n_output_tokens=10) == {}
    assert lengths(n_output_tokens=short, plan={"is_length_forced": False}) == {}
    assert lengths(n_output_tokens=np.where(np.arange(400) < 8, 5, 10)) == {}  # 1 % of the tokens


def test_input_lengths_that_are_not_as_asked():
    assert "input_lengths" in lengths(n_output_tokens=10, n_prompt_tokens=115, n_prompt_tokens_asked=100)
    assert lengths(n_output_tokens=10, n_prompt_tokens=101, n_prompt_tokens_asked=100) == {}
    plan = {"input_tokens": "file:prompts.jsonl"}
    assert lengths(n_output_tokens=10, n_prompt_tokens=115, n_prompt_tokens_asked=100, plan=plan) == {}


def faulty(every, **columns):
    trace = closed_loop()
    for name, value in columns.items():
        trace.requests[name][::every] = value
    return reasons(trace)


@pytest.mark.parametrize(
    ("code", "columns"),
    [
        ("swallowed", {"t_first_content_ns": NEVER, "t_first_answer_ns": NEVER, "t_last_content_ns": NEVER}),
        ("hidden_reasoning", {"n_reasoning_tokens": 5}),
        ("in_one_piece", {"t_first_content_ns": NEVER, "t_first_answer_ns": NEVER}),
        ("uncounted", {"n_output_tokens": -1}),
    ],
)
def test_answers_that_do_not_show_what_they_say(code, columns):
    found = faulty(20, **columns)[code]
    assert found.level == "suspect"
    assert "5 % of the answers" in found.text
    assert faulty(200, **columns) == {}


def test_reasoning_that_is_shown_is_fine():
    trace = closed_loop(n_reasoning_tokens=5)
    trace.requests["t_first_answer_ns"] += 1
    assert reasons(trace) == {}


def test_answers_in_one_piece_are_fine_where_no_stream_was_asked_for():
    trace = closed_loop(t_first_content_ns=NEVER, t_first_answer_ns=NEVER, plan={"is_streamed": False})
    assert reasons(trace) == {}


# -- folding ----------------------------------------------------------------------------------------------------------


def test_the_run_is_what_its_worst_headline_metric_is_and_the_worst_reason_comes_first():
    trace = closed_loop(lateness=4 * MS, meta={"is_cut_off": True})
    verdict = summarize(trace).verdict
    assert verdict.level == "invalid"
    assert [reason.code for reason in verdict.reasons] == ["late_sends", "cut_off"]


def test_a_reason_about_the_run_is_in_the_verdict_of_every_metric():
    verdicts = summarize(closed_loop(meta={"is_cut_off": True})).metric_verdicts
    assert set(verdicts) == set(METRICS)
    assert {verdict.level for verdict in verdicts.values()} == {"suspect"}


def test_every_reason_names_metrics_that_exist_and_fits_on_a_line():
    runs = [
        closed_loop(lateness=4 * MS), closed_loop(5), open_loop(rate_per_s=120), closed_loop(meta={"is_cut_off": True}),
        make_trace(failed()), closed_loop(n_reasoning_tokens=5), closed_loop(n_output_tokens=-1),
        closed_loop(meta={"clock": {"n_steps": 1}}),
    ]  # fmt: skip
    found = [reason for trace in runs for reason in summarize(trace).verdict.reasons]
    assert len({reason.code for reason in found}) >= 8
    for reason in found:
        assert set(reason.metrics) <= set(METRICS)
        assert reason.remedy
        assert "\n" not in reason.text + reason.remedy
        assert "nan" not in reason.text
