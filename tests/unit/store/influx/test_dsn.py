"""Where a server is: from the configuration, or from one address."""

import pytest

from netwatch.config import parse_config
from netwatch.model.errors import ConfigError
from netwatch.plugins import decode_section
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.store import InfluxStore


def test_a_dsn_from_configuration_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "s3cret")
    config = parse_config(
        '[store]\nengine = "influx"\n[stores.influx]\nurl = "https://db.example:8086"\n'
        'database = "nw"\nusername = "n"\npassword = "$INFLUX_TOKEN"\norganization = "obs"\n'
        'ca_file = "ca.pem"\ntimeout = "5s"'
    )
    dsn = decode_section(InfluxDsn, config.stores["influx"]).resolve()
    assert dsn == InfluxDsn("https://db.example:8086", "nw", "n", "s3cret", "obs", "ca.pem")


def test_a_url_gives_the_same_dsn_as_options() -> None:
    parsed = InfluxDsn.parse(
        "http://u%40x:p%2Fw@[::1]:8086/my%20db?organization=obs&ca_file=ca.pem"
    )
    assert parsed == InfluxDsn("http://[::1]:8086", "my db", "u@x", "p/w", "obs", "ca.pem")
    assert InfluxDsn.parse("http://h/db?insecure=true").insecure
    assert InfluxDsn.parse("https://h/db") == InfluxDsn("https://h", "db")


def test_a_token_is_never_sent_in_plaintext_to_another_machine() -> None:
    with pytest.raises(ConfigError, match="url: http://h would send in plaintext"):
        InfluxDsn.parse("http://n:token@h:8086/db")
    with pytest.raises(ConfigError, match="would send in plaintext"):
        InfluxDsn(url="http://10.0.0.5:8086", password="token").resolve()
    assert InfluxDsn(url="http://10.0.0.5:8086", insecure=True).resolve()


@pytest.mark.parametrize("location", ["data", "ftp://h/db", "http://h", "http:///db", ""])
def test_an_invalid_location_is_refused(location: str) -> None:
    with pytest.raises(ConfigError, match="location is http://user:password@host:8086/database"):
        InfluxStore.at(location)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"\$NO_SUCH_TOKEN is not set"):
        InfluxDsn(password="$NO_SUCH_TOKEN").resolve()


def test_a_url_of_another_kind_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^url: 'db:8086'"):
        InfluxDsn(url="db:8086").resolve()


def test_messages_never_show_a_secret() -> None:
    assert InfluxDsn("http://user:secret@h:8086/x").address == "http://h:8086"
