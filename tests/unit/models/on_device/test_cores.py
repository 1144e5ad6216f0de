from __future__ import annotations

import os
from pathlib import Path

import pytest

from resilient_ai.models.on_device import cores


def _with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, affinity: int, quota: str | None) -> None:
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(quota)
    monkeypatch.setattr(cores, "_CGROUP_QUOTA", file)

    def sched_getaffinity(_pid: int) -> set[int]:
        return set(range(affinity))

    monkeypatch.setattr(os, "sched_getaffinity", sched_getaffinity, raising=False)


@pytest.mark.parametrize(
    ("affinity", "quota", "usable"),
    [
        (8, None, 8),
        (8, "max 100000\n", 8),
        (8, "250000 100000\n", 2),
        (8, "50000 100000\n", 1),
        (2, "800000 100000\n", 2),
        (4, "nonsense", 4),
    ],
)
def test_usable_cores_are_those_bound_within_the_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, affinity: int, quota: str | None, usable: int
) -> None:
    _with(monkeypatch, tmp_path, affinity, quota)

    assert cores.usable_cores() == usable


def test_a_small_model_gets_one_thread_and_a_large_one_leaves_a_core_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _with(monkeypatch, tmp_path, 8, None)

    assert cores.default_threads(2_000_000) == 1
    assert cores.default_threads(4_000_000_000) == 7
