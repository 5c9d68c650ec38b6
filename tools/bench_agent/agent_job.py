"""The documents of a run whose only stage one agent is about to work (`shared/src/job.rs`)."""

from __future__ import annotations

import hashlib
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from bench_agent.server import Server

STAGE = "evaluate"
# What the agent writes beside the program's output begins so: the manifest, its record, and what it
# took off the host before the output counted (`shared/src/layout.rs`).
OWN = ("MANIFEST.json", "attempt.json", "unpublished/")
FIRST_TICK = datetime(2026, 11, 23, tzinfo=UTC)
ticks = itertools.count()


class AgentJob:
    """A run of its own for each transfer."""

    def __init__(self) -> None:
        """Draws no clock: ticks count up."""
        tick = FIRST_TICK + timedelta(minutes=next(ticks))
        self.run_id = f"bench-{tick:%Y%m%dT%H%MZ}"
        self.state = f"state/bench/{self.run_id}"
        self.results = f"results/bench/{self.run_id}/{STAGE}/1-1/"

    def lay(self, server: Server, program: list[str], dataset_prefix: str | None) -> dict[str, str]:
        """Grants the stage to submission 1, and answers what Batch would tell the agent."""
        client = server.client()

        def put(key: str, document: Any) -> bytes:
            body = json.dumps(document).encode()
            client.put_object(Bucket=server.bucket, Key=key, Body=body)
            return body

        head = {
            "schema": 1,
            "version": 1,
            "write_id": "grant",
            "owner": {"submission": 1},
            "base": 1,
        }
        put(f"{self.state}/{STAGE}/head.json", head)
        job = {
            "schema": 1,
            "run_id": self.run_id,
            "stage": STAGE,
            "submission": 1,
            "base": 1,
            "market": "spot",
            "program": program,
            "params": {},
        }
        if dataset_prefix is not None:
            key = f"{self.state}/dataset.json"
            body = put(key, pinned(server, dataset_prefix))
            job["dataset"] = {"key": key, "sha256": hashlib.sha256(body).hexdigest()}
        put(f"{self.state}/{STAGE}/job-1.json", job)
        return {
            "TRAINSPOT_JOB": f"s3://{server.bucket}/{self.state}/{STAGE}/job-1.json",
            "AWS_BATCH_JOB_ID": "bench",
            "AWS_BATCH_JOB_ATTEMPT": "1",
        }

    def is_published(self, server: Server) -> bool:
        """Whether the stage's head points to the output."""
        got = server.client().get_object(
            Bucket=server.bucket, Key=f"{self.state}/{STAGE}/head.json"
        )
        return json.load(got["Body"]).get("output", {}).get("prefix") == self.results


def pinned(server: Server, prefix: str) -> dict[str, Any]:
    """The dataset document of all that lies under a prefix."""
    pages = server.client().get_paginator("list_objects_v2")
    listed = [
        {"key": item["Key"], "size": item["Size"], "etag": item["ETag"]}
        for page in pages.paginate(Bucket=server.bucket, Prefix=prefix)
        for item in page.get("Contents", [])
    ]
    return {"schema": 1, "bucket": server.bucket, "prefix": prefix, "objects": listed}
