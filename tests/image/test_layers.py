"""The plan of the layers, the locks, the Dockerfile and the weights agree."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import image_sizes
import pytest

DOCKERFILE = (image_sizes.TRAINER / "Dockerfile").read_text()
IGNORED = (image_sizes.TRAINER.parent / ".dockerignore").read_text().splitlines()


def planned(image: str) -> list[str]:
    """The image's packages, layer by layer."""
    return [name for layer in image_sizes.layers() if image in layer.images for name in layer.packages]


def stage(image: str) -> str:
    """The image's own stage of the Dockerfile."""
    return DOCKERFILE.split(f"FROM trainer AS {image}\n")[1].split("\nFROM ")[0]


@pytest.mark.parametrize("image", ["cpu", "gpu"])
def test_every_package_of_the_lock_lies_in_one_layer(image: str) -> None:
    assert sorted(planned(image)) == sorted(image_sizes.locked(image))


def test_the_gpu_gets_the_versions_that_the_tests_run_on_a_cpu() -> None:
    cpu, gpu = image_sizes.locked("cpu"), image_sizes.locked("gpu")

    assert {name: gpu.get(name) for name in cpu} == cpu


@pytest.mark.parametrize("image", ["cpu", "gpu"])
def test_the_dockerfile_has_the_layers_in_their_order(image: str) -> None:
    copied = re.findall(r"^COPY --from=\S*packages /layers/(\S+)/ ", stage(image), re.MULTILINE)

    assert copied == [layer.name for layer in image_sizes.layers() if image in layer.images]


@pytest.mark.parametrize("image", ["cpu", "gpu"])
def test_what_is_ours_comes_after_what_is_others(image: str) -> None:
    lines = [line for line in stage(image).splitlines() if line.startswith("COPY")]

    ours = [line for line in lines if "--from" not in line]
    assert lines[-len(ours) :] == ours
    assert [line.split()[1] for line in ours] == [
        "trainer/trainer/",
        "target/release/trainspot-agent",
        f"target/image/{image}.cdx.json",
    ]


def test_no_base_is_made_up() -> None:
    assert re.findall(r"^ARG BASE.*$", DOCKERFILE, re.MULTILINE) == ["ARG BASE"]
    stages = set(re.findall(r" AS (\S+)$", DOCKERFILE, re.MULTILINE))
    bases = set(re.findall(r"^FROM (\S+) AS ", DOCKERFILE, re.MULTILINE))
    assert bases - stages == {"scratch", "${BASE}"}


def test_a_build_is_given_what_the_dockerfile_copies_and_nothing_else() -> None:
    sources = [
        path
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for path in line.split()[:-1]
    ]

    assert IGNORED[1] == "*"
    given = [line.removeprefix("!") for line in IGNORED[2:] if line]
    for path in sources:
        probe = f"{path}main.py" if path.endswith("/") else path
        assert any(fnmatch(probe, rule) for rule in given), path
    for rule in given:
        assert any(fnmatch(path, rule) or rule.startswith(path) for path in sources), rule


@pytest.mark.parametrize("image", ["cpu", "gpu"])
def test_every_layer_has_its_weight_and_keeps_the_limits(image: str) -> None:
    rows, wrong = image_sizes.weigh(image, image_sizes.recorded())

    assert wrong == []
    assert all(total > 0 for _, total in rows)


def test_a_layer_over_the_limit_is_told() -> None:
    sizes = image_sizes.recorded()
    heaviest = f"nvidia-cudnn-cu13=={image_sizes.locked('gpu')['nvidia-cudnn-cu13']}"

    _, wrong = image_sizes.weigh("gpu", {**sizes, heaviest: 700_000_000})

    assert wrong[0].startswith("layer cudnn has 700 MB, over ")


def test_an_image_over_the_limit_is_told() -> None:
    sizes = {pinned: size * 2 for pinned, size in image_sizes.recorded().items()}

    _, wrong = image_sizes.weigh("cpu", sizes)

    assert [sentence for sentence in wrong if sentence.startswith("the cpu image has ")]


def test_a_package_without_a_weight_is_told() -> None:
    _, wrong = image_sizes.weigh("cpu", {})

    assert len(wrong) == len(image_sizes.locked("cpu"))


def test_no_weight_is_of_another_lock() -> None:
    locked = {f"{name}=={version}" for name, version in image_sizes.locked("gpu").items()}

    assert set(image_sizes.recorded()) == locked
