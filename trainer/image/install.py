"""Installs the packages of some layers, each into a folder of its own. A building stage runs it.

`python3.11 install.py --lock <file> --into <folder> <layer>…` takes versions and hashes from the
lock and the shares from `layers.toml` beside this file. Equal locks give equal bytes: no file keeps
the time of its installation, and compiled modules are checked against nothing, so they need no
time either. A layer that did not change is then sent to no registry and no host a second time.
"""

from __future__ import annotations

import argparse
import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

LAYERS = Path(__file__).with_name("layers.toml")
# Wheels that were fetched before the build; without them pip asks the index.
WHEELS = Path("/wheels")
# Where the layers lie in the images, for the file names in a traceback.
SITE = Path("/opt/trainer/lib/python3.11/site-packages")
# Any time will do, as long as it is always the same; zip files know none before 1980.
THE_TIME = 315_532_800
ENTRY = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?:\s*\\\n\s+--hash=\S+)+)", re.MULTILINE)


def entries(lock: str) -> dict[str, str]:
    """The lock's requirements by name, each with its hashes."""
    return {match[1]: match[0] for match in ENTRY.finditer(lock)}


def install(requirements: list[str], into: Path) -> None:
    """Installs exactly these wheels: nothing is built, and nothing comes that is not locked."""
    into.mkdir(parents=True)
    listed = into.with_suffix(".txt")
    listed.write_text("\n".join(requirements) + "\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore"]
    command += ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    if WHEELS.is_dir() and any(WHEELS.iterdir()):
        command += ["--no-index", "--find-links", str(WHEELS)]
    subprocess.run([*command, "--target", str(into), "--requirement", str(listed)], check=True)
    listed.unlink()


def trim(folder: Path, patterns: list[str]) -> None:
    """Leaves out what nobody opens."""
    for pattern in patterns:
        for found in list(folder.glob(pattern)):
            if found.is_dir():
                shutil.rmtree(found)
            elif found.exists():
                found.unlink()


def compile_modules(folder: Path) -> None:
    """Compiles what is there, as a container cannot: its root is read-only."""
    # Some packages carry templates that are no Python of this version; the interpreter would say
    # so if anybody imported one.
    compileall.compile_dir(
        folder,
        quiet=2,
        workers=0,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        stripdir=str(folder),
        prependdir=str(SITE),
    )


def level_times(folder: Path) -> None:
    """Gives every file the same time."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files + folders:
            os.utime(Path(parent) / name, (THE_TIME, THE_TIME), follow_symlinks=False)
    os.utime(folder, (THE_TIME, THE_TIME))


def main() -> None:
    """Fills `<into>/<layer>/` for each layer that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("layers", nargs="+")
    arguments = parser.parse_args()

    plan = tomllib.loads(LAYERS.read_text())
    packages = {layer["name"]: layer["packages"] for layer in plan["layer"]}
    locked = entries(arguments.lock.read_text())
    for layer in arguments.layers:
        folder = arguments.into / layer
        install([locked[name] for name in packages[layer]], folder)
        trim(folder, [rule["pattern"] for rule in plan["trim"]])
        compile_modules(folder)
        level_times(folder)


if __name__ == "__main__":
    main()
