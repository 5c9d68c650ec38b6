"""What the agent's binary weighs, and the newest glibc that it needs: it must run in any image.

Fails over the limits. Usage:

    python tools/agent_binary.py target/release/trainspot-agent
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LARGEST_BYTES = 10_000_000
# Debian 12, Ubuntu 22.04 and Amazon Linux 2023 have it.
NEWEST_GLIBC = (2, 34)


def versions(binary: Path) -> list[tuple[tuple[int, ...], str]]:
    """Each version of glibc that a symbol asks for, with such a symbol; the newest last."""
    symbols = subprocess.run(
        ["objdump", "-T", binary], check=True, capture_output=True, text=True
    ).stdout
    found: dict[tuple[int, ...], str] = {}
    for version, symbol in re.findall(r"GLIBC_([0-9.]+)\)?\s+(\S+)", symbols):
        found[tuple(map(int, version.split(".")))] = symbol
    return sorted(found.items())


def main() -> None:
    """Prints both and judges them."""
    binary = Path(sys.argv[1])
    size = binary.stat().st_size
    needs = versions(binary)
    if not needs:
        raise SystemExit(f"{binary}: no symbol of glibc; is it the agent?")
    newest, symbol = needs[-1]
    print(f"{binary}: {size / 1e6:.2f} MB (at most {LARGEST_BYTES / 1e6:g})")
    print(
        f"newest glibc: {'.'.join(map(str, newest))}, for `{symbol}`"
        f" (at most {'.'.join(map(str, NEWEST_GLIBC))})"
    )
    wrong = []
    if size > LARGEST_BYTES:
        wrong.append("it is too large")
    if newest > NEWEST_GLIBC:
        wrong.append("it needs a newer glibc than the images have that it must run in")
    if wrong:
        raise SystemExit(f"{binary}: " + ", and ".join(wrong))


if __name__ == "__main__":
    main()
