"""What happens on a manual clock at the end of a run."""

from __future__ import annotations

import asyncio

from resilient_ai.testing import ManualClock


def test_threads_that_a_run_leaves_cost_no_time_at_its_end() -> None:
    """A loop waits five minutes at most for the threads of its executor; this one must not jump over them."""
    clock = ManualClock()

    async def main() -> int:
        return await asyncio.to_thread(int, "7")

    assert [clock.run(main()) for _ in range(20)] == [7] * 20
    assert clock.now() == 0
