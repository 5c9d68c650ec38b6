"""What the agent costs while a program trains: CPU seconds for each second, memory, size.

The release agent runs around a program that writes what the trainer writes (a heartbeat and a line
of metrics a second, a checkpoint of 1 MB every half a minute), against the local cloud and a
metadata service that knows of no notice. Once with a quiet log and once with a busy one. The time
is what the kernel counted for the agent's own process; its program does not count. Figures only,
never a pass or a fail; ends every process that it started. Usage:

    python tools/bench_agent_cpu.py [--agent FILE] [--cloud FILE] [--seconds 180] [--runs 3]
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import bench_facts
import bench_table

RUN = "recommender-20261123T0200Z"
STAGE = f"state/recommender/{RUN}/train"
TICKS = os.sysconf("SC_CLK_TCK")
# Lines of a hundred bytes in a second: a program that prints every step.
LOGS = {"quiet": 0, "busy": 1_000}
CHECKPOINT_EVERY_S = 30


def program(lines_per_second: int) -> None:
    """Writes like the trainer until it is told to go."""
    output = Path(os.environ["TRAINSPOT_OUTPUT_DIR"])
    checkpoints = Path(os.environ["TRAINSPOT_CHECKPOINT_DIR"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    step = 0
    while True:
        step += 1
        heartbeat = {"step": step, "total": 10**6, "rate": 1.0, "detail": "epoch 1"}
        (output / ".progress").write_text(json.dumps(heartbeat))
        (output / ".progress").rename(output / "progress.json")
        with (output / "metrics.jsonl").open("a") as metrics:
            metrics.write(json.dumps({"step": step, "loss": 1 / step}) + "\n")
        if step % CHECKPOINT_EVERY_S == 1:
            partial = checkpoints / f"{step}.partial"
            partial.mkdir()
            (partial / "state").write_bytes(os.urandom(1 << 20))
            partial.rename(checkpoints / str(step))
        for n in range(lines_per_second):
            print(f"step {step}.{n} " + "." * 80, flush=True)
            if n % 20 == 19:
                time.sleep(20 / lines_per_second / 2)
        time.sleep(max(0.0, begun + step - time.monotonic()))


class Metadata(http.server.BaseHTTPRequestHandler):
    """A host that is not taken back."""

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.answer(200, b"token")

    def do_GET(self) -> None:
        is_notice = self.path.rsplit("/", 1)[-1] in ("instance-action", "rebalance")
        self.answer(*((404, b"") if is_notice else (200, b"bench")))

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Cloud:
    """`trainspot local serve` over a folder of its own."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.process = subprocess.Popen(
            [binary, "local", "serve", "--folder", folder, "--binaries", binary.parent],
            stdout=subprocess.PIPE,
            text=True,
        )
        greeting = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            greeting += line
            if line.startswith("Ctrl-C"):
                break
        else:
            raise SystemExit(f"the local cloud ended with {self.process.wait()}")
        self.environment = dict(re.findall(r"^export (\w+)=(.*)$", greeting, re.MULTILINE))
        self.bucket = self.environment["TRAINSPOT_RESULTS_BUCKET"]

    def put(self, key: str, document: object) -> None:
        """Writes an object as the person at the laptop."""
        scope = f"{self.environment['AWS_ACCESS_KEY_ID']}/20261123/us-east-1/s3/aws4_request"
        request = urllib.request.Request(
            f"{self.environment['AWS_ENDPOINT_URL']}/{self.bucket}/{key}",
            data=json.dumps(document).encode(),
            method="PUT",
            headers={
                "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, "
                "SignedHeaders=host, Signature=nobody-checks-this"
            },
        )
        urllib.request.urlopen(request, timeout=30).close()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)


def cpu_seconds(pid: int) -> float:
    """What the kernel counted for the process itself, all its threads, none of its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def one_run(agent: Path, cloud: Cloud, metadata: str, log: str, number: int, seconds: float):
    """CPU seconds a second, and the most memory in MiB."""
    job_key = f"{STAGE}/job-{number}.json"
    cloud.put(
        job_key,
        {
            "schema": 1,
            "run_id": RUN,
            "stage": "train",
            "submission": number,
            "base": 1,
            "market": "spot",
            "program": [sys.executable, str(Path(__file__).resolve()), "--program", str(LOGS[log])],
            "params": {},
            "inputs": [],
        },
    )
    owner = {"submission": number}
    head = {"schema": 1, "version": number, "write_id": f"bench-{number}", "owner": owner}
    cloud.put(f"{STAGE}/head.json", head | {"base": 1})
    with tempfile.TemporaryDirectory() as work:
        environment = cloud.environment | {
            "PATH": os.environ["PATH"],
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata,
            "AWS_BATCH_JOB_ID": f"job-{number}",
            "AWS_BATCH_JOB_ATTEMPT": "1",
            "TRAINSPOT_JOB": f"s3://{cloud.bucket}/{job_key}",
            "TRAINSPOT_WORK_DIR": work,
        }
        with (Path(work) / "log").open("wb") as taken:
            process = subprocess.Popen([agent], env=environment, stdout=taken, stderr=taken)
            try:
                while not list(Path(work).glob("*/output/progress.json")):
                    if process.poll() is not None:
                        said = (Path(work) / "log").read_text()
                        raise SystemExit(f"the agent ended with {process.returncode}: {said}")
                    time.sleep(0.1)
                before, begun = cpu_seconds(process.pid), time.monotonic()
                time.sleep(seconds)
                spent = cpu_seconds(process.pid) - before
                took = time.monotonic() - begun
                status = Path(f"/proc/{process.pid}/status").read_text()
                memory_kib = int(status.split("VmHWM:")[1].split()[0])
            finally:
                process.terminate()
                process.wait(timeout=60)
    return spent / took, memory_kib / 1024


def newest_glibc(agent: Path) -> str:
    """The newest version of glibc that the binary asks for."""
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", agent.read_bytes())
    major, minor = max((int(major), int(minor)) for major, minor in versions)
    return f"{major}.{minor}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agent", type=Path, default=Path("target/release/trainspot-agent"))
    parser.add_argument("--cloud", type=Path, default=Path("target/debug/trainspot"))
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--program", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.program is not None:
        program(options.program)
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    metadata = f"http://127.0.0.1:{server.server_port}"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud(options.cloud, Path(folder))
        try:
            for log in LOGS:
                runs = [
                    one_run(
                        options.agent,
                        cloud,
                        metadata,
                        log,
                        1 + len(rows) * options.runs + n,
                        options.seconds,
                    )
                    for n in range(options.runs)
                ]
                share = [cpu for cpu, _ in runs]
                rows.append(
                    {
                        "case": f"a training with a {log} log",
                        "who": "trainspot-agent",
                        "lines_per_s": LOGS[log],
                        "cpu_per_cent": round(100 * statistics.median(share), 2),
                        "most_cpu_per_cent": round(100 * max(share), 2),
                        "peak_mib": round(max(mib for _, mib in runs), 1),
                    }
                )
        finally:
            cloud.stop()
    size_mb = options.agent.stat().st_size / 1e6
    glibc = newest_glibc(options.agent)
    document = {
        "bench": "agent-cpu",
        "title": "The agent beside a training",
        "command": "make bench-agent-cpu",
        "versions": {"glibc at least": glibc},
        "notes": [
            f"Medians of {options.runs} runs of {options.seconds:.0f} s each, by the core.",
            f"The agent's binary is {size_mb:.1f} MB.",
        ],
        "rows": rows,
    }
    bench_facts.write(document)
    print(bench_table.as_text([document]))
    print("\n".join(document["notes"]))


if __name__ == "__main__":
    main()
