"""What may be sent right now: the window, and a quarter of the rate for the backlog."""

from netwatch.agent.uplink.send_window import InFlightWindow, backlog_rate


def test_the_backlog_gets_a_quarter_of_the_lower_rate() -> None:
    assert backlog_rate(16.0, None) == 4.0
    assert backlog_rate(16.0, 2.0) == 0.5
    assert backlog_rate(16.0, 1000.0) == 4.0
    assert backlog_rate(16.0, 0.0) == 0.0


def test_silence_counts_from_the_first_batch_that_nobody_answers() -> None:
    flight = InFlightWindow(patience=60)
    flight.begin(0)
    assert flight.silence(500) == 0
    flight.note(1, 500)
    flight.note(2, 540)
    assert flight.silence(560) == 60
    flight.forget(1, 1, 570)
    assert flight.silence(600) == 30
    flight.forget(2, 2, 610)
    assert flight.silence(900) == 0


def test_patience_doubles_to_a_quarter_of_an_hour() -> None:
    flight = InFlightWindow(patience=60)
    now, waits = 0.0, []
    for _ in range(6):
        flight.note(1, now)
        waits.append(flight.sent[1].resend_at - now)
        now = flight.sent[1].resend_at
        assert flight.waiting(now - 1) == {1}
        assert flight.waiting(now) == set()
    assert waits == [60, 120, 240, 480, 900, 900]
