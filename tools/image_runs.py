"""Runs whole runs in containers, for the test of the trainer's images.

The cli starts them; podman and the ledgers are asked what came of it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from image_engine import Failed, podman

CLI = "target/debug/trainspot"
LOOK_EVERY_S = 0.5
# Nothing here takes as long; a run that does hangs.
LONGEST_S = 900
# Ignores what a program may ignore, so that only the end of its container ends it.
STUBBORN = """\
name = "stubborn"
overlap = "skip"

[train]
gpus = 1
vcpus = 1
memory_gib = 1
timeout = "1m"
program = ["bash", "-c", "trap '' TERM INT HUP; while :; do sleep 1; done"]
"""


class Cloud:
    """A local cloud over a folder of its own, and the containers that its label names."""

    def __init__(self, folder: Path, images: tuple[str, str]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder.resolve()
        gpu, cpu = images
        self.arguments = ["--folder", str(self.folder), "--engine", "podman"]
        self.arguments += ["--container", gpu, "--post-processing-container", cpu]
        self.seen: dict[str, dict[str, Any]] = {}

    def start(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        """One command of the cli, which writes to the log."""
        with log.open("ab") as output:
            command = [CLI, "local", *words, *self.arguments]
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def containers(self) -> list[str]:
        """Ids of this cloud's containers, running or not."""
        label = f"label=trainspot.local={self.folder}"
        return podman("ps", "--all", "--quiet", "--no-trunc", "--filter", label).stdout.split()

    def look(self) -> None:
        """Notes how each new container was made."""
        for id in self.containers():
            if id in self.seen:
                continue
            # It may end, and be removed, between the two looks.
            with contextlib.suppress(Failed):
                self.seen[id] = json.loads(podman("container", "inspect", id).stdout)[0]

    def watch(self, process: subprocess.Popen[bytes]) -> int:
        """Looks until the process has ended; its exit code."""
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            self.look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(LOOK_EVERY_S)
        end(process, signal.SIGKILL)
        raise Failed(f"no end after {LONGEST_S} s; see {self.folder}")

    def until(self, process: subprocess.Popen[bytes], what: str, n: int) -> None:
        """Looks until there are so many containers that run."""
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            self.look()
            label = f"label=trainspot.local={self.folder}"
            running = podman("ps", "--quiet", "--filter", label).stdout.split()
            if len(running) == n:
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY_S)
                raise Failed(f"{what}: the command ended before; see {self.folder}")
        raise Failed(f"{what}: not after {LONGEST_S} s; see {self.folder}")

    def ledgers(self) -> dict[str, dict[str, Any]]:
        """All ledgers, by the run's id."""
        found = self.folder.glob("buckets/*/state/*/*/run.json")
        return {ledger.parent.name: json.loads(ledger.read_text()) for ledger in found}

    def clear(self) -> list[str]:
        """Removes the containers that are left, by their ids, and names them."""
        left = self.containers()
        for id in left:
            podman("rm", "--force", "--volumes", id)
        return left


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> int:
    """Ends a process that was started here."""
    process.send_signal(how)
    return process.wait(LONGEST_S)


@contextlib.contextmanager
def cloud(folder: Path, images: tuple[str, str]) -> Iterator[Cloud]:
    """A cloud that leaves no container behind, however its story ends."""
    made = Cloud(folder, images)
    try:
        yield made
    finally:
        left = made.clear()
    if left:
        raise Failed(f"containers were left behind, and are gone now: {', '.join(left)}")
    if not made.seen:
        raise Failed("no container was ever seen")


def judge_containers(seen: dict[str, dict[str, Any]], images: dict[str, str]) -> None:
    """Whether each container was made as its definition says, of one of these images."""
    for id, container in seen.items():
        host, config = container["HostConfig"], container["Config"]
        volumes = [m for m in container["Mounts"] if m["Destination"] == "/var/lib/trainspot"]
        holds = {
            "user": config["User"] in ("1000:1000", "1000"),
            "read-only root": host["ReadonlyRootfs"],
            "not privileged": not host["Privileged"],
            "init": host["Init"],
            "memory over /tmp": "size=512m" in host["Tmpfs"].get("/tmp", ""),
            "no other memory": list(host["Tmpfs"]) == ["/tmp"],
            "one volume": len(volumes) == 1 and volumes[0]["Type"] == "volume" and volumes[0]["RW"],
            "memory limit": host["Memory"] > 0,
            "image": container["Image"] in images.values(),
        }
        wrong = [what for what, is_so in holds.items() if not is_so]
        if wrong:
            raise Failed(f"container {id[:12]} was not made as its definition says: {wrong}")


def demo(folder: Path, images: tuple[str, str], ids: dict[str, str], data: Path) -> str:
    """The four stories of the demo: a reclaim in the middle of the training, and three more."""
    with cloud(folder / "demo", images) as here:
        process = here.start("demo", "--data", str(data), log=folder / "demo.log")
        code = here.watch(process)
    if code != 0:
        raise Failed(f"the demo ended with {code}; see {folder / 'demo.log'}")
    judge_containers(here.seen, ids)
    ended = [
        run
        for run in here.ledgers().values()
        if run["end"]["kind"] == "succeeded" and run["id"].startswith("recommender-")
    ]
    if not ended:
        raise Failed("no run of the recommender succeeded, by the ledgers")
    records = ended[0]["stages"]["train"]["submissions"][0]["records"]
    first, second = records[0], records[1]
    if first["outcome"] != "preempted_published" or second.get("resumed_from", 0) <= 0:
        raise Failed(
            f"the training was not resumed: {first['outcome']}, {second.get('resumed_from')}"
        )
    return (
        f"{len(here.seen)} containers; run {ended[0]['id']} succeeded; the training was reclaimed "
        f"at step {first['published_step']} and resumed there in another container"
    )


def time_out(folder: Path, images: tuple[str, str]) -> str:
    """A program that ignores SIGTERM, and its time-out."""
    spec = folder / "stubborn.toml"
    spec.write_text(STUBBORN)
    with cloud(folder / "time-out", images) as here:
        process = here.start("run", str(spec), log=folder / "time-out.log")
        code = here.watch(process)
    (run,) = here.ledgers().values()
    reason = run["stages"]["train"]["submissions"][0]["jobs"][0]["status_reason"]
    if code != 1 or run["end"]["kind"] != "failed" or "timeout" not in reason:
        raise Failed(f"the time-out did not end the run: exit {code}, {run['end']}, {reason}")
    return f"{len(here.seen)} containers; the run failed: {reason}"


def interrupted(folder: Path, images: tuple[str, str]) -> str:
    """Ctrl-C in the middle: the container ends with the cloud."""
    spec = folder / "stubborn.toml"
    with cloud(folder / "interrupted", images) as here:
        process = here.start("run", str(spec), log=folder / "interrupted.log")
        here.until(process, "a container runs", 1)
        code = end(process, signal.SIGINT)
        left = here.containers()
    if code == 0 or left:
        raise Failed(f"Ctrl-C left {left} behind, exit {code}")
    return "the container ended with the cloud"


def killed(folder: Path, images: tuple[str, str]) -> str:
    """The cloud is killed; the next one over the same folder removes the container."""
    spec = folder / "stubborn.toml"
    with cloud(folder / "killed", images) as here:
        end_of_first = end(running(here, spec, folder), signal.SIGKILL)
        (orphan,) = here.containers()
        process = here.start("serve", log=folder / "killed.log")
        try:
            deadline = time.monotonic() + LONGEST_S
            while orphan in here.containers():
                if time.monotonic() > deadline:
                    raise Failed("the next cloud left the container of the first alone")
        finally:
            end(process, signal.SIGINT)
    return f"the cloud ended with {end_of_first}, and the next one removed its container"


def running(here: Cloud, spec: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A run whose container runs."""
    process = here.start("run", str(spec), log=folder / "killed.log")
    here.until(process, "a container runs", 1)
    return process
