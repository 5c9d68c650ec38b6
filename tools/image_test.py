"""Builds the trainer's images and runs them: `make image-test`.

Needs root, podman and debootstrap, but no registry and no GPU: the base is made of Debian's
packages (or named by BASE), wheels are fetched once and checked by the lock, both images are
built from them without a network, looked at from inside, weighed, and then a whole local cloud
runs its jobs in them. Ends with 0 only if all of it held, and leaves no container behind. What it
keeps for the next time lies in `.trainspot/`: the base, the wheels, the logs; and in podman's
store: the images.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import image_runs
import image_sizes
from image_engine import MB, Failed, id_of, layers, make_base, n_layers, need, podman, settle

STATE = Path(".trainspot/image")
WHEELS = Path(".trainspot/wheels")
DATA = Path(".trainspot/data/movielens-100k")
PIP = [".venv/bin/python", "-m", "pip"]
TAGS = {"cpu": "localhost/trainspot-trainer:cpu", "gpu": "localhost/trainspot-trainer:gpu"}
# How a definition makes a container, as far as an image could stumble over it.
STRICT = ["--read-only", "--read-only-tmpfs=false", "--init", "--network", "none"]
STRICT += ["--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=512m"]
STRICT += ["--mount", "type=volume,destination=/var/lib/trainspot"]
LABELS = ["licenses", "revision", "title", "version"]


def step(name: str, do: Callable[[], str]) -> str:
    """Says what is done, does it, and says how long it took."""
    print(f"{name} …", flush=True)
    began = time.monotonic()
    said = do()
    print(f"  {said} ({time.monotonic() - began:.0f} s)", flush=True)
    return said


def fetch() -> str:
    """Fetches the wheels that are not there, and holds the recorded weights against them."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    try:
        image_sizes.measured(WHEELS)
    except SystemExit:
        command = [*PIP, "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--dest", str(WHEELS)]
        subprocess.run([*command, "-r", str(image_sizes.LOCKS["gpu"])], check=True)
    weights = image_sizes.measured(WHEELS)
    if weights != image_sizes.recorded():
        raise Failed("trainer/image/wheel-sizes.toml is of other wheels than the lock")
    return f"{len(weights)} wheels, {sum(weights.values()) / MB:.0f} MB"


def build(base: str) -> str:
    """Builds both images with the rule that everybody uses, without a network for the packages."""
    flags = f"--isolation chroot --layers --build-context wheels={WHEELS}"
    command = ["make", "--silent", "image", "ENGINE=podman", f"BASE={base}", f"IMAGE_FLAGS={flags}"]
    with (STATE / "build.log").open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise Failed(f"`make image` ended with {done.returncode}; see {STATE / 'build.log'}")
    return ", ".join(f"{name} {id_of(tag)[:12]}" for name, tag in TAGS.items())


def weigh(name: str, base: str) -> str:
    """The layers as a registry would get them, against the limits."""
    limits, n_base = image_sizes.limits(), n_layers(base)
    found = layers(TAGS[name], STATE / "pushed")
    ours = found[n_base:]
    for packed in ours:
        print(f"    {packed / MB:8.1f} MB")
    if max(ours) > limits["layer"] * MB:
        raise Failed(f"a layer of {name} has {max(ours) / MB:.0f} MB, over {limits['layer']}")
    if sum(ours) > limits["built"][name] * MB:
        raise Failed(f"image {name} has {sum(ours) / MB:.0f} MB, over {limits['built'][name]}")
    whole = sum(found)
    return f"{sum(ours) / MB:.0f} MB in {len(ours)} layers, {whole / MB:.0f} MB with this base"


def look(name: str) -> str:
    """The image from outside and from inside."""
    (seen,) = json.loads(podman("image", "inspect", TAGS[name]).stdout)
    config = seen["Config"]
    labels = [
        label.rsplit(".", 1)[1]
        for label in sorted(config["Labels"] or {})
        if "opencontainers" in label
    ]
    outside = {
        "user": config["User"] == "1000:1000",
        "entry point": config["Entrypoint"] == ["/usr/local/bin/trainspot-agent", "--"],
        "working folder": config["WorkingDir"] == "/var/lib/trainspot",
        "labels": labels == LABELS,
        "revision": re.fullmatch(
            "[0-9a-f]{40}", config["Labels"]["org.opencontainers.image.revision"]
        ),
        "GPU": (name == "gpu") == any(v.startswith("NVIDIA_") for v in config["Env"]),
    }
    with Path("tools/image_probe.py").open() as probe:
        command = [
            "run",
            "--rm",
            "--interactive",
            *STRICT,
            "--entrypoint",
            "python",
            TAGS[name],
            "-",
        ]
        inside = json.loads(podman(*command, stdin=probe).stdout.splitlines()[-1])
    refused = inside["refused"]
    listed = {
        c["name"]: c["version"]
        for c in inside["sbom"]["components"]
        if c["bom-ref"].startswith("pypi:")
    }
    # Without a driver every library that wants it says so; anything else is missing from a layer.
    unresolved = {k: v for k, v in inside["unresolved"].items() if "libcuda.so" not in v}
    holds = outside | {
        "user inside": inside["uid"] == 1000,
        "folder inside": inside["folder"] == "/var/lib/trainspot",
        "root is read-only": refused["/probe"] == "EROFS",
        "working folder can be written": refused["/var/lib/trainspot/probe"] == "",
        "/tmp can be written": refused["/tmp/probe"] == "",
        "the list names what is installed": listed == inside["packages"],
        "what is installed is the lock": inside["packages"] == image_sizes.locked(name),
        "nothing unwanted": inside["unwanted"] == [],
        "everything is compiled": inside["uncompiled"] == [],
        "JAX counts": inside["sum"] == 8.0,
        "Keras' backend": inside["backend"] == "jax",
        "libraries resolve": unresolved == {},
    }
    wrong = [what for what, is_so in holds.items() if not is_so]
    if wrong:
        (STATE / f"{name}-seen.json").write_text(json.dumps(inside, indent=1))
        raise Failed(
            f"image {name}: {', '.join(wrong)} {unresolved or ''}; see {STATE}/{name}-seen.json"
        )
    driver = len(inside["unresolved"])
    return f"{len(holds)} things hold; {len(listed)} packages; {driver} libraries wait for a driver"


def main() -> int:
    """All of it, in order; the first thing that does not hold ends it."""
    base_name = os.environ.get("BASE") or None
    STATE.mkdir(parents=True, exist_ok=True)
    volumes = set()
    try:
        need(base_name)
        base = make_base(base_name, STATE)
        print(f"podman runs with {settle(base, STATE)}")
        volumes = set(podman("volume", "ls", "--quiet").stdout.split())
        step("wheels", fetch)
        step("images", lambda: build(base))
        for name in TAGS:
            step(f"{name}: what is in it", lambda name=name: look(name))
            step(f"{name}: what its layers weigh, packed", lambda name=name: weigh(name, base))
        tags, ids = (TAGS["gpu"], TAGS["cpu"]), {name: id_of(tag) for name, tag in TAGS.items()}
        step("the demo in containers", lambda: image_runs.demo(STATE, tags, ids, DATA))
        step("a time-out", lambda: image_runs.time_out(STATE, tags))
        step("Ctrl-C", lambda: image_runs.interrupted(STATE, tags))
        step("a cloud that is killed", lambda: image_runs.killed(STATE, tags))
        left = set(podman("volume", "ls", "--quiet").stdout.split()) - volumes
        if left:
            raise Failed(f"volumes were left behind: {', '.join(sorted(left))}")
    except Failed as why:
        print(f"failed: {why}", file=sys.stderr)
        return 1
    print("all of it held")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
