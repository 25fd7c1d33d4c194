"""Who gives way when a door is full."""

from dataclasses import dataclass, field

from netwatch.app.connection_shares import ConnectionShares, Door, Place, door_of, peer_name


@dataclass
class Client:
    peer: str
    waiting: bool = True
    closed: bool = False
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        self.place = Place(self.peer, lambda: self.waiting, self._close)

    def _close(self) -> None:
        self.closed = True


def filled(count: int = 16, peer: str = "{}") -> tuple[ConnectionShares, list[Client]]:
    shares = ConnectionShares(dict.fromkeys(Door, count))
    clients = [Client(peer.format(number)) for number in range(count)]
    for client in clients:
        assert shares.enter(client.place, Door.HEAD)
    return shares, clients


def test_the_oldest_connection_that_waits_for_its_peer_gives_way() -> None:
    shares, clients = filled()
    clients[0].waiting = False
    assert shares.enter(Client("new").place, Door.HEAD)
    assert [client.closed for client in clients[:3]] == [False, True, False]
    assert len(shares) == 16


def test_a_peer_with_more_than_its_fair_part_gives_way_first() -> None:
    shares, clients = filled()
    for client in clients[8:]:
        shares.leave(client.place)
    greedy = [Client("greedy") for _ in range(8)]
    for client in greedy:
        shares.enter(client.place, Door.HEAD)
    for _ in range(6):
        assert shares.enter(Client("greedy").place, Door.HEAD)
    assert not any(client.closed for client in clients)
    assert sum(client.closed for client in greedy) == 6


def test_a_connection_with_an_accepted_message_gives_way_last() -> None:
    shares, clients = filled()
    for client in clients[:15]:
        client.place.is_proven = True
    assert shares.enter(Client("new").place, Door.HEAD)
    assert [client.closed for client in clients] == [False] * 15 + [True]
    for _ in range(16):
        proven = Client("proven")
        proven.place.is_proven = True
        assert shares.enter(proven.place, Door.HEAD)
    assert len(shares) == 16


def test_a_door_whose_requests_all_wait_for_the_server_is_full() -> None:
    shares, clients = filled()
    for client in clients:
        client.waiting = False
    assert not shares.enter(Client("new").place, Door.HEAD)
    assert not any(client.closed for client in clients)


def test_a_full_door_takes_nothing_from_another() -> None:
    shares, clients = filled()
    pages = [Client("one") for _ in range(16)]
    for client in pages:
        assert shares.enter(client.place, Door.HEAD)
        assert shares.enter(client.place, Door.PAGE)
    assert shares.enter(clients[-1].place, Door.BATCH)
    assert shares.enter(clients[-1].place, Door.CONTROL)
    assert not any(client.closed for client in pages)


def test_a_connection_moves_and_leaves() -> None:
    shares, clients = filled(1)
    assert shares.enter(clients[0].place, Door.HEAD)
    assert shares.enter(clients[0].place, Door.BATCH)
    assert (len(shares), clients[0].closed) == (1, False)
    shares.leave(clients[0].place)
    shares.leave(clients[0].place)
    assert len(shares) == 0


def test_paths_lead_to_their_doors() -> None:
    doors = [door_of(path) for path in ("/v1/batches", "/v1/keys", "/v1/health", "//v1/batches")]
    assert doors == [Door.BATCH, Door.CONTROL, Door.PAGE, Door.PAGE]


def test_a_network_of_one_subscriber_is_one_peer() -> None:
    assert peer_name("2001:db8::1") == peer_name("2001:db8::ffff")
    assert peer_name("2001:db8::1") != peer_name("2001:db8:0:1::1")
    assert peer_name("192.0.2.1") != peer_name("192.0.2.2")
    assert peer_name("unix") == "unix"
