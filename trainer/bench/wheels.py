"""Packages for a machine without network: wheels that were fetched elsewhere, unpacked for a run.

`make gpu-wheels` fetches them by the trainer's lock. What the machine has already is left alone.
"""

import re
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "wheels"
# The machine's own: they must fit its driver and each other.
NEVER = ("jax", "jaxlib", "numpy", "scipy", "ml-dtypes", "torch")


def is_installed(name: str) -> bool:
    """Whether Python finds a distribution of that name."""
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def wanted(names: list[str], has: Callable[[str], bool] = is_installed) -> list[str]:
    """The wheels, by file name, of what is not there."""
    found = []
    for name in sorted(names):
        distribution = name.split("-", 1)[0].replace("_", "-").lower()
        if distribution not in NEVER and not has(distribution):
            found.append(name)
    return found


def carried(lock: str) -> str:
    """A lock without what a machine brings itself, hashes and all."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return "".join(one for one in entries if re.split(r"[=\s]", one, maxsplit=1)[0] not in NEVER)


def unpacked(folder: Path, to: Path) -> list[str]:
    """Unpacks what is wanted of a folder, and returns its names."""
    names = wanted([path.name for path in folder.glob("*.whl")])
    for name in names:
        with zipfile.ZipFile(folder / name) as wheel:
            wheel.extractall(to)
    return names


if __name__ == "__main__":
    sys.stdout.write(carried(Path(sys.argv[1]).read_text()))
