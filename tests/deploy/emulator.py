"""AWS's own Runtime Interface Emulator, out of the SAM CLI's wheel, around a built function."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from translated import ROOT

EMULATOR = "lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64"
SAM = ROOT / ".venv-sam"
BUILT = ROOT / ".aws-sam" / "build"
PATIENCE_S = 60
INVOKE = "/2015-03-31/functions/function/invocations"


def free_port() -> int:
    """The emulator does not say which it took, so one is looked up for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Emulated:
    """A bootstrap under the emulator, and no more than it: no container, nothing but loopback."""

    def __init__(self, function: str, environment: dict[str, str], log: Path) -> None:
        emulator = next(SAM.glob(EMULATOR))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = log
        command = [
            str(emulator),
            *("--log-level", "error"),
            *("--runtime-interface-emulator-address", self.url.removeprefix("http://")),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
            str(BUILT / function / "bootstrap"),
        ]
        base = {"PATH": "/usr/bin:/bin", "AWS_LAMBDA_FUNCTION_NAME": function}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=base | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                # So that the function ends with the emulator, by the number of their group.
                start_new_session=True,
            )

    def __enter__(self) -> Emulated:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def invoke(self, event: Any) -> Any:
        """The function's answer, or the error that it reports."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        until = time.monotonic() + PATIENCE_S
        while True:
            request = urllib.request.Request(self.url + INVOKE, data=body)
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                told = self.log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"{error.code} {error.read()!r}\n{told}") from error
            except urllib.error.URLError as error:
                # It does not listen yet.
                is_starting = isinstance(error.reason, ConnectionRefusedError)
                if not is_starting or self.process.poll() is not None or time.monotonic() > until:
                    raise
                threading.Event().wait(0.02)
