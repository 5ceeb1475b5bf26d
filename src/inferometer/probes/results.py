# SPDX-License-Identifier: Apache-2.0
"""What a probe came to, as a file in its folder beside the runs it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from inferometer.errors import FormatError
from inferometer.run_folder import write_atomically

Result = TypeVar("Result", bound=msgspec.Struct)


def write_result(path: Path, result: msgspec.Struct) -> None:
    write_atomically(path, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")


def read_result(path: Path, kind: type[Result], schema: str) -> Result:
    """Raises: FormatError if it is damaged, or of another version."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, object]).get("schema")
        if found != schema:
            raise FormatError(f"{path} has schema {found!r}, not {schema!r}", "update inferometer")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.MsgspecError as error:
        raise FormatError(f"{path} is damaged: {error}") from error
