"""Whether every byte arrived: looked at after each transfer, outside the measured time."""

from __future__ import annotations

import hashlib
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

from bench_agent.server import Server

CHUNK_BYTES = 1 << 20
# Neither server verifies signatures, and signing ten thousand requests would take most of the time.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=bench/20261201/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}


class NotAllError(Exception):
    """What is missing or different."""


def compare(expected: dict[str, str], found: dict[str, str]) -> None:
    """By name and SHA-256."""
    missing, foreign = expected.keys() - found.keys(), found.keys() - expected.keys()
    different = [name for name in expected.keys() & found.keys() if expected[name] != found[name]]
    for what, names in (("missing", missing), ("foreign", foreign), ("different", different)):
        if names:
            raise NotAllError(f"{len(names)} of {len(expected)} files {what}: {min(names)}")


def without(found: dict[str, str], own: tuple[str, ...]) -> dict[str, str]:
    """Without what a copier keeps beside the files."""
    return {name: digest for name, digest in found.items() if not name.startswith(own)}


def in_folder(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            found[str(path.relative_to(folder))] = digest.hexdigest()
    return found


def in_store(server: Server, prefix: str) -> dict[str, str]:
    """SHA-256 of each object under a prefix, read back whole."""
    pages = server.client().get_paginator("list_objects_v2")
    keys = [
        item["Key"]
        for page in pages.paginate(Bucket=server.bucket, Prefix=prefix)
        for item in page.get("Contents", [])
    ]
    connection = HTTPConnection(server.endpoint.removeprefix("http://"))
    found = {}
    for key in keys:
        connection.request("GET", f"/{server.bucket}/{quote(key)}", headers=SIGNED)
        answer = connection.getresponse()
        digest = hashlib.sha256()
        while chunk := answer.read(CHUNK_BYTES):
            digest.update(chunk)
        if answer.status != 200:
            raise NotAllError(f"reading `{key}` back answered {answer.status}")
        found[key.removeprefix(prefix)] = digest.hexdigest()
    connection.close()
    return found
