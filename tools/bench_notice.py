"""From a Spot notice to a published checkpoint: how long it takes, and how much work is lost.

The real release agent works under the local cloud's S3, whose network is as fast as a small Spot
host's (2.5 Gbit/s, all connections together), around a program that holds a state of some gigabytes
in memory and writes it as parts when it is told to go. Instance metadata come from a stub in this
process, which raises the notice. Each moment is read where it happens: the stub's, the program's,
the time of what is stored, the agent's end. Figures only, never a pass or a fail. Usage:

    python tools/bench_notice.py [--binaries target/release] [--state-gb 3] [--part-mib 64]
        [--gbps 2.5] [--work NAME=DIR ...] [--rounds 1]

Needs the state's size in memory, once more on the disk for the store, and once more under each work
folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bench_facts

ROOT = Path(__file__).resolve().parent.parent
RUN = "bench-20261123T0200Z"
STATE = f"state/bench/{RUN}/train"
PREFIX = "/latest/meta-data/"
# What the local cloud reads of a signature: who calls, and which service. It verifies none.
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=LOCAL.person/20261123/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
GRACE_S = 120


class Metadata(ThreadingHTTPServer):
    """An instance's metadata, version 2. `raise_notice` has the host taken back in two minutes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MetadataAnswers)
        self.raised: float | None = None
        self.seen: float | None = None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def raise_notice(self) -> None:
        """From now on the notice is there."""
        self.raised = time.time()


class MetadataAnswers(BaseHTTPRequestHandler):
    """One request."""

    server: Metadata

    def do_PUT(self) -> None:
        """A token, to whoever asks."""
        self.answer(200, "a-token")

    def do_GET(self) -> None:
        """The notice, if it was raised, and what the host is."""
        facts = {
            "instance-type": "g4dn.xlarge",
            "instance-life-cycle": "spot",
            "instance-id": "i-0",
        }
        what = self.path.removeprefix(PREFIX)
        raised = self.server.raised
        if what == "spot/instance-action" and raised is not None:
            self.server.seen = self.server.seen or time.time()
            goes_at = datetime.fromtimestamp(raised + GRACE_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            self.answer(200, json.dumps({"action": "terminate", "time": goes_at}))
        elif what in facts:
            self.answer(200, facts[what])
        else:
            self.answer(404, "")

    def answer(self, status: int, text: str) -> None:
        """Sends it."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


class Cloud:
    """The local cloud as a process of its own, over a folder of its own."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        command = [options.binaries / "trainspot-localcloud", "template.yaml", folder]
        self.process = subprocess.Popen(
            [*command, str(options.gbps)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        exports: dict[str, str] = {}
        for line in self.process.stdout:
            if found := re.match(r"export (\w+)=(.*)", line):
                exports[found[1]] = found[2]
            if line.startswith("Ctrl-D"):
                break
        else:
            raise SystemExit(
                "the local cloud did not start: run `trainspot local serve` to see why"
            )
        # Whoever stops reading would stop the writer.
        threading.Thread(target=lambda: list(self.process.stdout), daemon=True).start()
        self.variables = exports
        self.bucket = exports["TRAINSPOT_RESULTS_BUCKET"]
        self.objects = folder / "buckets" / self.bucket

    def put(self, key: str, document: dict[str, Any]) -> None:
        """Writes a document."""
        url = f"{self.variables['AWS_ENDPOINT_URL']}/{self.bucket}/{key}"
        body = json.dumps(document).encode()
        request = urllib.request.Request(
            url, data=body, method="PUT", headers={"Authorization": SIGNED}
        )
        urllib.request.urlopen(request).close()

    def stop(self) -> None:
        """Ends it, and waits."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def cpu_s(pid: int) -> float:
    """Seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """The most memory that a process has had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def one_round(options: argparse.Namespace, cloud: Cloud, work: Path, number: int) -> dict[str, Any]:
    """One attempt, from its start to its end."""
    metadata = Metadata()
    log = Path(tempfile.mkdtemp()) / "marks.json"
    state_bytes, part_bytes = int(options.state_gb * 1e9), options.part_mib << 20
    program = [
        "python3",
        str(ROOT / "tools/bench_notice_program.py"),
        *map(str, (log, state_bytes, part_bytes, options.step_ms)),
    ]
    cloud.put(
        f"{STATE}/job-{number}.json",
        {
            "schema": 1,
            "run_id": RUN,
            "stage": "train",
            "submission": number,
            "base": 1,
            "market": "spot",
            "program": program,
            "params": {},
        },
    )
    cloud.put(
        f"{STATE}/head.json",
        {
            "schema": 1,
            "version": 1,
            "write_id": f"bench-{number}",
            "owner": {"submission": number},
            "base": 1,
        },
    )
    environment = cloud.variables | {
        "PATH": os.environ["PATH"],
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{metadata.server_port}",
        "TRAINSPOT_JOB": f"s3://{cloud.bucket}/{STATE}/job-{number}.json",
        "TRAINSPOT_WORK_DIR": str(work),
        "AWS_BATCH_JOB_ID": f"bench-{number}",
        "AWS_BATCH_JOB_ATTEMPT": "1",
    }
    environment.pop("AWS_EC2_METADATA_DISABLED", None)
    agent_log = (log.parent / "agent.log").open("w")
    agent = subprocess.Popen(
        [options.binaries / "trainspot-agent"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=agent_log,
    )
    try:
        ready = log.with_suffix(".ready")
        while not ready.exists():
            if agent.poll() is not None:
                raise SystemExit((log.parent / "agent.log").read_text())
            time.sleep(0.1)
        time.sleep(3)  # it works for a while before it is told
        used = cpu_s(agent.pid)
        metadata.raise_notice()
        peak, used_then = 0.0, used
        while agent.poll() is None:
            try:
                peak, used_then = peak_mib(agent.pid), cpu_s(agent.pid)
            except (FileNotFoundError, IndexError, ProcessLookupError):
                break
            time.sleep(0.05)
        code = agent.wait()
        ended = time.time()
    finally:
        if agent.poll() is None:
            agent.kill()
            agent.wait()
        metadata.shutdown()
        agent_log.close()
    marks = json.loads(log.read_text())
    head_file = cloud.objects / STATE / "head.json"
    head = json.loads(head_file.read_text())
    published = head.get("latest_checkpoint") or {}
    raised = metadata.raised or 0.0
    return {
        "exit_code": code,
        "notice_seen_s": round((metadata.seen or 0.0) - raised, 2),
        "program_told_s": round(marks["told"] - raised, 2),
        "saved_on_disk_s": round(marks["saved"] - raised, 2),
        # The head's last write is the publication: the record goes elsewhere.
        "published_s": round(head_file.stat().st_mtime - raised, 2),
        "agent_ended_s": round(ended - raised, 2),
        "work_lost_s": round(
            (marks["step"] - published.get("step", 0)) * options.step_ms / 1000, 2
        ),
        "agent_peak_mib": round(peak),
        "agent_cpu_s": round(used_then - used, 1),
    }


def main() -> None:
    """Every work folder, as often as asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=Path, default=Path("target/release"))
    parser.add_argument("--state-gb", type=float, default=3.0, help="10^9 bytes")
    parser.add_argument("--part-mib", type=int, default=64)
    parser.add_argument("--step-ms", type=int, default=50)
    parser.add_argument("--gbps", type=float, default=2.5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(".trainspot/bench-notice"))
    parser.add_argument(
        "--work",
        action="append",
        metavar="NAME=DIR",
        help="where the agent works; by default memory=/dev/shm and disk=<folder>",
    )
    options = parser.parse_args()
    options.binaries = options.binaries.absolute()
    folder = options.folder.absolute()
    places = dict(place.split("=", 1) for place in options.work or [])
    places = places or {"disk": str(folder / "work"), "memory": "/dev/shm/trainspot-bench-notice"}
    rows: list[dict[str, Any]] = []
    number = 0
    for name, place in places.items():
        for _ in range(options.rounds):
            number += 1
            shutil.rmtree(folder, ignore_errors=True)
            work = Path(place)
            work.mkdir(parents=True, exist_ok=True)
            cloud = Cloud(options, folder / "cloud")
            try:
                row = one_round(options, cloud, work, number)
            finally:
                cloud.stop()
                shutil.rmtree(folder, ignore_errors=True)
                shutil.rmtree(work, ignore_errors=True)
            rows.append({"work": name, **row})
    print(
        f"{options.state_gb} GB in parts of {options.part_mib} MiB over {options.gbps} Gbit/s, "
        f"seconds after the notice was raised; median of {options.rounds}"
    )
    columns = [name for name in rows[0] if name != "work"]
    print(f"{'work folder':<12}" + "".join(f"{name:>17}" for name in columns))
    shown = []
    for name in places:
        of_place = [row for row in rows if row["work"] == name]
        medians = {c: statistics.median(row[c] for row in of_place) for c in columns}
        print(f"{name:<12}" + "".join(f"{median:>17g}" for median in medians.values()))
        shown.append({"case": f"work folder: {name}", "who": "trainspot-agent", **medians})
    bench_facts.write(
        {
            "bench": "notice",
            "title": "From a Spot notice to the published checkpoint",
            "command": "make bench-notice",
            "versions": {},
            "notes": [
                f"{options.state_gb:g} GB of state in parts of {options.part_mib} MiB, "
                f"{options.gbps:g} Gbit/s for all connections together.",
                f"Seconds after the notice was raised; medians of {options.rounds} rounds.",
            ],
            "rows": shown,
            "rounds": rows,
        }
    )


if __name__ == "__main__":
    main()
