"""What is copied: so many files of so many bytes, the same ones every time."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

FILES_IN_A_FOLDER = 100


@dataclass(frozen=True)
class Shape:
    """`n_files` files of `file_bytes` bytes each."""

    name: str
    n_files: int
    file_bytes: int

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return self.n_files * self.file_bytes

    def scaled(self, scale: float) -> Shape:
        """The same kind of files, fewer of them; says so in its name."""
        n_files = max(1, round(self.n_files * scale))
        if n_files == self.n_files:
            return self
        return Shape(f"{self.name} (x {scale:g})", n_files, self.file_bytes)

    def names(self) -> list[str]:
        """Below the folder that is copied."""
        return [f"{i // FILES_IN_A_FOLDER:03}/{i:05}.bin" for i in range(self.n_files)]

    def lay(self, folder: Path) -> dict[str, str]:
        """Writes the files and answers their SHA-256 by name."""
        digests = {}
        for number, name in enumerate(self.names()):
            body = random.Random(number).randbytes(self.file_bytes)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            digests[name] = hashlib.sha256(body).hexdigest()
        return digests


SHAPES = [
    Shape("2 GB in 200 files", 200, 10_000_000),
    Shape("10,000 files of 10 KB", 10_000, 10_000),
]
# What a copier costs before it copies anything.
ONE_BYTE = Shape("1 file of 1 byte", 1, 1)
