"""The list of an image's content names everything that the locks name."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime
from urllib.parse import unquote

import image_sbom
import image_sizes
import pytest

AT = datetime(2026, 11, 22, tzinfo=UTC)
BASE = "registry.example/python@sha256:0"


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def listed(request: pytest.FixtureRequest) -> tuple[str, dict]:
    """An image and its list."""
    return request.param, json.loads(image_sbom.listed(request.param, BASE, AT))


def purls(bom: dict, kind: str) -> set[str]:
    """The components' package URLs of one kind."""
    found = {component.get("purl", "") for component in bom["components"]}
    return {purl for purl in found if purl.startswith(f"pkg:{kind}/")}


def test_every_package_of_the_lock_is_named(listed: tuple[str, dict]) -> None:
    image, bom = listed

    expected = {f"pkg:pypi/{n}@{v}" for n, v in image_sizes.locked(image).items()}
    assert purls(bom, "pypi") == expected


def test_the_agents_crates_are_those_of_the_lock(listed: tuple[str, dict]) -> None:
    _, bom = listed
    lock = tomllib.loads((image_sbom.ROOT / "Cargo.lock").read_text())["package"]

    named = purls(bom, "cargo")

    # A package URL writes the `+` of a version as %2B.
    assert {unquote(purl) for purl in named} <= {
        f"pkg:cargo/{package['name']}@{package['version']}" for package in lock
    }
    for name in ("trainspot-agent", "trainspot-shared", "trainspot-edge", "aws-sdk-s3", "rustls"):
        assert any(purl.startswith(f"pkg:cargo/{name}@") for purl in named), name
    # Only tests, the cli and the functions have these.
    for name in ("proptest", "clap", "lambda_runtime"):
        assert not any(purl.startswith(f"pkg:cargo/{name}@") for purl in named), name


def test_others_crates_have_their_checksum(listed: tuple[str, dict]) -> None:
    _, bom = listed

    without = [
        component["name"]
        for component in bom["components"]
        if component.get("purl", "").startswith("pkg:cargo/") and "hashes" not in component
    ]

    assert without and all(name.startswith("trainspot-") for name in without)


def test_the_base_is_named_as_the_build_names_it(listed: tuple[str, dict]) -> None:
    _, bom = listed

    assert [c["name"] for c in bom["components"] if c["type"] == "operating-system"] == [BASE]


def test_the_same_commit_gives_the_same_bytes() -> None:
    assert image_sbom.listed("cpu", BASE, AT) == image_sbom.listed("cpu", BASE, AT)


def test_an_invalid_list_is_refused() -> None:
    with pytest.raises(SystemExit, match="no valid CycloneDX"):
        image_sbom.check('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{}]}')
