"""Looks at an image of the trainer from inside a container of it, and prints what it sees as JSON.

Runs there, under the image's own Python and user, with nothing but its standard library to lean on.
"""

import ctypes
import errno
import importlib.metadata
import importlib.util
import json
import os
import sys
from pathlib import Path

# In no image of ours, as nobody uses them at run time.
UNWANTED = ["tensorflow", "torch", "boto3", "botocore", "grain", "orbax", "pandas"]
SITE = Path("/opt/trainer/lib/python3.11/site-packages")


def refusal(path: str) -> str:
    """Why a file cannot be made there; empty when it can."""
    try:
        Path(path).write_text("x")
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    Path(path).unlink()
    return ""


def unresolved() -> dict[str, str]:
    """NVIDIA's libraries that do not load, with the reason.

    NVSHMEM's plug-ins for MPI and for networks are left out: each wants what only a cluster has.
    """
    wrong = {}
    for library in sorted(SITE.glob("nvidia/**/lib/*.so*")):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            if not library.name.startswith(("nvshmem_bootstrap_", "nvshmem_transport_")):
                wrong[library.name] = str(error)
    return wrong


def trained() -> float:
    """One step of arithmetic through JAX, on the CPU."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    return float(jax.jit(lambda x: (x @ x).sum())(jax.numpy.eye(8)))


def main() -> None:
    """Prints one JSON object."""
    names = {
        d.metadata["Name"].lower().replace("_", "-").replace(".", "-"): d.version
        for d in importlib.metadata.distributions(path=[str(SITE)])
    }
    seen = {
        "uid": os.getuid(),
        "folder": str(Path.cwd()),
        "refused": {
            p: refusal(p)
            for p in ["/probe", f"{SITE}/probe", "/var/lib/trainspot/probe", "/tmp/probe"]
        },
        "packages": names,
        "unwanted": [name for name in UNWANTED if importlib.util.find_spec(name)],
        "uncompiled": sorted(
            str(source)
            for source in Path("/opt/trainer/program").rglob("*.py")
            if not Path(importlib.util.cache_from_source(str(source))).exists()
        ),
        "sum": trained(),
        "backend": __import__("keras").backend.backend(),
        "unresolved": unresolved(),
        "python": sys.executable,
        "sbom": json.loads(Path("/usr/share/trainspot/sbom.cdx.json").read_text()),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
