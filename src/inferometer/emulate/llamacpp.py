# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's llama-server, out of its recorded answers: /completion and the OpenAI routes, slots, metrics, tokenizer.

As if started with --metrics and a unified cache, and without --threads-http.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from inferometer.emulate import gauges, openai, tokens
from inferometer.emulate.answer import Moment, Part, Reply, as_json, sse
from inferometer.emulate.emulation import Emulation, Live, Refused, Trap, Wish
from inferometer.emulate.openai import Asked, Shape
from inferometer.emulate.spoken import Event, Spoken, Style
from inferometer.kinds import ChunkKind
from inferometer.units import NS_PER_MS

BUILD = "b1-emulated"
NATIVE_PATH = "/completion"


def refusal(status: int, message: str, kind: str, **more: int) -> Reply:
    return as_json({"error": {"code": status, "message": message, "type": kind, **more}}, status)


def timings(moment: Moment) -> dict[str, Any]:
    """The engine's own times; `prompt_n` leaves out what was cached."""
    n_prompt = moment.n_prompt_tokens - moment.n_cached_tokens
    prompt_ms = (moment.t_first_ns - moment.t_admitted_ns) / NS_PER_MS
    predicted_ms = (moment.t_ns - moment.t_first_ns) / NS_PER_MS
    n_predicted = moment.n_done_tokens
    return {
        "cache_n": moment.n_cached_tokens,
        "prompt_n": n_prompt,
        "prompt_ms": prompt_ms,
        "prompt_per_token_ms": prompt_ms / n_prompt,
        "prompt_per_second": 1000 * n_prompt / prompt_ms if prompt_ms else 0.0,
        "predicted_n": n_predicted,
        "predicted_ms": predicted_ms,
        "predicted_per_token_ms": predicted_ms / n_predicted if n_predicted else 0.0,
        "predicted_per_second": 1000 * n_predicted / predicted_ms if predicted_ms else 0.0,
    }


def _wish(live: Live, *, n_prompt: int, n_asked: int | None, is_streamed: bool, **more: Any) -> Wish:
    """What all its generating routes have in common. Raises: Refused."""
    context = live.setting.context
    if n_prompt >= context:
        message = (
            f"request ({n_prompt} tokens) exceeds the available context size ({context} tokens), try increasing it"
        )
        raise Refused(refusal(400, message, "exceed_context_size_error", n_prompt_tokens=n_prompt, n_ctx=context))
    if n_asked is None or n_asked < 0:
        n_asked = context - n_prompt
    if n_prompt + n_asked > context and not live.has("shortened"):
        raise Refused(refusal(400, "prompt and answer exceed the context", "invalid_request_error"))
    return Wish(
        n_prompt_tokens=n_prompt,
        n_most=min(n_asked, context - n_prompt),
        is_streamed=is_streamed,
        style=Style("silent" if live.has("half-character") else "none"),
        head="first_token" if live.has("head-held") else "at_once",
        # A stream is aborted at once; whether anybody waits for a whole answer is looked at once a second.
        leaves_after_s=1.0 if live.has("slow-abort") and not is_streamed else 0.0,
        **more,
    )


def _openai(is_chat: bool, data: bytes, live: Live) -> Wish:
    asked = openai.read(data, is_chat=is_chat)
    if asked.body.model not in ("", live.setting.model) and not live.has("any-model"):
        raise Refused(refusal(404, "model not found", "not_found_error"))
    return _wish(
        live,
        n_prompt=asked.n_prompt_tokens,
        n_asked=asked.n_most,
        is_streamed=asked.body.stream,
        words=asked.words,
        ignores_end=asked.body.ignore_eos,  # min_tokens is not known here
        parts=partial(_parts, asked, live.setting.model),
    )


def _parts(asked: Asked, model: str, spoken: Spoken) -> list[Part]:
    shape = Shape(
        role="null",
        finish="own",
        usage=openai.cached_usage,
        usage_at="asked" if asked.is_chat else "last",
        timings=timings,
        extra={"system_fingerprint": BUILD},
    )
    return openai.parts(asked, spoken, shape, model)


# --- /completion ---------------------------------------------------------------------------------------------------


class _Completion(msgspec.Struct):
    prompt: str | list[int | str]
    n_predict: int = -1
    stream: bool = False
    ignore_eos: bool = False
    return_tokens: bool = False


_COMPLETION = msgspec.json.Decoder(_Completion)


def _completion(data: bytes, live: Live) -> Wish:
    body = _COMPLETION.decode(data)
    asked = openai.counted(openai.Body(), body.prompt, is_chat=False)
    return _wish(
        live,
        n_prompt=asked.n_prompt_tokens,
        n_asked=body.n_predict,
        is_streamed=body.stream,
        words=asked.words,
        ignores_end=body.ignore_eos,
        parts=partial(_completed, body, live.setting),
    )


def _completed(body: _Completion, setting: Any, spoken: Spoken) -> list[Part]:
    n_prompt, n_output = spoken.n_prompt_tokens, spoken.n_output_tokens

    def last(content: str, ids: list[int], moment: Moment) -> dict[str, Any]:
        return {
            "index": 0,
            "content": content,
            "tokens": ids if body.return_tokens else [],
            "id_slot": 0,
            "stop": True,
            "model": setting.model,
            "tokens_predicted": n_output,
            "tokens_evaluated": n_prompt,
            "generation_settings": {"n_predict": body.n_predict, "ignore_eos": body.ignore_eos},
            "prompt": body.prompt,
            "truncated": 0 <= n_output < body.n_predict and spoken.is_cut,
            "stop_type": "limit" if spoken.is_cut else "eos",
            "stopping_word": "",
            "tokens_cached": n_prompt + n_output - 1,
            "timings": timings(moment),
        }

    if not body.stream:
        ids = tokens.ids_of(spoken.tokens)
        return [
            Part(
                n_output,
                lambda moment: msgspec.json.encode(last(spoken.text, ids, moment)),
                ChunkKind.CONTENT,
                n_output,
            )
        ]
    found = []
    for said in spoken.events:
        write = partial(_event, said, n_prompt, body.return_tokens)
        found.append(Part(said.n_done, write, ChunkKind.CONTENT, said.n_tokens))
    end = Part(n_output, lambda moment: sse(last("", [], moment)), ChunkKind.EMPTY)
    return [*found, end]  # no [DONE] on this route


def _event(said: Event, n_prompt: int, has_ids: bool, _: Moment) -> bytes:
    return sse(
        {
            "index": 0,
            "content": said.text,
            "tokens": said.ids if has_ids else [],
            "stop": False,
            "id_slot": -1,
            "tokens_predicted": said.n_done,
            "tokens_evaluated": n_prompt,
        }
    )


# --- control plane -------------------------------------------------------------------------------------------------


class _Tokenize(msgspec.Struct):
    content: str = ""
    with_pieces: bool = False


class _Messages(msgspec.Struct):
    messages: list[openai.Message]


def _tokenize(data: bytes, _: Live) -> Reply:
    body = msgspec.json.decode(data, type=_Tokenize)
    found = tokens.pieces(body.content)
    if not body.with_pieces:
        return as_json({"tokens": tokens.ids_of(found)})
    # A piece that is no character by itself comes as its bytes.
    return as_json({"tokens": [{"id": i, "piece": piece or [0xF0, 0x9F]} for i, piece in found]})


def _template(data: bytes) -> str:
    body = msgspec.json.decode(data, type=_Messages)
    return tokens.chat_text((one.role, one.text) for one in body.messages)


def _input_tokens(data: bytes, _: Live) -> Reply:
    return as_json({"input_tokens": tokens.count(_template(data)), "object": "response.input_tokens"})


def _models(_: bytes, live: Live) -> Reply:
    meta = {"vocab_type": 2, "n_vocab": tokens.N_VOCABULARY, "n_ctx": live.setting.context, "ftype": "F16"}
    value = openai.model_list(live.setting.model, "llamacpp", aliases=[live.setting.model], tags=[], meta=meta)
    return as_json({"models": [{"name": live.setting.model, "model": live.setting.model}], **value})


def _props(_: bytes, live: Live) -> Reply:
    return as_json(
        {
            "default_generation_settings": {"params": {"n_predict": -1}, "n_ctx": live.setting.context},
            "total_slots": live.setting.slots,
            "model_alias": live.setting.model,
            "model_path": f"/models/{live.setting.model}.gguf",
            "endpoint_slots": True,
            "endpoint_metrics": not live.has("metrics-off"),
            "build_info": BUILD,
        }
    )


def _slots(_: bytes, live: Live) -> Reply:
    slots: list[dict[str, Any]] = []
    for i in range(live.setting.slots):
        slot: dict[str, Any] = {"id": i, "n_ctx": live.setting.context, "speculative": False, "is_processing": False}
        if i < len(live.batch.running):
            sequence = live.batch.running[i]
            n_left = sequence.n_output_tokens - sequence.n_done_tokens
            next_token = {"has_next_token": True, "n_remain": n_left, "n_decoded": sequence.n_done_tokens}
            slot |= {"is_processing": True, "n_prompt_tokens": sequence.n_prompt_tokens, "next_token": [next_token]}
        slots.append(slot)
    return as_json(slots)


def _erase(_: bytes, live: Live) -> Reply:
    """A slot is told to forget; here all slots share what is known of prompts."""
    if live.has("no-reset"):
        message = "This server does not support slots action. Start it with `--slot-save-path`"
        return refusal(501, message, "not_supported_error")
    live.prefixes.clear()
    return as_json({"id_slot": 0, "n_erased": 0})


def _metrics(_: bytes, live: Live) -> Reply:
    if live.has("metrics-off"):
        message = "This server does not support metrics endpoint. Start it with `--metrics`"
        return refusal(501, message, "not_supported_error")
    counts, batch = live.gauges, live.batch
    if live.has("counters-at-end"):
        n_prompt, n_cached, n_output = (
            counts.n_prompt_tokens_at_end,
            counts.n_cached_tokens_at_end,
            counts.n_output_tokens_at_end,
        )
    else:
        n_prompt, n_cached, n_output = counts.n_prompt_tokens, counts.n_cached_tokens, counts.n_output_tokens
    n_busy = counts.n_sequence_iterations / counts.n_iterations if counts.n_iterations else 0.0
    prompt_rate = n_prompt / counts.prefill_s_at_end if counts.prefill_s_at_end else 0.0
    output_rate = n_output / counts.decode_s_at_end if counts.decode_s_at_end else 0.0
    page = [
        gauges.counter("llamacpp:prompt_tokens_total", n_prompt),
        gauges.counter("llamacpp:prompt_tokens_cached_total", n_cached),
        gauges.counter("llamacpp:prompt_seconds_total", counts.prefill_s_at_end),
        gauges.counter("llamacpp:tokens_predicted_total", n_output),
        gauges.counter("llamacpp:tokens_predicted_seconds_total", counts.decode_s_at_end),
        gauges.counter("llamacpp:n_decode_total", counts.n_iterations),
        gauges.counter("llamacpp:n_tokens_max", counts.n_tokens_most),
        gauges.gauge("llamacpp:prompt_tokens_seconds", prompt_rate),
        gauges.gauge("llamacpp:predicted_tokens_seconds", output_rate),
        gauges.gauge("llamacpp:requests_processing", len(batch.running)),
        gauges.gauge("llamacpp:requests_deferred", len(batch.waiting)),
        gauges.gauge("llamacpp:n_busy_slots_per_decode", n_busy),
    ]
    return Reply(200, gauges.text(page), "text/plain; version=0.0.4")


def _malformed(message: str, is_json: bool) -> Reply:
    """What is no JSON is the server's fault, it says."""
    if is_json:
        return refusal(400, message, "invalid_request_error")
    return refusal(500, f"[json.exception.parse_error.101] parse error: {message}", "server_error")


_EXHAUSTED = {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}
EMULATION = Emulation(
    name="llama.cpp",
    title="llama.cpp",
    port=8080,
    traps=(
        Trap("head-held", "the status line is held back until the first token is there, and a chat's role with it"),
        Trap("half-character", "a token that is no whole character sends no event; the next one brings two tokens"),
        Trap("shortened", "a prompt that fits together with an output that does not: 200, and a shorter answer"),
        Trap("any-model", "an unknown model name is served all the same"),
        Trap("counters-at-end", "token counters move only when a request ends"),
        Trap("kv-exhausted", "when --kv-tokens are full, answers end with an error event under 200, without [DONE]"),
        Trap(
            "few-threads", "a waiting request holds one of --slots + 4 threads: beyond them nothing is heard or counted"
        ),
        Trap("slow-abort", "an answer in one piece is generated on for up to a second after its client has left"),
        Trap("prefix-cache", "a prompt that begins like an earlier one is computed in part only"),
        Trap("no-reset", "slots cannot be emptied, as without --slot-save-path"),
        Trap("metrics-off", "/metrics answers 501, as without --metrics", is_default=False),
    ),
    pages={
        ("GET", "/health"): lambda _, __: as_json({"status": "ok"}),
        ("GET", "/v1/models"): _models,
        ("GET", "/props"): _props,
        ("GET", "/slots"): _slots,
        ("GET", "/metrics"): _metrics,
        ("POST", "/slots/{slot}"): _erase,
        ("POST", "/tokenize"): _tokenize,
        ("POST", "/apply-template"): lambda data, _: as_json({"prompt": _template(data)}),
        ("POST", "/v1/chat/completions/input_tokens"): _input_tokens,
    },
    routes={
        openai.CHAT_PATH: partial(_openai, True),
        openai.COMPLETIONS_PATH: partial(_openai, False),
        NATIVE_PATH: _completion,
    },
    unknown=lambda _, __: as_json(
        {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}, 404
    ),
    malformed=_malformed,
    threads=lambda setting: setting.slots + 4 if "few-threads" in setting.traps else None,
    exhausted=Part(0, sse(_EXHAUSTED), ChunkKind.ERROR),
)
