"""A contestant: boto3's transfer manager over a whole prefix, as its documentation uses it.

python boto3_copy.py (up|down) BUCKET PREFIX FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import boto3
from botocore.config import Config
from s3transfer.manager import TransferConfig, TransferManager

# The default of both classes, said aloud.
REQUESTS_AT_ONCE = 10


def main() -> None:
    """One direction, whole process."""
    direction, bucket, prefix, folder = sys.argv[1:]
    client = boto3.client("s3", config=Config(max_pool_connections=REQUESTS_AT_ONCE))
    config = TransferConfig(max_request_concurrency=REQUESTS_AT_ONCE)
    transfers, root = [], Path(folder)
    with TransferManager(client, config) as manager:
        if direction == "up":
            for path in root.rglob("*"):
                if path.is_file():
                    key = f"{prefix}{path.relative_to(root)}"
                    transfers.append(manager.upload(str(path), bucket, key))
        else:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for listed in (item for page in pages for item in page.get("Contents", [])):
                path = root / listed["Key"].removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                transfers.append(manager.download(bucket, listed["Key"], str(path)))
        for transfer in transfers:
            transfer.result()


if __name__ == "__main__":
    main()
