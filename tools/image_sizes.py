"""Says what the layers of the trainer's images weigh, and fails over the limits.

Works from the locks alone: a wheel is a compressed archive, and a layer of it weighs about as much,
so the layers can be judged before anything is built. `--record <folder of wheels>` writes down what
the wheels of the locks weigh; without it nothing but files of this repository is read. What the
built images really weigh is measured by `make image-test`.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

TRAINER = Path(__file__).resolve().parent.parent / "trainer"
LOCKS = {"cpu": TRAINER / "requirements.lock", "gpu": TRAINER / "requirements-gpu.lock"}
LAYERS = TRAINER / "image" / "layers.toml"
LIMITS = TRAINER / "image" / "limits.toml"
SIZES = TRAINER / "image" / "wheel-sizes.toml"
MB = 1_000_000
HEAD = """\
# What the wheels of trainer/requirements-gpu.lock weigh on Linux and x86-64, in bytes. Written by
# `python3 tools/image_sizes.py --record <folder with the wheels>`; `make image-test` holds it
# against the wheels that it fetches.

"""


@dataclass(frozen=True)
class Layer:
    """A layer of Python packages, and the images that have it."""

    name: str
    images: tuple[str, ...]
    packages: tuple[str, ...]


def layers() -> list[Layer]:
    """All layers, in their order."""
    plan = tomllib.loads(LAYERS.read_text())
    return [
        Layer(entry["name"], tuple(entry["images"]), tuple(entry["packages"]))
        for entry in plan["layer"]
    ]


def limits() -> dict:
    """Limits in megabytes: of a layer, of the wheels of an image, of a built image."""
    return tomllib.loads(LIMITS.read_text())


def locked(image: str) -> dict[str, str]:
    """Versions by name, as the image's lock has them."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCKS[image].read_text(), re.MULTILINE)
    return dict(found)


def recorded() -> dict[str, int]:
    """Bytes by `name==version`."""
    return tomllib.loads(SIZES.read_text())


def measured(folder: Path) -> dict[str, int]:
    """Bytes of the lock's wheels in a folder, by `name==version`."""
    sizes = {}
    wheels = {wheel.name.lower(): wheel.stat().st_size for wheel in folder.glob("*.whl")}
    for name, version in locked("gpu").items():
        start = f"{name.replace('-', '_')}-{version}-"
        fitting = [size for wheel, size in wheels.items() if wheel.startswith(start)]
        if len(fitting) != 1:
            raise SystemExit(f"{len(fitting)} wheels of {name} {version} in {folder}, not one")
        sizes[f"{name}=={version}"] = fitting[0]
    return sizes


def record(folder: Path) -> None:
    """Writes down what the wheels in the folder weigh."""
    lines = [f'"{pinned}" = {size:_}' for pinned, size in sorted(measured(folder).items())]
    SIZES.write_text(HEAD + "\n".join(lines) + "\n")


def weigh(image: str, sizes: dict[str, int]) -> tuple[list[tuple[str, int]], list[str]]:
    """The image's layers with their bytes, and what is wrong with them."""
    versions, wrong, rows = locked(image), [], []
    for layer in (layer for layer in layers() if image in layer.images):
        total = 0
        for name in layer.packages:
            pinned = f"{name}=={versions.get(name)}"
            if pinned in sizes:
                total += sizes[pinned]
            else:
                wrong.append(f"nobody wrote down what {pinned} weighs; see --record")
        rows.append((layer.name, total))
        if total > limits()["layer"] * MB:
            wrong.append(f"layer {layer.name} has {total / MB:.0f} MB, over {limits()['layer']}")
    whole = sum(total for _, total in rows)
    if whole > limits()["wheels"][image] * MB:
        wrong.append(f"the {image} image has {whole / MB:.0f} MB, over {limits()['wheels'][image]}")
    return rows, wrong


def main() -> int:
    """Prints a table for each image; 1 when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.record:
        record(arguments.record)
    sizes, all_wrong = recorded(), []
    for image in LOCKS:
        rows, wrong = weigh(image, sizes)
        print(f"{image}: compressed MB of each layer's wheels, without base, trainer and agent")
        for name, total in rows:
            print(f"  {name:<14}{total / MB:8.1f}")
        whole = sum(total for _, total in rows) / MB
        print(f"  {'all':<14}{whole:8.1f}  of at most {limits()['wheels'][image]}\n")
        all_wrong += wrong
    for sentence in all_wrong:
        print(sentence, file=sys.stderr)
    return 1 if all_wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
