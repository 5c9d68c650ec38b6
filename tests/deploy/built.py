"""What `sam build` made: sizes, and whether the workspace's release profile survived it."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

from translated import FUNCTION, ROOT, read

BUILT = ROOT / ".aws-sam" / "build"
# Lambda takes 50 MiB zipped; a start that is to take milliseconds wants far less.
MOST_BYTES = 16 << 20
X86_64 = 62
# The class of Rust's panics among the exceptions of a process. It is a part of the unwinder, which a
# program that aborts on a panic does not have: lambda_runtime could report no panic then.
UNWINDS = b"MOZ\x00RUST"


def complaints(binary: bytes) -> list[str]:
    """What is wrong with a built function."""
    if binary[:4] != b"\x7fELF":
        return ["it is no program"]
    found = []
    if int.from_bytes(binary[18:20], "little") != X86_64:
        found.append("it is not for x86_64")
    if UNWINDS not in binary:
        found.append('a panic ends the process: `panic = "unwind"` of Cargo.toml was lost')
    if b".symtab" in binary:
        found.append("it is not stripped: `strip = true` of Cargo.toml was lost")
    if len(binary) > MOST_BYTES:
        found.append(f"it is larger than {MOST_BYTES:,} bytes: `opt-level` and `lto` lost?")
    return found


def main(folder: Path = BUILT) -> int:
    """Prints a table; exit 1 when something is wrong."""
    functions = [i for i, r in read()["Resources"].items() if r["Type"] == FUNCTION]
    n_wrong = 0
    print(f"{'function':28}{'bytes':>12}{'compressed':>12}")
    for function in functions:
        path = folder / function / "bootstrap"
        if not path.exists():
            print(f"{function:28}  not built: {path}")
            n_wrong += 1
            continue
        binary = path.read_bytes()
        print(f"{function:28}{len(binary):>12,}{len(zlib.compress(binary)):>12,}")
        for complaint in complaints(binary):
            print(f"  {complaint}")
            n_wrong += 1
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
