"""How many threads a worker computes with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ONE_THREAD_BELOW_BYTES: Final = 100 * 1000 * 1000
"""A model smaller than this answers in milliseconds on one thread; a second one only waits for the first."""

_CGROUP_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def default_threads(model_bytes: int) -> int:
    """Threads for a model of this size: one for a small one, else every usable core but one.

    ggml's threads spin until the last of them is done, so one core taken by somebody else stalls all of them: measured here, two
    threads on two cores fell from 53 to 2.5 tokens a second as soon as another process ran, one thread from 38 to 28.
    """
    if model_bytes < ONE_THREAD_BELOW_BYTES:
        return 1
    return max(1, usable_cores() - 1)


def usable_cores() -> int:
    """Cores this process may use: those it is bound to, within the quota of its container."""
    # macOS and Windows do not say what a process is bound to.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota(cores)))


def _quota(cores: int) -> int:
    """What the cgroup (version 2) allows, in whole cores; `cores` where there is no limit to read."""
    try:
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        return cores if quota == "max" else int(quota) // int(period)
    except (OSError, ValueError):
        return cores
