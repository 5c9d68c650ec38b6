"""Walks README's deployment: a fresh clone, README's own lines, the real tools, and moto for AWS.

What cannot be done here is named in `NOT_HERE` with what stands for it, and printed. A line that is in none of the
tables below stops the walk: README and walk cannot drift apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from moto_account import Account
from readme import BLANK, filled
from translated import ROOT

NAME = "trainspot"
ADDRESS = "somebody@example.com"
REPOSITORY_BLANK = "ImageRepositoryUri"
DEPLOY = "sam deploy --guided --stack-name trainspot --capabilities CAPABILITY_IAM"
# The questions after the parameters: confirm changes, roles, rollback, save, which file, which environment.
QUESTIONS_AFTER = 6
LONGEST_S = 3 * 3600

# Lines that are run as they stand, with their blanks filled in.
AS_WRITTEN = {
    "make deploy-tools",
    "cargo build --locked -p trainspot-cli",
    "sam build",
    "trainspot push pipelines/recommender.toml",
    "aws s3 sync <folder with Parquet files> s3://<DataBucketName>/interactions/",
    "printf '' | aws s3 cp - s3://<DataBucketName>/interactions/_READY",
}
# Lines that ask what is wrong: exit 1 says that something is.
DOCTOR = {"trainspot doctor", "trainspot doctor --stack trainspot"}
# Made in the checkout already, with WALK_BUILT=1: the line, and what stands for it.
BUILT = {
    "make deploy-tools": (".venv-aws", ".venv-sam", ".venv-cargo-lambda"),
    "cargo build --locked -p trainspot-cli": ("target/debug/trainspot",),
    "sam build": (".aws-sam",),
}
NO_ENGINE = "no container engine, and no registry to take a base from"
NOT_HERE = {
    "make image BASE=docker.io/library/python:3.11-slim@sha256:<its digest>": (
        f"{NO_ENGINE}: only `make --dry-run` of it; `make image-test` builds both images"
    ),
    "aws ecr get-login-password | docker login --username AWS --password-stdin <ImageRepositoryUri>": (
        "no container engine: `aws ecr get-login-password` alone"
    ),
    "docker tag trainspot-trainer:gpu <ImageRepositoryUri>:first": NO_ENGINE,
    "docker push <ImageRepositoryUri>:first": f"{NO_ENGINE}: a manifest is put into moto's registry by its digest",
}


class Failed(Exception):
    """The walk cannot go on."""


@dataclass
class Walk:
    """A person in a fresh clone, with a shell that keeps what was exported."""

    clone: Path
    account: Account
    is_built: bool
    environment: dict[str, str] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)
    doctors: list[dict[str, tuple[str, str]]] = field(default_factory=list)
    n_deployments: int = 0

    def __post_init__(self) -> None:
        # Nothing of whoever runs the walk but where programs and caches are.
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME") if name in os.environ
        }
        address = self.account.url.replace("localhost", "127.0.0.1")
        self.environment = kept | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_ENDPOINT_URL": self.account.url,
            # By a number, so that trainspot's SDK does not put a bucket's name in front of it. For sam by name,
            # since moto finds a template by its address.
            "AWS_ENDPOINT_URL_S3": address,
            "SAM_CLI_TELEMETRY": "0",
            "CARGO_INCREMENTAL": "0",
            "TERM": "dumb",
        }

    def step(self, command: str) -> None:
        """One line of README."""
        print(f"\n$ {command}", flush=True)
        if command.startswith("export "):
            self.export(self.fill(command))
        elif command == DEPLOY:
            self.deploy()
        elif command in NOT_HERE:
            print(f"  NOT HERE: {NOT_HERE[command]}")
            self.stand_in(command)
        elif self.is_built and command in BUILT:
            print(f"  BUILT ALREADY: {', '.join(BUILT[command])} of this checkout")
            self.take(BUILT[command])
        elif command in DOCTOR:
            self.ask_doctor(command)
        elif command in AS_WRITTEN:
            self.run(self.fill(command))
        else:
            raise Failed(f"README has a line that the walk does not know: {command}")

    def fill(self, command: str) -> str:
        """With the outputs of the stack, and what only a person knows."""
        if not BLANK.search(command):
            return command
        return filled(command, self.outputs() | {"folder with Parquet files": str(self.clone.parent / "data")})

    def outputs(self) -> dict[str, str]:
        """What `sam deploy` printed at its end."""
        (stack,) = self.account.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}

    def run(self, command: str, answers: str = "", exits: tuple[int, ...] = (0,)) -> str:
        """In a shell, in the clone; gives what it printed, and shows its last lines."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self.clone,
            env=self.environment,
            input=answers,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        print("".join(f"  {line}\n" for line in done.stdout.splitlines()[-12:]), end="", flush=True)
        if done.returncode not in exits:
            raise Failed(f"exit {done.returncode} of: {command}\n{done.stdout}")
        return done.stdout

    def export(self, command: str) -> None:
        """What the line sets stays set for those after it."""
        said = subprocess.run(
            ["bash", "-e", "-c", f"{command}\nenv -0"],
            cwd=self.clone,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        pairs = (one.partition("=") for one in said.stdout.split("\0") if one)
        shells_own = {"_", "PWD", "OLDPWD", "SHLVL"}
        self.environment |= {name: value for name, _, value in pairs if name not in shells_own}

    def take(self, names: tuple[str, ...]) -> None:
        """What was made in the checkout, under the clone's own names."""
        for name in names:
            made, here = ROOT / name, self.clone / name
            if not made.exists():
                raise Failed(f"WALK_BUILT=1, and {made} is not there")
            here.parent.mkdir(parents=True, exist_ok=True)
            if name == ".aws-sam":
                shutil.copytree(made, here)
            else:
                here.symlink_to(made.resolve())

    def deploy(self) -> None:
        """`sam deploy --guided`, with what a person answers; the questions are looked at."""
        self.n_deployments += 1
        own = {"NotificationEmail": ADDRESS} if self.n_deployments == 1 else {"ImageUri": self.image()}
        parameters = self.parameters()
        answers = ["", "", *(own.get(name, "") for name in parameters), *([""] * QUESTIONS_AFTER)]
        print(
            f"  ANSWERED: {', '.join(f'{name} = {value}' for name, value in own.items())}; return for all others"
        )
        said = self.run(f"unset AWS_ENDPOINT_URL_S3; {DEPLOY}", "".join(f"{answer}\n" for answer in answers))
        asked = re.findall(r"Parameter (\w+) \[", said)
        if asked != parameters:
            raise Failed(f"sam asked for {asked}, and the template has {parameters}")

    def parameters(self) -> list[str]:
        """In the order in which sam asks for them: the template's."""
        text = (self.clone / "template.yaml").read_text()
        section = text.partition("\nParameters:\n")[2].partition("\nRules:\n")[0]
        return re.findall(r"^  (\w+):$", section, re.MULTILINE)

    def image(self) -> str:
        """What README says to answer: the repository, and the digest that the push printed."""
        if not self.digests:
            raise Failed("nothing was pushed")
        return f"{self.outputs()[REPOSITORY_BLANK]}@{self.digests[-1]}"

    def stand_in(self, command: str) -> None:
        """As much of it as there can be."""
        if command.startswith("make image"):
            base = command.replace("<its digest>", "0" * 64)
            dry = self.run(base.replace("make ", "make --dry-run ", 1))
            if "--target gpu --tag trainspot-trainer:gpu" not in dry:
                raise Failed("`make image` does not make the image that README tags")
        elif command.startswith("aws ecr get-login-password"):
            self.run("aws ecr get-login-password > /dev/null")
        elif command.startswith("docker push"):
            self.put_image()

    def put_image(self) -> None:
        """An image for amd64 with no layers: doctor looks at it, and no container ever starts."""
        repository = self.outputs()[REPOSITORY_BLANK].partition("/")[2]
        config = hashlib.sha256(b"{}").hexdigest()
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": 2,
                "digest": f"sha256:{config}",
            },
            "layers": [],
        }
        text = json.dumps(manifest)
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        self.account.client("ecr").put_image(
            repositoryName=repository, imageManifest=text, imageTag="first", imageDigest=digest
        )
        print(f"  digest: {digest}")
        self.digests.append(digest)

    def ask_doctor(self, command: str) -> None:
        """As written; its table is kept for the judge."""
        self.doctors.append(table(self.run(command, exits=(0, 1))))


def table(said: str) -> dict[str, tuple[str, str]]:
    """What doctor found: by check, the verdict and the first line of what it saw."""
    rows = re.findall(r"^│ (ok|warn|BAD|unknown)\s+(\S.*?)\s{2,}(\S.*?)\s*│$", said, re.MULTILINE)
    if not rows:
        raise Failed(f"doctor shows no table:\n{said}")
    return {check: (verdict, what) for verdict, check, what in rows}


def cloned(folder: Path) -> Path:
    """The repository as somebody else gets it: what is committed, and nothing besides."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def in_an_empty_folder(walk: Callable[[Path], None]) -> None:
    """Kept when the walk fails, for a look."""
    folder = Path(tempfile.mkdtemp(prefix="trainspot-walk-"))
    walk(folder)
    shutil.rmtree(folder)
