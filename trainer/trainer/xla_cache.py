"""Compiled programs that travel with the checkpoints, so that a resumed attempt need not compile.

JAX keeps its cache in a folder below the checkpoints, under a key of the device's kind and of the
compiler; its entries are put into each checkpoint as tensors of bytes and taken out on another
host before anything is compiled. Whoever writes them can run code here: that is only who may
write this run's checkpoints, the training role. See docs/adr/0009.
"""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
PREFIX = "xla/"
ENTRY = "-cache"  # how JAX's files of programs end; others hold times
# A program has a few megabytes. More than this is something else's, and not worth shipping.
MOST_BYTES = 64 * 2**20


class XlaCache:
    """The folder of one kind of device."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.prefix = folder / f"xla-{kind}", f"{PREFIX}{kind}/"
        self.restored = 0

    def entries(self) -> dict[str, Path]:
        """What JAX has put there, by name."""
        found = self.folder.glob(f"*{ENTRY}") if self.folder.is_dir() else []
        return {path.name: path for path in sorted(found)}

    def tensors(self) -> dict[str, np.ndarray]:
        """The entries for a checkpoint; none where they would weigh too much."""
        found = {}
        for name, path in self.entries().items():
            try:
                found[self.prefix + name] = np.frombuffer(path.read_bytes(), np.uint8)
            except FileNotFoundError:
                continue  # JAX replaces its files by rename
        if sum(value.nbytes for value in found.values()) > MOST_BYTES:
            return {}
        return {name: value for name, value in found.items() if value.nbytes}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Puts a checkpoint's entries for this kind of device where JAX looks for them."""
        for name, value in tensors.items():
            file = name.removeprefix(self.prefix)
            if file != name and "/" not in file and file.endswith(ENTRY):
                self.folder.mkdir(parents=True, exist_ok=True)
                path = self.folder / file
                if not path.exists():
                    path.write_bytes(value.tobytes())
                    self.restored += 1

    def record(self) -> dict[str, int]:
        """How many programs came with the checkpoint, and how many there are now."""
        return {"restored": self.restored, "entries": len(self.entries())}


def kind_of(device: Any, versions: str, processor: str) -> str:
    """A name for what a compiled program fits: on a CPU that is the processor's features too,
    since a program for more features than there are would end in an illegal instruction."""
    features = processor if device.platform == "cpu" else ""
    text = f"{device.platform} {device.device_kind} {versions} {features}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def processor_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The features of the first processor, as the kernel lists them."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def opened(folder: Path) -> XlaCache | None:
    """Tells JAX to keep its programs below `folder`. Starts the device. Nothing where somebody
    has told JAX already: then the cache is theirs to keep."""
    import jax

    device = jax.local_devices()[0]
    if os.environ.get(VARIABLE):
        return None
    cache = XlaCache(folder, kind_of(device, version("jaxlib"), processor_features()))
    jax.config.update("jax_compilation_cache_dir", str(cache.folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    # XLA's further caches would put the folder's name into the keys, and an entry that came with
    # a checkpoint go unfound.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    return cache
