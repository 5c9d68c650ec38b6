"""The loop of docs/operations.md that empties a bucket, run as it stands against moto's S3."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from moto_account import Account
from translated import ROOT

# More than one page of a listing, which is a thousand, versions and markers together.
N_OBJECTS = 600
AWS = ROOT / ".venv-aws" / "bin"


def loop() -> str:
    """The block's part for buckets, before that for job definitions, which moto keeps by its own rules."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("**Tear down.**")[2].partition("\n## ")[0]
    (block,) = [
        block
        for block in re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        if "rm versions" in block
    ]
    return block.partition("for DEFINITION")[0]


@pytest.mark.parametrize("is_versioned", [True, False])
def test_a_bucket_with_versions_and_markers_goes(tmp_path: Path, is_versioned: bool) -> None:
    """Two pages of versions, and markers where they were deleted; no bucket is left."""
    account = Account()
    account.reset()
    s3 = account.client("s3")
    for bucket in ("results", "data"):
        s3.create_bucket(Bucket=bucket)
        if is_versioned:
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for n in range(N_OBJECTS):
        s3.put_object(Bucket="results", Key=f'state/it\'s "{n}".json', Body=b"1")
        s3.put_object(Bucket="results", Key=f'state/it\'s "{n}".json', Body=b"2")
    s3.delete_object(Bucket="results", Key='state/it\'s "0".json')

    text = loop().replace("<ResultsBucketName>", "results").replace("<DataBucketName>", "data")
    done = subprocess.run(
        ["bash", "-e", "-c", text],
        cwd=tmp_path,
        env={
            "PATH": f"{AWS}:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": account.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert s3.list_buckets()["Buckets"] == []
    assert list(tmp_path.iterdir()) == []
    account.close()
