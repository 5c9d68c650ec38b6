"""SIGTERM and SIGUSR1 become requests that the training loop looks at between stretches.

A thread waits for them, because a handler would not run while the main thread is inside the
compiler. Outside of training there is nothing to save and SIGTERM ends the process at once.
"""

import faulthandler
import os
import signal
import threading

from trainer.failure import Preempted

WAITED_FOR = {signal.SIGTERM, signal.SIGUSR1}


class Requests:
    """What was asked for since the loop last looked."""

    def __init__(self) -> None:
        self.is_saving_worthwhile = False
        self.stop = threading.Event()
        self.checkpoint = threading.Event()

    def listen(self) -> None:
        """Takes the signals over from Python. Call it before any library starts a thread: a
        thread inherits the mask, and a signal goes to any thread that does not block it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, WAITED_FOR)
        # The agent asks a program that stands still where it hangs, before it ends it.
        faulthandler.register(signal.SIGQUIT, all_threads=True)
        threading.Thread(target=self.wait, name="signals", daemon=True).start()

    def wait(self) -> None:
        """Runs for ever on its own thread."""
        while True:
            if signal.sigwait(WAITED_FOR) == signal.SIGUSR1:
                self.checkpoint.set()
            elif self.is_saving_worthwhile:
                self.stop.set()
            else:
                os._exit(Preempted.exit_code)
