# SPDX-License-Identifier: Apache-2.0
"""Every planted defect by name: what it does to a request, and that it is drawn from the seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from inferometer.emulate.batch import Batch, Sequence
from inferometer.emulate.catalogue import EMULATIONS, make_setting
from inferometer.emulate.defects import (
    DEFECTS,
    bytes_left,
    change_answer,
    change_batch,
    change_wish,
    change_wish_beside,
    n_threads,
)
from inferometer.emulate.emulation import Live, Wish
from inferometer.emulate.gauges import Gauges
from inferometer.emulate.law import ServiceLaw
from inferometer.emulate.prefixes import PrefixCache
from inferometer.errors import UsageError
from inferometer.host.sample import EngineSampler

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


def wish_of(n_words, n_most=16):
    words = tuple(f"w{i}" for i in range(n_words))
    return Wish(n_prompt_tokens=n_words, words=words, n_most=n_most, is_streamed=True, parts=lambda _: [])


def changed(wish, *names, seed=0, context=1000):
    return change_wish(wish, make_setting("vllm", context=context, seed=seed, defects=names))


def live_with(defect, n_beside, seed=0):
    """A server with so many other requests in it."""
    setting = make_setting("vllm", seed=seed, defects=[defect])
    cache = PrefixCache(0)
    batch = Batch(setting.law, n_slots=setting.slots, kv_tokens=setting.kv_tokens, prefixes=cache)
    for _ in range(n_beside):
        batch.arrive(Sequence(10, 10, 0))
    return Live(setting, batch, Gauges(), cache)


def test_without_a_defect_nothing_is_changed():
    wish = wish_of(900)
    assert changed(wish) is wish


def test_drops_middle_keeps_both_ends_and_the_count():
    wish = wish_of(900)
    short = changed(wish, "drops-middle")
    n_ends = len(short.words) // 2
    assert 200 <= len(short.words) <= 600
    assert short.words == wish.words[:n_ends] + wish.words[-n_ends:]
    assert replace(short, words=wish.words) == wish, "nothing else is changed: neither count nor length"
    assert changed(small := wish_of(190), "drops-middle") is small
    assert len({len(changed(wish, "drops-middle", seed=seed).words) for seed in range(20)}) > 10


def test_caps_context_keeps_the_tail_and_counts_only_that():
    wish = wish_of(900)
    short = changed(wish, "caps-context")
    assert 200 <= short.n_prompt_tokens <= 800
    assert short.words == wish.words[-short.n_prompt_tokens :]
    assert replace(short, words=wish.words, n_prompt_tokens=900) == wish
    assert changed(small := wish_of(190), "caps-context") is small


def test_shortens_answers_bounds_what_is_asked_for():
    bounds = {changed(wish_of(10, n_most=900), "shortens-answers", seed=seed).n_most for seed in range(20)}
    assert len(bounds) > 10
    assert 20 <= min(bounds) < max(bounds) <= 300
    assert changed(wish_of(10, n_most=15), "shortens-answers").n_most == 15


def batch_with(*names, **fields):
    setting = make_setting("vllm", slots=4, context=16_384, law=ServiceLaw(a=10.0, b=0.01, c=1.0, d=0.0), **fields)
    setting = structs.replace(setting, defects=frozenset(names))
    batch = Batch(setting.law, n_slots=setting.slots, kv_tokens=setting.kv_tokens, prefixes=PrefixCache(0))
    change_batch(batch, setting)
    return batch


def iterations(batch, n):
    t_ns, found = 0, []
    for _ in range(n):
        found.append(one := batch.begin(t_ns))
        batch.complete(one)
        t_ns = one.t_end_ns
    return found


def test_prefill_alone_computes_a_prompt_whole_while_nobody_decodes():
    batch = batch_with("prefill-alone")
    batch.arrive(Sequence(100, 50, 0))
    first, second = iterations(batch, 2)
    assert (first.n_prefill_tokens, second.n_decoding) == (100, 1)
    batch.arrive(Sequence(10_000, 50, 0))
    alone, together = iterations(batch, 2)
    assert (alone.n_prefill_tokens, alone.n_decoding, len(alone.producing)) == (10_000, 0, 1)
    assert (together.n_prefill_tokens, together.n_decoding) == (0, 2)


def test_throttles_slows_down_from_its_instant_by_a_factor_of_the_seed():
    factors = set()
    for seed in range(10):
        batch = batch_with("throttles", throttled_after_s=0.05, seed=seed)
        batch.arrive(Sequence(100, 50, 0))
        lasts = [one.t_end_ns - one.t_start_ns for one in iterations(batch, 10)]
        assert lasts[1] == 11_000_000, "10 ms, and 1 ms for a sequence"
        assert set(lasts[5:]) == {lasts[-1]}
        factors.add(round(lasts[-1] / lasts[1], 6))
    assert len(factors) == 10
    assert 1.5 <= min(factors) < max(factors) <= 2.5


def test_few_threads_are_fewer_than_the_slots():
    found = {n_threads(make_setting("vllm", slots=16, seed=seed, defects=["few-threads"]), None) for seed in range(20)}
    assert len(found) > 3
    assert 2 <= min(found) < max(found) <= 8
    assert n_threads(make_setting("vllm"), 20) == 20


def test_small_cache_holds_little_more_than_one_request():
    rooms = {
        make_setting("vllm", slots=16, context=1000, seed=seed, defects=["small-cache"]).kv_tokens for seed in range(20)
    }
    assert len(rooms) > 10
    assert 1000 <= min(rooms) < max(rooms) <= 1300


def test_leaks_memory_leaves_some_of_every_request_behind():
    left = {bytes_left(make_setting("vllm", seed=seed, defects=["leaks-memory"])) for seed in range(20)}
    assert len(left) > 10
    assert 65_536 <= min(left) < max(left) <= 262_144
    assert bytes_left(make_setting("vllm")) == 0


def test_what_leaks_is_really_held(emulated):
    client = emulated("vllm", defects=["leaks-memory"])
    sampler = EngineSampler([client.engine.pid])
    before = dict(sampler.read())["private_bytes"]
    for _ in range(40):
        client.ask(COMPLETIONS, {"prompt": "one two", "max_tokens": 2})
    grown = dict(sampler.read())["private_bytes"] - before
    sampler.close()
    assert grown > 40 * 0.9 * bytes_left(client.engine.setting)


@pytest.mark.parametrize("engine", [emulation.name for emulation in EMULATIONS])
def test_every_engine_can_have_every_defect(engine):
    names = {defect.name for defect in DEFECTS}
    assert make_setting(engine, defects=names).defects == names


def test_an_unknown_defect_is_refused_with_a_list():
    with pytest.raises(UsageError, match="did you mean drops-middle"):
        make_setting("vllm", defects=["drop-middle"])


def test_defects_are_listed(page_block):
    rows = ["| defect | what happens |", "|---|---|", *(f"| `{one.name}` | {one.says} |" for one in DEFECTS)]
    page_block("guides/rehearse.md", "defects of emulated engines", "\n".join(rows) + "\n")


def test_pauses_are_drawn_from_the_seed_and_the_last_may_come_first():
    assert len({batch_with("pauses", seed=seed).pauses.length_ns for seed in range(20)}) == 20
    assert batch_with().pauses is None
    assert batch_with("last-come-first").serves_last_first


def test_differs_under_load_loses_a_part_of_some_prompts_and_only_beside_others():
    live = live_with("differs-under-load", n_beside=0)
    wish = wish_of(300)
    assert change_wish_beside(wish, live) is wish
    live = live_with("differs-under-load", n_beside=8)
    lengths = []
    for live.n_asked in range(200):
        changed_one = change_wish_beside(wish, live)
        assert replace(changed_one, words=wish.words) == wish, "counts are those of all that came"
        lengths.append(len(changed_one.words))
    assert len(set(lengths)) == 2
    assert 0.1 < sum(length < 300 for length in lengths) / 200 < 0.7


def test_invents_answers_answers_what_is_not_known_and_the_same_the_same():
    setting = make_setting("vllm", seed=3, defects=["invents-answers"])
    wishes = [replace(wish_of(40), words=(*wish_of(40).words, f"Soga{i}")) for i in range(100)]
    said = [change_answer("unknown", wish, setting) for wish in wishes]
    assert said == [change_answer("unknown", wish, setting) for wish in wishes]
    assert 0.2 < sum(answer != "unknown" for answer in said) / 100 <= 1.0
    assert {change_answer("Garval", wish, setting) for wish in wishes} == {"Garval"}
    assert change_answer(None, wishes[0], setting) is None
