"""A blocking read that nobody can hurry is ended by its connection."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from resilient_ai.adopt.watch import IDLE_TICKS, TICK_SECONDS, Watch, last_of
from resilient_ai.core.clock import SYSTEM_CLOCK


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class Network:
    """A connection as httpcore shows it."""

    def __init__(self, connection: socket.socket) -> None:
        self._known = {"socket": connection, "is_readable": False}

    def get_extra_info(self, name: str) -> object:
        return self._known[name]


def read(connection: socket.socket) -> Iterator[bytes]:
    while piece := connection.recv(100):
        yield piece


def test_a_read_to_which_nothing_comes_ends_soon(ends: tuple[socket.socket, socket.socket]) -> None:
    begun = SYSTEM_CLOCK.now()
    assert last_of(read(ends[0]), Network(ends[0])) is None
    assert SYSTEM_CLOCK.now() - begun >= TICK_SECONDS / 2


def test_a_connection_whose_read_has_ended_is_left_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    watch = Watch()
    theirs.send(b"the end")
    watch.end(watch.begin(ours))
    late = watch.begin(theirs)  # when this one is shut down, the time of the other was up
    assert theirs.recv(100) == b""
    assert late.pulled
    assert ours.recv(100) == b"the end"


def test_the_thread_ends_when_there_is_nothing_to_look_at(ends: tuple[socket.socket, socket.socket]) -> None:
    watch = Watch()
    watch.end(watch.begin(ends[0]))
    thread = watch._thread
    assert thread is not None
    thread.join(20 * IDLE_TICKS * TICK_SECONDS)
    assert not thread.is_alive()
    watch.begin(ends[0])
    assert ends[0].recv(100) == b""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_end_what_its_parent_reads(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    watch = Watch()
    brake = watch.begin(ends[0])
    child = os.fork()
    if child == 0:
        os._exit(len(watch._new) + len(watch._old))
    _, status = os.waitpid(child, 0)
    watch.end(brake)
    assert os.waitstatus_to_exitcode(status) == 0
