"""A trainer that hangs says where."""

import subprocess
import sys

HANGS = """
import threading, time

def waits_for_the_loader():
    while True:
        time.sleep(0.01)
"""
ON_SIGQUIT = """
import os, signal
from trainer.signals import Requests

Requests().listen()
threading.Thread(target=waits_for_the_loader, daemon=True).start()
os.kill(os.getpid(), signal.SIGQUIT)
print("goes on")
"""
ON_A_STALL = """
from trainer.watchdog import Watchdog

with Watchdog(0.1, lambda why: None):
    waits_for_the_loader()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own: both would end or write over this one."""
    command = [sys.executable, "-c", HANGS + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_sigquit_writes_the_stacks_of_all_threads_and_the_trainer_goes_on() -> None:
    ended = run(ON_SIGQUIT)

    assert (ended.returncode, ended.stdout) == (0, "goes on\n")
    assert "waits_for_the_loader" in ended.stderr


def test_the_watchdog_writes_the_stacks_before_it_ends_a_stalled_training() -> None:
    ended = run(ON_A_STALL)

    assert ended.returncode == 74
    assert "waits_for_the_loader" in ended.stderr
