"""Cancels a coroutine at a chosen await point."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class CancelledAt(Generic[T]):
    """Runs a coroutine and cancels its task at the n-th point where it really suspends."""

    def __init__(self, work: Coroutine[Any, Any, T], point: int, times: int = 1) -> None:
        self.work = work
        self.point = point
        self.times = times
        self.points = 0

    def __await__(self) -> Generator[Any, Any, T]:
        inner = self.work.__await__()
        failure: BaseException | None = None
        while True:
            try:
                waited_for = next(inner) if failure is None else inner.throw(failure)
            except StopIteration as stop:
                return cast("T", stop.value)
            self.points += 1
            if self.point <= self.points < self.point + self.times:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            failure = None
            try:
                yield waited_for
            except BaseException as thrown:  # noqa: BLE001 - handed on to the coroutine
                failure = thrown
