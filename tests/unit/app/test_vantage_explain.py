"""Hosts that an agent contacts in addition to its targets, listed before any contact."""

from pathlib import Path

from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.health.gateway import Gateway
from netwatch.agent.record_file import write_record
from netwatch.app.transports import endpoints, uplink_addresses
from netwatch.app.vantage_explain import list_contacts
from netwatch.app.vantage_files import enrollment_path
from netwatch.config import Config, parse_config
from netwatch.model.measurement import Target

FAR, HERE = Target("far", "tcp", "192.0.2.1"), Target("here", "tcp", "127.0.0.1")


def read(folder: Path, text: str = "") -> Config:
    return parse_config(f'data = "{folder}"\n{text}')


def contacts(config: Config, folder: Path, *targets: Target) -> list[tuple[str, str]]:
    """Return purpose and address of all contacts of a machine with a router and a resolver."""
    resolvers = folder / "resolv.conf"
    resolvers.write_text("# ours\nnameserver 192.0.2.53\noptions edns0\nnameserver 2001:db8::53\n")
    gateways = {4: Gateway("eth0", "192.0.2.254"), 6: Gateway("ppp0")}
    listed = list_contacts(config, targets, find_gateways=lambda: gateways, resolv_conf=resolvers)
    assert all(one.when for one in listed)
    return [(one.purpose, one.address) for one in listed]


def test_an_enrolled_agent_lists_endpoints_list_time_router_and_resolvers(
    tmp_path: Path,
) -> None:
    config = read(tmp_path)
    brokers = ("mqtts://a.example", "wss://b.example")
    enrolled = Enrollment("https://c.example", "00" * 32, "22" * 32, "11" * 32, brokers)
    write_record(enrollment_path(config), enrolled)
    assert contacts(config, tmp_path, FAR) == [
        ("uplink", "a.example:8883"),
        ("uplink", "b.example:443"),
        ("uplink", "c.example:443"),
        ("list", "https://c.example/v1/targets"),
        ("time", "https://c.example"),
        ("enrollment", "https://c.example"),
        ("router", "192.0.2.254"),
        ("resolver", "192.0.2.53"),
        ("resolver", "2001:db8::53"),
    ]


def test_every_host_of_every_uplink_is_listed_without_reading_secrets(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """
        [[uplink]]
        urls = ["mqtts://a.example", "mqtts://b.example:8884"]
        password = "$NOT_SET_ANYWHERE"
        [[uplink]]
        urls = ["https://192.0.2.9/agents"]
        """,
    )
    assert contacts(config, tmp_path, HERE) == [
        ("uplink", "a.example:8883"),
        ("uplink", "b.example:8884"),
        ("uplink", "192.0.2.9:443"),
        ("time", "https://192.0.2.9/agents"),
        ("resolver", "192.0.2.53"),
        ("resolver", "2001:db8::53"),
    ]


def test_loopback_targets_need_neither_router_nor_resolver(tmp_path: Path) -> None:
    assert contacts(read(tmp_path), tmp_path, HERE) == [("uplink", "127.0.0.1:1883")]
    assert not list(tmp_path.glob("broker.password")), "listing contacts creates no file"


def test_listed_addresses_are_those_in_use(tmp_path: Path) -> None:
    config = read(tmp_path, '[[uplink]]\nurls = ["ws://localhost", "wss://a.example"]')
    used = [(endpoint.transport, endpoint.host) for endpoint in endpoints(config)]
    assert [(one.name, one.host) for one in uplink_addresses(config, None)] == used
