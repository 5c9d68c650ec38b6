"""Where a bench was run, and where its figures go (`bench_format.md`).

`python3 tools/bench_facts.py complete FILE …` fills machine, revision and time into files whose
bench left them out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def machine() -> dict[str, Any]:
    """The processor, its cores, memory in GiB and the kernel; no name of a host."""
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in facts if line.startswith("model name")]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "kernel": platform.release().split("-")[0],
        "architecture": platform.machine(),
    }


def revision() -> str:
    """The commit that was measured, with `-dirty` when the tree differs from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if git("status", "--short") else "")


def now() -> str:
    """In UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with machine, revision and time, where it did not have them."""
    facts = {"measured_at": now, "machine": machine, "revision": revision}
    return document | {key: fact() for key, fact in facts.items() if key not in document}


def folder() -> Path:
    """Where benches put their figures; made if it is not there."""
    out = Path(os.environ.get("BENCH_OUT") or ROOT / ".trainspot/bench")
    out.mkdir(parents=True, exist_ok=True)
    return out


def write(document: dict[str, Any]) -> Path:
    """Completes the document and puts it where the table looks for it."""
    to = folder() / f"{document['bench']}.json"
    to.write_text(json.dumps(completed(document), indent=2, ensure_ascii=False) + "\n")
    return to


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["complete"])
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args()
    for path in options.files:
        document = completed(json.loads(path.read_text()))
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
