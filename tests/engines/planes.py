# SPDX-License-Identifier: Apache-2.0
"""What the control plane of each engine says: recorded where it ran, otherwise as source or documentation have it.

Names of models are hidden: every one is called "m".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"


def document(name: str) -> Any:
    """The JSON of a recorded answer, if it is a good one."""
    head, _, body = (TRANSCRIPTS / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    return json.loads(body) if head.startswith(b"HTTP/1.1 200") else None


def hidden(value: Any) -> Any:
    """The same document with the name of its model hidden."""
    return json.loads(json.dumps(value).replace("tiny-llama", "m"))


def models(owner: str, **more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": owner, **more}]}


# Engine -> path -> document.
PLANES: dict[str, dict[str, Any]] = {
    "llama.cpp": {
        "/v1/models": hidden(document("llama-server-0c1e570-models")),
        "/props": hidden(document("llama-server-0c1e570-props")),
    },
    "vllm": {"/v1/models": hidden(document("vllm-0.32.0-models")), "/version": document("vllm-0.32.0-version")},
    "llama-cpp-python": {  # the list of routes was recorded, the document around it is written by hand
        "/v1/models": hidden(document("llama-cpp-python-0.3.36-models")),
        "/openapi.json": {
            "openapi": "3.1.0",
            "info": {"title": "🦙 llama.cpp Python API", "version": "0.3.36"},
            "paths": {"/v1/completions": {}, "/v1/models": {}, "/extras/tokenize": {}, "/extras/tokenize/count": {}},
        },
    },
    "sglang": {
        "/v1/models": models("sglang", root="m", parent=None, max_model_len=8192),
        "/get_server_info": {"model_path": "m", "stream_interval": 1, "internal_states": [{}], "version": "0.5.4"},
        "/openapi.json": {"info": {"title": "FastAPI", "version": "0.1.0"}, "paths": {"/generate": {}}},
    },
    "lmdeploy": {
        "/v1/models": models("lmdeploy", root="m", parent=None, permission=[]),
        "/openapi.json": {"info": {"title": "FastAPI", "version": "0.1.0"}, "paths": {"/generate": {}}},
    },
    "tensorrt-llm": {"/v1/models": models("tensorrt_llm"), "/version": {"version": "1.2.0"}},
    "tgi": {
        "/v1/models": models("m"),
        "/info": {
            "model_id": "m",
            "model_sha": "0e9e39f249a16976918f6564b8830bc894c89659",
            "max_concurrent_requests": 128,
            "max_input_tokens": 4095,
            "max_total_tokens": 4096,
            "router": "text-generation-router",
            "version": "3.3.5",
        },
    },
    "ollama": {
        "/v1/models": models("library"),
        "/api/version": {"version": "0.13.5"},
        "/api/ps": {"models": [{"name": "m", "model": "m", "size": 1, "digest": "a8", "context_length": 4096}]},
    },
    "triton": {"/v2": {"name": "triton", "version": "2.61.0", "extensions": ["classification", "generate"]}},
    "openai": {"/v1/models": models("somebody"), "/version": {"version": "7"}},
}
