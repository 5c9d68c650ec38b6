"""How a contender is asked: it says what it knows, then runs a round for each line that it reads.

So rounds of all contenders can be taken in turns, and a noisy neighbour hits all of them.
"""

import json
import sys
from collections.abc import Callable
from typing import Any


def serve(known: dict[str, Any], one: Callable[[], float]) -> None:
    """Speaks until its input ends."""
    print(json.dumps(known), flush=True)  # noqa: T201
    for _ in sys.stdin:
        print(json.dumps({"samples_per_s": one()}), flush=True)  # noqa: T201
