"""Writes the list of what is in an image of the trainer, as CycloneDX: Python's packages and the
agent's crates.

Python's part comes from the image's lock, the agent's from what cargo resolves for it. The same
commit gives the same bytes: nothing is drawn, and the time is the one that is given. What the base
image brings is the base's own list; here it is one component, named as the build names it.
"""

from __future__ import annotations

import argparse
import subprocess
import tomllib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.exception import MissingOptionalDependencyException
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from image_sizes import locked

ROOT = Path(__file__).resolve().parent.parent
AGENT = "trainspot-agent"
TARGET = "x86_64-unknown-linux-gnu"
# Any fixed namespace does; this one makes serial numbers that depend on the content alone.
NAMESPACE = uuid.UUID("6f1d3c1e-6f5b-5e0c-9a55-7d1f0c8b4a11")


def python_packages(image: str) -> Iterator[Component]:
    """The wheels of the image's lock."""
    for name, version in sorted(locked(image).items()):
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            purl=PackageURL("pypi", None, name, version),
            bom_ref=f"pypi:{name}@{version}",
        )


def linked_crates() -> list[tuple[str, str, str]]:
    """Name, version and licence of each package that ends up in the agent's binary.

    No build scripts, no macros, nothing for tests, and only the features that it asks for.
    """
    command = ["cargo", "tree", "--locked", "--package", AGENT, "--target", TARGET]
    command += ["--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"]
    done = subprocess.run(
        [*command, "--format", "{p}\t{l}"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    found = set()
    for line in done.stdout.splitlines():
        package, licence = line.split("\t")
        # `name v1.2.3`, with a folder behind it where the package is ours.
        name, version = package.split()[:2]
        found.add((name, version.removeprefix("v"), licence))
    return sorted(found)


def crates(checksums: dict[tuple[str, str], str]) -> Iterator[Component]:
    """The agent and the crates that are linked into it."""
    for name, version, licence in linked_crates():
        checksum = checksums.get((name, version))
        # Old manifests write `MIT/Apache-2.0` where SPDX says OR.
        licences = [LicenseFactory().make_from_string(licence.replace("/", " OR "))]
        yield Component(
            type=ComponentType.APPLICATION if name == AGENT else ComponentType.LIBRARY,
            name=name,
            version=version,
            purl=PackageURL("cargo", None, name, version),
            bom_ref=f"cargo:{name}@{version}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else None,
            licenses=licences if licence else None,
        )


def lock_checksums(text: str) -> dict[tuple[str, str], str]:
    """Checksums of `Cargo.lock` by name and version; our own crates have none."""
    packages = tomllib.loads(text)["package"]
    return {(p["name"], p["version"]): p["checksum"] for p in packages if "checksum" in p}


def listed(image: str, base: str, at: datetime) -> str:
    """The list as JSON, valid by CycloneDX's own schema."""
    bom = Bom()
    bom.metadata.timestamp = at
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER, name=f"trainspot-trainer-{image}", bom_ref="image"
    )
    bom.components.add(Component(type=ComponentType.OPERATING_SYSTEM, name=base, bom_ref="base"))
    checksums = lock_checksums((ROOT / "Cargo.lock").read_text())
    for component in [*python_packages(image), *crates(checksums)]:
        bom.components.add(component)
    bom.register_dependency(bom.metadata.component, bom.components)
    names = "\n".join(sorted(str(component.bom_ref) for component in bom.components))
    bom.serial_number = uuid.uuid5(NAMESPACE, f"{image}\n{base}\n{names}")
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    check(text)
    return text


def check(text: str) -> None:
    """Refuses what the schema refuses."""
    try:
        wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except MissingOptionalDependencyException as error:
        raise SystemExit(f"install tools/requirements-image.lock: {error}") from error
    if wrong is not None:
        raise SystemExit(f"the list is no valid CycloneDX: {wrong}")


def main() -> None:
    """Writes one list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", choices=["cpu", "gpu"])
    parser.add_argument("--base", required=True, help="the base image with its digest")
    parser.add_argument("--epoch", type=int, required=True, help="seconds since 1970, the commit's")
    parser.add_argument("--to", type=Path, required=True)
    arguments = parser.parse_args()
    at = datetime.fromtimestamp(arguments.epoch, UTC)
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    arguments.to.write_text(listed(arguments.image, arguments.base, at) + "\n")


if __name__ == "__main__":
    main()
