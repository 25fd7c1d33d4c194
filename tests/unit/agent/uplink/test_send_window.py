"""The window of batches in flight, and the backlog's share of the rate."""

from netwatch.agent.uplink.send_window import InFlightWindow, backlog_rate


def test_the_backlog_gets_a_quarter_of_the_lower_rate() -> None:
    assert backlog_rate(16.0, None) == 4.0
    assert backlog_rate(16.0, 2.0) == 0.5
    assert backlog_rate(16.0, 1000.0) == 4.0
    assert backlog_rate(16.0, 0.0) == 0.0


def test_time_since_ack_starts_with_the_first_unacknowledged_batch() -> None:
    window = InFlightWindow(timeout=60)
    window.reset(0)
    assert window.time_since_ack(500) == 0
    window.sent(1, 500)
    window.sent(2, 540)
    assert window.time_since_ack(560) == 60
    window.ack(1, 1, 570)
    assert window.time_since_ack(600) == 30
    window.ack(2, 2, 610)
    assert window.time_since_ack(900) == 0


def test_the_timeout_doubles_to_a_quarter_of_an_hour() -> None:
    window = InFlightWindow(timeout=60)
    now, timeouts = 0.0, []
    for _ in range(6):
        window.sent(1, now)
        timeouts.append(window._sent[1].resend_at - now)
        now = window._sent[1].resend_at
        assert window.in_flight(now - 1) == {1}
        assert window.in_flight(now) == set()
    assert timeouts == [60, 120, 240, 480, 900, 900]
