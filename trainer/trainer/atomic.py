"""Writes files so that a reader sees the old one or the new one, never a half.

Never used for a file that is appended to: a rename would lose the appended lines.
"""

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Replaces `path` by `content` with one rename."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by `value` as JSON; a NaN is refused, since JSON has none."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` make the file under a hidden name, then renames it to `path`."""
    partial = path.with_name(f".{path.name}.partial")
    write(partial)
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """The checksum of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def now_rfc3339() -> str:
    """The time of a progress line."""
    return rfc3339(int(datetime.now(UTC).timestamp() * 1000))


def rfc3339(milliseconds: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
