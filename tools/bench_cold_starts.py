"""Cold start of each function: from spawn to its first `/next`, and its memory then.

Speaks just enough of the Lambda Runtime API on loopback to see a function ask for its first event;
ends every process that it started. Figures only, never a pass or a fail. Usage:

    python tools/bench_cold_starts.py [--binaries target/release] [--starts 20]
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import time
from pathlib import Path

import bench_facts
import bench_table

FUNCTIONS = ["submit-training", "fan-out", "handle-failure", "supervise-runs"]
VARIABLES = {
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "TRAINSPOT_DATA_BUCKET": "data",
    "TRAINSPOT_RESULTS_BUCKET": "results",
    "TRAINSPOT_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:bench",
    "TRAINSPOT_SPOT_QUEUE": "spot",
    "TRAINSPOT_ON_DEMAND_QUEUE": "on-demand",
    "TRAINSPOT_POST_PROCESSING_QUEUE": "post",
    "TRAINSPOT_TRAIN_JOB_DEFINITION": "train",
    "TRAINSPOT_POST_PROCESSING_JOB_DEFINITION": "post",
    "TRAINSPOT_IMAGE": "image",
    "TRAINSPOT_POST_PROCESSING_IMAGE": "image",
    "TRAINSPOT_SCHEDULES": "{}",
    "TRAINSPOT_FUNCTION_TIMEOUT_S": "60",
}


def one_start(binary: Path, name: str) -> tuple[float, float]:
    """Milliseconds to the first `/next`, and resident MiB at that moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        api = f"127.0.0.1:{server.getsockname()[1]}"
        environment = VARIABLES | {"AWS_LAMBDA_RUNTIME_API": api, "AWS_LAMBDA_FUNCTION_NAME": name}
        environment["PATH"] = os.environ["PATH"]
        begun = time.perf_counter()
        # A function that is ended while it asks says so; that is not news here.
        quiet = subprocess.DEVNULL
        process = subprocess.Popen([binary], env=environment, stdout=quiet, stderr=quiet)
        try:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(30)
                asked = connection.recv(4096)
                elapsed_ms = (time.perf_counter() - begun) * 1000
                if b"/runtime/invocation/next" not in asked:
                    raise SystemExit(f"{name} asked for something else first: {asked[:80]!r}")
                status = Path(f"/proc/{process.pid}/status").read_text()
            resident_kib = int(status.split("VmRSS:")[1].split()[0])
            return elapsed_ms, resident_kib / 1024
        finally:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=Path, default=Path("target/debug"))
    parser.add_argument("--starts", type=int, default=20)
    options = parser.parse_args()
    rows = []
    for name in FUNCTIONS:
        binary = options.binaries / name
        starts = [one_start(binary, name) for _ in range(options.starts)]
        rows.append(
            {
                "case": f"cold start of {name}",
                "who": "trainspot",
                "start_ms": round(statistics.median(ms for ms, _ in starts), 2),
                "slowest_ms": round(max(ms for ms, _ in starts), 2),
                "memory_mib": round(statistics.median(mib for _, mib in starts), 1),
                "binary_mib": round(binary.stat().st_size / 2**20, 1),
            }
        )
    document = {
        "bench": "cold-starts",
        "title": "Cold starts of the functions",
        "command": "make bench-cold-starts",
        "versions": {},
        "notes": [f"Medians of {options.starts} starts each, from spawn to the first `/next`."],
        "rows": rows,
    }
    bench_facts.write(document)
    print(bench_table.as_text([document]))


if __name__ == "__main__":
    main()
