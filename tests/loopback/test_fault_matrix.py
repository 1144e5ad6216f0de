"""Every fault of the catalogue, sync and async, whole and streamed, ends as an ideal client would end it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from bench.faults import UNSEEN, cells, meet

from resilient_ai.testing import FaultServer
from resilient_ai.testing.fault_server.catalogue import CATALOGUE


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.mark.parametrize("fault", sorted(set(CATALOGUE) - UNSEEN))
def test_a_fault_is_met_as_an_ideal_client_would(server: FaultServer, fault: str) -> None:
    ways = cells(server, [fault])
    with ThreadPoolExecutor(len(ways)) as pool:
        met = [ending.result() for ending in [pool.submit(meet, server, *way) for way in ways]]
    bad = [
        f"{cell.colour} {cell.mode}: ideal {cell.ideal}, got {cell.got} ({cell.detail})"
        for cell in met
        if not cell.good
    ]
    assert bad == []
    assert met


@pytest.mark.parametrize(
    "fault", ["stall-no-response", "stall-before-first-token", "stall-mid-stream", "slow-drip"]
)
@pytest.mark.parametrize("mode", ["json", "stream"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_server_sees_the_connection_close_when_the_time_is_up(
    server: FaultServer, fault: str, mode: str, colour: str
) -> None:
    before = len([one for one in server.requests(fault) if one.hung_up])
    meet(server, fault, colour, mode, "deadline")  # type: ignore[arg-type]  # literals by parametrisation
    server.wait_for_hang_up(fault, count=before + 1)


def test_neither_key_nor_prompt_follows_a_redirect_to_another_origin(server: FaultServer) -> None:
    for way in cells(server, ["redirect-cross-origin"]):
        meet(server, *way)
    assert server.requests("leak") == []
