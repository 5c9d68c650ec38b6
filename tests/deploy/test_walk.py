"""A fresh clone deploys with only the steps that README lists.

`make deploy-walk`; `WALK_BUILT=1 make deploy-walk` takes what was built in this checkout and is through in a
minute or two. It is not in `make test`: `sam build` alone is twenty minutes of work.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from moto_account import CHANGES_FOR_MOTO, Account
from readme import lines
from transforming import DONE_FOR_MOTO, change_sets_as_aws_has_them
from translated import ROOT
from walk import (
    ADDRESS,
    AS_WRITTEN,
    BUILT,
    DEPLOY,
    DOCTOR,
    NAME,
    NOT_HERE,
    Failed,
    Walk,
    cloned,
    in_an_empty_folder,
)

# What `trainspot doctor` calls bad at the end, and why it is moto's.
MOTO_LEAVES_OUT = {
    r"way out": "moto forgets which route table a subnet has",
    r"role, AWSServiceRoleFor(Batch|EC2Spot)": "moto makes no service-linked roles; AWS does at the deployment",
    r"role, (\w+FunctionRole|HostRole)": "moto attaches no managed policies to a role that a stack makes",
    r"queue, \w+": "moto makes no scheduling policies",
    r"rule, OnSweep": "moto keeps a rule's old state through an update",
    r"bucket, \w+, (public access|policy)": "moto keeps neither of a bucket that a stack makes",
}
# Three rows in the trainer's format.
PARQUET = """
import pyarrow, pyarrow.parquet, sys
table = pyarrow.table({"user_id": [1, 1, 2], "item_id": [7, 8, 7], "timestamp": [1, 2, 3]})
pyarrow.parquet.write_table(table, sys.argv[1])
"""


def test_readme_and_walk_know_the_same_lines() -> None:
    """A line of README that is not run, or a line that is run and stands nowhere."""
    written = lines(ROOT / "README.md")
    run = {line for line in written if not line.startswith("export ")}

    assert run == AS_WRITTEN | DOCTOR | set(NOT_HERE) | {DEPLOY}
    assert set(BUILT) <= AS_WRITTEN


def test_an_unknown_line_stops_the_walk(tmp_path: Path) -> None:
    """Whatever somebody adds to README has to be walked."""
    walk = Walk(tmp_path, Account(), is_built=True)

    with pytest.raises(Failed, match="does not know: sam sync"):
        walk.step("sam sync")
    with pytest.raises(Failed, match="exit 3"):
        walk.run("exit 3")
    walk.account.close()


def test_a_fresh_clone_deploys_with_readmes_steps() -> None:
    """From an empty folder to a stack with image, pipeline and data."""
    is_built = os.environ.get("WALK_BUILT") == "1"
    account = Account()
    account.reset()

    def walked(folder: Path) -> None:
        walk = Walk(cloned(folder / "trainspot"), account, is_built)
        (folder / "data").mkdir()
        python = ROOT / ".venv" / "bin" / "python"
        subprocess.run([python, "-c", PARQUET, folder / "data" / "part-0.parquet"], check=True)
        with change_sets_as_aws_has_them() as transformed:
            for line in lines(walk.clone / "README.md"):
                walk.step(line)
            assert transformed.count(NAME) == 2, "each deployment, once"
        tell()
        judge(walk)

    try:
        in_an_empty_folder(walked)
    finally:
        account.close()


def tell() -> None:
    """What moto was helped with, and what nobody can do here."""
    print("\nBeside README's lines, for moto:")
    for what, reason in (DONE_FOR_MOTO | CHANGES_FOR_MOTO).items():
        print(f"   {what:40}{reason}")
    print('   Not walked: "Confirm the mail that SNS sends", as moto sends none.')


def judge(walk: Walk) -> None:
    """What is there at the end, asked of moto and of doctor."""
    client, outputs = walk.account.client, walk.outputs()
    (stack,) = client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    image = walk.image()
    assert (parameters["ImageUri"], parameters["NotificationEmail"]) == (image, ADDRESS)
    functions = client("lambda").list_functions()["Functions"]
    assert len(functions) == 4
    for function in functions:
        assert function["Environment"]["Variables"]["TRAINSPOT_IMAGE"] == image
        assert function["CodeSize"] > 1 << 20, "what `sam build` built, and no stand-in"
    config = (walk.clone / "samconfig.toml").read_text()
    assert image in config, "a plain `sam deploy` later does not take the image away"

    s3 = client("s3")
    spec = s3.get_object(Bucket=outputs["ResultsBucketName"], Key="pipelines/recommender.toml")["Body"].read()
    assert spec == (walk.clone / "pipelines" / "recommender.toml").read_bytes()
    found = s3.list_objects_v2(Bucket=outputs["DataBucketName"])["Contents"]
    assert [one["Key"] for one in found] == ["interactions/_READY", "interactions/part-0.parquet"]

    before, after = walk.doctors
    assert bad(before) == []
    print("\nWhat doctor calls bad at the end:")
    seen = set()
    for check in bad(after):
        patterns = [pattern for pattern in MOTO_LEAVES_OUT if re.fullmatch(pattern, check)]
        assert patterns, f"{check}: {after[check]}"
        seen |= set(patterns)
        print(f"   {check:45}{MOTO_LEAVES_OUT[patterns[0]]}")
    assert seen == set(MOTO_LEAVES_OUT), "moto has learnt it: take it off the list"
    for check in ("image, ImageUri", "spec, recommender", "template, pipelines, code", "data, recommender"):
        assert after[check][0] == "ok", f"{check}: {after[check]}"


def bad(found: dict[str, tuple[str, str]]) -> list[str]:
    """The checks of what would keep a run from ending well."""
    return [check for check, (verdict, _) in found.items() if verdict == "BAD"]
