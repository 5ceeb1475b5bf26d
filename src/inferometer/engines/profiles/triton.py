# SPDX-License-Identifier: Apache-2.0
"""TensorRT-LLM behind Triton: what is known of it. It is not started from here: it wants models built beforehand."""

from __future__ import annotations

from inferometer.engines.facts import EMULATED, Fact, Facts

FACTS = Facts(
    devices={"cuda": Fact("as TensorRT-LLM")},
    formats=Fact("TensorRT-LLM engines, built beforehand, in a model repository"),
    quantizations=Fact("as TensorRT-LLM"),
    hugging_face=Fact("after conversion and building"),
    apis=Fact("its generate extension; no finish reason, no end marker"),
    metrics=Fact("Prometheus on a port of its own (8002)"),
    strengths=(Fact("many models and frameworks in one server, with pre- and postprocessing"),),
    licence=Fact("BSD-3-Clause"),
    upkeep=Fact("active, by NVIDIA"),
    proven_on=EMULATED,
    proven="an emulated engine, out of documentation; nothing real yet",
)
