# SPDX-License-Identifier: Apache-2.0
"""All emulated engines, and how one of them is to be started: what was asked for, checked before anything listens."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from inferometer.emulate import llamacpp, llamacpp_python, lmdeploy, ollama, sglang, tensorrt_llm, tgi, triton, vllm
from inferometer.emulate.defects import DEFECTS, change_setting
from inferometer.emulate.emulation import Emulation, Setting
from inferometer.emulate.law import ServiceLaw
from inferometer.emulate.mind import MINDS
from inferometer.errors import UsageError

EMULATIONS: tuple[Emulation, ...] = (
    vllm.EMULATION,
    llamacpp.EMULATION,
    tgi.EMULATION,
    lmdeploy.EMULATION,
    tensorrt_llm.EMULATION,
    triton.EMULATION,
    sglang.EMULATION,
    ollama.EMULATION,
    llamacpp_python.EMULATION,
)


def emulation_of(name: str) -> Emulation:
    """Raises: UsageError."""
    by_name = {emulation.name: emulation for emulation in EMULATIONS}
    if name not in by_name:
        raise UsageError(f"there is no emulator of {name!r}{_guess(name, by_name)}", f"choose {', '.join(by_name)}")
    return by_name[name]


def make_setting(
    engine: str,
    *,
    model: str | None = None,
    slots: int = 16,
    context: int | None = None,
    kv_tokens: int | None = None,
    law: ServiceLaw | None = None,
    seed: int = 0,
    mind: str = "words",
    with_traps: Iterable[str] = (),
    without_traps: Iterable[str] = (),
    defects: Iterable[str] = (),
    throttled_after_s: float = 60.0,
) -> Setting:
    """What is not said is as the engine comes. Raises: UsageError."""
    emulation = emulation_of(engine)
    context = emulation.context if context is None else context
    slots = min(slots, emulation.most_slots)
    kv_tokens = slots * context if kv_tokens is None else kv_tokens
    if kv_tokens < context:
        raise UsageError(f"--kv-tokens {kv_tokens} is less than the context of {context} tokens", "lower --context")
    traps = emulation.default_traps | _known(emulation, "--with", with_traps)
    if mind not in MINDS:
        raise UsageError(f"--mind: there is no mind {mind!r}{_guess(mind, MINDS)}", f"choose {' or '.join(MINDS)}")
    traps -= _known(emulation, "--without", without_traps)
    setting = Setting(
        engine=engine,
        model=model or emulation.model,
        context=context,
        slots=slots,
        kv_tokens=kv_tokens,
        law=law or ServiceLaw(),
        traps=traps,
        seed=seed,
        mind=mind,
        defects=_known_defects(defects),
        throttled_after_s=throttled_after_s,
    )
    return change_setting(setting)


def _known(emulation: Emulation, option: str, names: Iterable[str]) -> frozenset[str]:
    known = {trap.name for trap in emulation.traps}
    for name in names:
        if name not in known:
            remedy = f"its traps are {', '.join(sorted(known))}" if known else "it has none"
            raise UsageError(f"{option}: {emulation.title} has no trap {name!r}{_guess(name, known)}", remedy)
    return frozenset(names)


def _known_defects(names: Iterable[str]) -> frozenset[str]:
    known = [defect.name for defect in DEFECTS]
    wanted = frozenset(names)
    for name in sorted(wanted):
        if name not in known:
            raise UsageError(f"--defect: there is no {name!r}{_guess(name, known)}", f"choose {', '.join(known)}")
    return wanted


def _guess(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f": did you mean {close[0]}?" if close else ""
