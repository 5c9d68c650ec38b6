"""What a job and its hosts cost in seconds: the inputs of the simulation, each with its source.

`[notes]` is what was assumed before anything was built (a start of four minutes, 3 GB of state over
2.5 Gbps, AWS's two minutes of notice); `[code]` is a constant of this repository; `[worked out]` is
arithmetic. None of them was measured on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3600.0
STATE_GB = 3.0  # [notes]
NETWORK_GB_PER_S = 2.5 / 8  # [notes]
DISK_GB_PER_S = 0.25  # template.yaml: the volume's throughput
COPY_GB_PER_S = 12.0  # [worked out] PCIe 3.0 x16, device to host


@dataclass(frozen=True)
class Costs:
    """Seconds, all of them."""

    work_s: float = 10 * HOUR  # [notes] of computing, undisturbed
    cold_start_s: float = 240.0  # [notes] boot, pull, CUDA, data, compile
    restore_s: float = (
        STATE_GB / NETWORK_GB_PER_S
    )  # [worked out] the checkpoint, fetched by the agent
    stall_s: float = STATE_GB / COPY_GB_PER_S  # [worked out] training stands still for the copy
    write_s: float = STATE_GB / DISK_GB_PER_S  # [worked out] beside training, to the local disk
    ship_s: float = STATE_GB / NETWORK_GB_PER_S  # [worked out] beside training, to S3
    notice_s: float | None = 120.0  # AWS; None: hosts go without a word
    deaf_s: float = 240.0  # a notice before this is not heard: the whole start, the safe side
    poll_s: float = 5.0  # [code] agent: how often it asks for a notice
    sweep_s: float = 1.0  # [code] agent: how often it looks for finished checkpoints
    chunk_s: float = 0.25  # [code] trainer: a signal is looked at between two stretches
    expected_reclaim_s: float = 3 * HOUR  # [code] trainer: its default, whatever the truth is
    epoch_s: float = HOUR / 2  # 20 epochs, the trainer's default
