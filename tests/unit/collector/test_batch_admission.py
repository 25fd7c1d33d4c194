"""Which batches of a load are decoded first."""

from netwatch.collector.admission import Envelope, admit
from netwatch.collector.agent_tables import Standing
from netwatch.protocols import Message


def envelope(sender: str, cost: int, standing: Standing) -> Envelope:
    return Envelope(Message("topic", b""), b"", b"k", sender, standing, cost)


def test_costly_batches_of_a_stranger_wait_behind_the_others() -> None:
    costly = [envelope("x", 50, Standing.OPEN) for _ in range(20)]
    small = [envelope(f"a{number}", 1, Standing.OPEN) for number in range(10)]
    now, later = admit([*costly, *small], budget=1_000)
    assert [one.sender for one in now] == ["x"] * 4 + [one.sender for one in small]
    assert later == costly[4:]


def test_agents_that_never_enrolled_fill_a_quarter_of_a_load() -> None:
    for standing, admitted in ((Standing.ENROLLED, 20), (Standing.OPEN, 5), (Standing.NEW, 5)):
        now, later = admit([envelope("x", 50, standing)] * 30, budget=1_000)
        assert (len(now), len(later)) == (admitted, 30 - admitted)


def test_one_batch_is_always_decoded() -> None:
    assert len(admit([envelope("x", 5_000, Standing.OPEN)] * 2, budget=1_000)[0]) == 1
