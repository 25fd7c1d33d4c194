"""Uplink endpoints of a configuration: their order, and one clear line for a bad address."""

from pathlib import Path

import pytest

from netwatch.agent.enrollment_client import Enrollment
from netwatch.app.transports import broker_connector, broker_url, endpoints
from netwatch.config import BrokerConfig, Config, parse_config
from netwatch.model.errors import ConfigError
from netwatch.protocols import Message
from netwatch.wire.https import HttpsTransport
from netwatch.wire.mqtt import MqttTransport

WILL = Message("nw/v1/a/local/p", b"lost", retained=True)


def read(text: str, folder: Path) -> Config:
    return parse_config(f'data = "{folder}"\n{text}')


def enrolled(*brokers: str, url: str = "https://c.example") -> Enrollment:
    return Enrollment(url, "00" * 32, "22" * 32, "11" * 32, brokers)


def test_each_url_of_each_uplink_is_an_endpoint_in_order(tmp_path: Path) -> None:
    config = read(
        """
        [[uplink]]
        urls = ["mqtts://a.example", "mqtts://b.example:8884"]
        password = "x"
        [[uplink]]
        urls = ["mqtts://a.example:443"]
        alpn = "mqtt"
        [[uplink]]
        urls = ["wss://a.example"]
        [[uplink]]
        urls = ["https://a.example/agents"]
        """,
        tmp_path,
    )
    uplinks = endpoints(config)
    assert [(uplink.transport, uplink.host) for uplink in uplinks] == [
        ("mqtts-8883", "a.example:8883"),
        ("mqtts-8883", "b.example:8884"),
        ("mqtts-443", "a.example:443"),
        ("wss-443", "a.example:443"),
        ("https-443", "a.example:443"),
    ]
    kinds = [type(uplink.make_transport(WILL)) for uplink in uplinks]
    assert kinds == [MqttTransport, MqttTransport, MqttTransport, MqttTransport, HttpsTransport]


def test_without_uplinks_the_broker_is_the_only_endpoint(tmp_path: Path) -> None:
    (uplink,) = endpoints(read("", tmp_path))
    assert uplink.transport == "mqtt-1883"
    (uplink,) = endpoints(read("[broker]\nembedded = false\ntls = true\nport = 8883\n", tmp_path))
    assert uplink.transport == "mqtts-8883"


def test_enrolled_brokers_replace_the_default_broker_and_https_is_last(tmp_path: Path) -> None:
    enrollment = enrolled("mqtts://a.example", url="https://a.example:8443")
    uplinks = endpoints(read("", tmp_path), enrollment)
    assert [uplink.transport for uplink in uplinks] == ["mqtts-8883", "https-8443"]


@pytest.mark.parametrize(
    "bad",
    [
        "gopher://a.example",
        "a.example:8883",
        "mqtts://me:secret@a.example",
        "http://a.example",
        "mqtt://a.example",
        "ws://a.example",
        "mqtt://mosquitto",
        "ws://10.0.0.5",
        "mqtt://8.8.8.8",
        "mqtt://[64:ff9b::808:808]",
        "ws://[not an address",
    ],
)
def test_a_bad_broker_of_an_enrollment_is_skipped_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    uplinks = endpoints(read("", tmp_path), enrolled(bad, "mqtts://b.example"))
    assert [uplink.transport for uplink in uplinks] == ["mqtts-8883", "https-443"]
    (line,) = caplog.messages
    assert bad in line
    assert line.endswith("; skipped")


@pytest.mark.parametrize(
    ("near", "text"),
    [
        ("mqtt://127.0.0.1", ""),
        ("mqtt://mosquitto", "[broker]\ninsecure = true"),
        ("ws://10.0.0.5", "[broker]\ninsecure = true"),
    ],
)
def test_a_named_broker_may_use_plaintext_here_or_where_it_is_allowed(
    tmp_path: Path, near: str, text: str
) -> None:
    assert len(endpoints(read(text, tmp_path), enrolled(near))) == 2


@pytest.mark.parametrize("scheme", ["mqtt", "ws", "http"])
def test_an_uplink_to_another_machine_is_encrypted_or_says_that_it_is_not(
    tmp_path: Path, scheme: str
) -> None:
    text = f'[[uplink]]\nurls = ["{scheme}://a.example:1"]\npassword = "x"\n'
    with pytest.raises(ConfigError, match=r"would send in plaintext; write .* or insecure = true"):
        endpoints(read(text, tmp_path))
    assert endpoints(read(text + "insecure = true", tmp_path))


@pytest.mark.parametrize(
    "host", ["a.example", "10.0.0.5", "127.0.0.1.a.example", "0.0.0.0", "[::]"]
)
def test_the_broker_on_another_machine_needs_tls(tmp_path: Path, host: str) -> None:
    host = host.strip("[]")
    text = f'[broker]\nembedded = false\nhost = "{host}"\npassword = "x"\n'
    for connect in (broker_connector, endpoints):
        with pytest.raises(ConfigError, match="would send in plaintext"):
            connect(read(text, tmp_path))
        for allowed in ("tls = true", "insecure = true"):
            assert connect(read(text + allowed, tmp_path))


def test_an_enrollment_without_a_usable_broker_falls_back_to_https(tmp_path: Path) -> None:
    (uplink,) = endpoints(read("", tmp_path), enrolled("x://y"))
    assert uplink.host == "c.example:443"


def test_only_a_link_with_a_will_resumes_the_session(tmp_path: Path) -> None:
    """A connection check must not disconnect the running agent."""
    (uplink,) = endpoints(
        read('[[uplink]]\nurls = ["mqtts://a.example"]\npassword = "x"', tmp_path)
    )
    guest, agent = uplink.make_transport(None), uplink.make_transport(WILL)
    assert isinstance(guest, MqttTransport)
    assert isinstance(agent, MqttTransport)
    settings = agent._make_client.keywords
    assert guest._make_client.keywords["identifier"] is None
    assert (settings["identifier"], settings["clean_start"]) == ("local", False)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("a.example:8883", "is not scheme://host:port"),
        ("ftp://a.example", "is not scheme://host:port"),
        ("mqtts://", "is not scheme://host:port"),
        ("mqtts://a.example:99999", "is not scheme://host:port"),
        ("mqtts://me:secret@a.example", "is not scheme://host:port"),
        ("http://a.example", "would send in plaintext"),
    ],
)
def test_an_invalid_address_is_reported_in_one_line(tmp_path: Path, url: str, message: str) -> None:
    config = read(f'[[uplink]]\nurls = ["{url}"]\npassword = "x"', tmp_path)
    with pytest.raises(ConfigError, match=message) as caught:
        endpoints(config)
    assert str(caught.value).startswith("uplink[0].urls: ")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bad_file_of_authorities_gives_a_one_line_error(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_text(content)
    text = f'[[uplink]]\nurls = ["mqtts://a.example"]\nca_file = "{path}"\npassword = "x"'
    with pytest.raises(ConfigError, match=r"uplink\[0\]\.ca_file: .*authority\.pem: ") as caught:
        endpoints(read(text, tmp_path))
    assert "\n" not in str(caught.value)


def test_an_uplink_without_addresses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"uplink\[0\]\.urls"):
        read("[[uplink]]\nurls = []", tmp_path)


@pytest.mark.parametrize(
    ("host", "tls", "url"),
    [("broker.example", True, "mqtts://broker.example:1883"), ("::1", False, "mqtt://[::1]:1883")],
)
def test_the_url_of_the_broker_is_valid_for_every_host(host: str, *, tls: bool, url: str) -> None:
    assert broker_url(BrokerConfig(host=host, tls=tls)) == url
