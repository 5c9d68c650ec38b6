"""The two S3s on loopback: the local cloud, as its users start it, and moto server."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
LOCAL, MOTO = "local cloud", "moto server"


@dataclass(frozen=True)
class Server:
    """A running S3 with one bucket for everything."""

    endpoint: str
    bucket: str
    pid: int

    def environment(self, home: Path) -> dict[str, str]:
        """What every copier gets: nothing of the machine's own settings decides."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AWS_ENDPOINT_URL": self.endpoint,
            # s5cmd's name for it.
            "S3_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
            # The agent asks for Spot notices here; nobody listens.
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
        }

    def client(self) -> boto3.client:
        """For what is laid and looked at outside the measured time."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="bench",
            aws_secret_access_key="bench",
            config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}),
        )


@contextmanager
def local_cloud(folder: Path, binaries: Path) -> Iterator[Server]:
    """`trainspot local serve` over a fresh folder, which is removed at the end."""
    command = [binaries / "trainspot", "local", "serve", "--binaries", binaries]
    log = folder.with_suffix(".log")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--folder", folder], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        greeting = {}
        for line in process.stdout:
            if found := re.match(r"export (\w+)=(.*)", line.decode().rstrip()):
                greeting[found[1]] = found[2]
            if line.startswith(b"Ctrl-C"):
                break
        else:
            raise SystemExit(f"the local cloud did not start: {log.read_text()}")
        bucket = greeting["TRAINSPOT_RESULTS_BUCKET"]
        yield Server(greeting["AWS_ENDPOINT_URL"], bucket, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def moto(python: Path) -> Iterator[Server]:
    """moto server, which keeps everything in memory."""
    process = subprocess.Popen(
        [python, ROOT / "tools/moto_server.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        laid = json.loads(process.stdout.readline())
        yield Server(laid["endpoint"], laid["bucket"], process.pid)
    finally:
        process.stdin.close()
        process.wait()
