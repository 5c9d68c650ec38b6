"""moto server on a free port of 127.0.0.1, for the tests.

Lays a bucket, a Batch queue and a job definition, and prints one line of JSON that names them and
the endpoint. Ends when its input ends, so that it outlives no test, however that test ends. Its
Batch does without Docker. What it answers is moto's own; how it serves is changed in two ways:

- One request for an object at a time. moto looks at a PutObject's condition and writes in two
  steps, and closes an object that it replaces while others read it. Of 16 writers under
  `If-None-Match: *`, 200 times over, two once wrote, and one of them got a 500. S3 is atomic there.
- Connections are kept open (werkzeug's default is HTTP/1.0: a thread and a connection for each
  request), and the list of moto's modules is read once (it is read from the disk twice for each
  request, which was half of the 2.7 ms that a GET took): thirty thousand requests go through it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from typing import Any

import boto3
from moto import backends
from moto.core.config import default_user_config
from moto.moto_server import werkzeug_app
from moto.s3.responses import S3Response
from werkzeug.serving import make_server


def answer_one_at_a_time() -> None:
    """Makes what moto does with one object atomic, as it is in S3."""
    key_response, lock = S3Response.key_response, threading.Lock()

    def locked(self: S3Response, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return key_response(self, *args, **kwargs)

    S3Response.key_response = locked


def lay(endpoint: str, bucket: str) -> dict[str, str]:
    """Makes what a submitter needs in an account, and says what it is called."""

    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, region_name="us-east-1", endpoint_url=endpoint, **keys)

    client("s3").create_bucket(Bucket=bucket)
    role = client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")
    batch = client("batch")
    hosts = batch.create_compute_environment(
        computeEnvironmentName="hosts", type="UNMANAGED", serviceRole=role["Role"]["Arn"]
    )
    order = [{"order": 1, "computeEnvironment": hosts["computeEnvironmentArn"]}]
    queue = batch.create_job_queue(
        jobQueueName="trainspot", state="ENABLED", priority=1, computeEnvironmentOrder=order
    )
    needs = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}]
    definition = batch.register_job_definition(
        jobDefinitionName="trainspot",
        type="container",
        containerProperties={"image": "trainspot-trainer", "resourceRequirements": needs},
    )
    return {
        "endpoint": endpoint,
        "bucket": bucket,
        "queue": queue["jobQueueArn"],
        "definition": definition["jobDefinitionArn"],
    }


def main() -> None:
    """Serves until its input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    default_user_config["batch"]["use_docker"] = False
    modules = list(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    answer_one_at_a_time()
    handler = werkzeug_app.MotoRequestHandler
    handler.protocol_version = "HTTP/1.1"
    app = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    laid = lay(f"http://127.0.0.1:{server.port}", bucket="trainspot-results")
    print(json.dumps(laid), flush=True)
    # Whoever started it holds the other end.
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
