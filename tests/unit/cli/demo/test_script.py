from __future__ import annotations

from resilient_ai.cli.demo.play import FAST_CALLS, Options
from resilient_ai.cli.demo.script import SCRIPT, Phase, arrivals, script, total_seconds
from resilient_ai.cli.demo.tickets import MODEL, TICKETS, data_file, load_tickets
from resilient_ai.core.clock import seeded


def test_the_script_goes_from_health_through_every_fault_back_to_health() -> None:
    faults = [phase.fault for phase in SCRIPT]
    assert faults == ["none", "none", "rate_limit", "error", "refuse", "stall", "none"]
    assert SCRIPT[0].latency == SCRIPT[-1].latency < SCRIPT[1].latency


def test_the_whole_script_takes_less_than_a_minute_and_the_fast_one_less_than_twenty_seconds() -> None:
    assert total_seconds(script()) < 60 - 10
    assert total_seconds(script(fast=True)) < 20 - 5


def test_the_fast_script_differs_in_nothing_but_lengths() -> None:
    for long, short in zip(script(), script(fast=True), strict=True):
        assert (long.name, long.fault, long.share, long.latency) == (
            short.name,
            short.fault,
            short.share,
            short.latency,
        )
        assert short.seconds < long.seconds


def test_arrivals_are_in_order_within_the_time_and_decided_by_the_seed() -> None:
    due = arrivals(500, 10.0, seeded(3))
    assert due == sorted(due)
    assert 0 <= due[0] < due[-1] < 10.0
    assert due == arrivals(500, 10.0, seeded(3)) != arrivals(500, 10.0, seeded(4))


def test_latencies_stay_within_their_bounds_and_lean_to_the_quick_side() -> None:
    phase = Phase("any", "", 1.0, latency=(1.0, 3.0))
    chance = seeded(1)
    drawn = sorted(phase.answer_seconds(chance) for _ in range(500))
    assert 1.0 <= drawn[0] < drawn[-1] <= 3.0
    assert drawn[250] < 2.0


def test_a_fault_meets_its_share_of_the_requests() -> None:
    phase = Phase("any", "", 1.0, "error", share=0.9)
    chance = seeded(1)
    assert 850 < sum(phase.strikes(chance) for _ in range(1000)) < 950


def test_a_phase_without_a_fault_meets_nobody() -> None:
    assert not any(SCRIPT[0].strikes(seeded(n)) for n in range(100))


def test_there_are_several_hundred_tickets_and_no_two_are_the_same() -> None:
    tickets = load_tickets()
    assert len({ticket.text for ticket in tickets}) == len(tickets) >= 500
    assert len({ticket.expected.queue for ticket in tickets}) == 8


def test_the_demo_finds_its_files() -> None:
    assert data_file(TICKETS).stat().st_size > 10_000
    assert data_file(MODEL).read_bytes()[:4] == b"GGUF"


def test_a_real_provider_is_asked_little_unless_more_is_wanted() -> None:
    folder = data_file(TICKETS).parent

    def options(provider: str | None, calls: int | None) -> Options:
        return Options(1, True, provider, calls, folder / "log", folder / "spans")

    assert options("openai:gpt-5.2", None).count == 60
    assert options("openai:gpt-5.2", 5).count == 5
    assert options(None, None).count == FAST_CALLS
