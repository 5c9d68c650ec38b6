"""podman, for the test of the trainer's images: finds out how it runs here, makes a base, builds,
measures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

MB = 1_000_000
BASE_NAME = "localhost/trainspot-base:bookworm"
# Where podman's defaults do not run: a machine without systemd, cgroups of version 1, or a crun
# that is too old for its kernel.
CAREFUL = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
# Python with its venv, and what checks certificates; everything else is Debian's minimal base.
DEBIAN = "python3.11-minimal,python3-venv,ca-certificates"
MIRROR = "http://deb.debian.org/debian"


class Failed(Exception):
    """What does not hold, as a sentence."""


def podman(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """One podman command; its error is the last line that it said."""
    done = subprocess.run(
        ["podman", *map(str, words)],
        text=True,
        capture_output=True,
        **options,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise Failed(f"`podman {words[0]}`: {said[-1]}")
    return done


def need(base: str | None) -> None:
    """Says in one sentence what is missing; nothing is installed here."""
    missing = [name for name in ("podman",) if not shutil.which(name)]
    if base is None:
        missing += [name for name in ("debootstrap",) if not shutil.which(name)]
        if os.geteuid() != 0:
            raise Failed("debootstrap needs root: run it as root, or name a base with BASE=…")
    if missing:
        raise Failed(f"install {' and '.join(missing)} first (docs/operations.md, Images)")


def make_base(base: str | None, folder: Path) -> str:
    """The base image: the one that is named, or Debian's Python without any registry."""
    if base is not None:
        return base
    tar = folder / "base.tar"
    if not tar.exists():
        root = folder / "base"
        shutil.rmtree(root, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={DEBIAN}", "bookworm"]
        done = subprocess.run(
            [*command, root, MIRROR], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode != 0:
            raise Failed(f"debootstrap: {done.stdout.strip().splitlines()[-1]}")
        for left in (root / "var/cache/apt", root / "var/lib/apt/lists"):
            shutil.rmtree(left)
        partial = tar.with_suffix(".partial")
        subprocess.run(["tar", "-C", root, "-cf", partial, "."], check=True)
        partial.rename(tar)
        shutil.rmtree(root)
    known = podman("images", "--quiet", BASE_NAME).stdout.strip()
    if not known:
        podman("import", tar, BASE_NAME)
    return BASE_NAME


def settle(base: str, folder: Path) -> str:
    """Finds out whether podman's defaults run a container here; else it is told to be careful."""
    try:
        podman("run", "--rm", "--network", "host", base, "true")
        return "podman's defaults"
    except Failed as why:
        conf = folder / "containers.conf"
        conf.write_text(CAREFUL)
        # Absolute: podman starts helpers of its own in other folders.
        os.environ["CONTAINERS_CONF"] = str(conf.resolve())
        podman("run", "--rm", "--network", "host", base, "true")
        return f"runc and cgroupfs, as the defaults do not run here ({why})"


def layers(image: str, folder: Path) -> list[int]:
    """Bytes of each layer as a registry would get it, with gzip; the base's come first."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        podman("push", "--compress", image, f"dir:{folder}")
        manifest = json.loads((folder / "manifest.json").read_text())
        packed = [layer["size"] for layer in manifest["layers"]]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return packed


def id_of(image: str) -> str:
    """The id by which the engine knows an image."""
    return podman("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()


def n_layers(image: str) -> int:
    """How many layers an image has."""
    seen = json.loads(podman("image", "inspect", image).stdout)
    return len(seen[0]["RootFS"]["Layers"])
