"""Where a server is: from the configuration, or from one address."""

import pytest

from netwatch.config import parse_config
from netwatch.model.errors import ConfigError
from netwatch.store.influx.dsn import InfluxDsn, dsn_at, dsn_of
from netwatch.store.influx.store import InfluxStore, open_influx


def test_the_configuration_says_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_TOKEN", "s3cret")
    config = parse_config(
        '[store]\nengine = "influx"\nurl = "https://db.example:8086"\ndatabase = "nw"\n'
        'username = "n"\npassword = "$INFLUX_TOKEN"\norganization = "obs"\n'
        'authority = "ca.pem"\npatience = "5s"'
    )
    assert dsn_of(config.store) == InfluxDsn(
        "https://db.example:8086", "nw", "n", "s3cret", "obs", "ca.pem"
    )


def test_an_address_says_the_same() -> None:
    told = dsn_at("http://u%40x:p%2Fw@[::1]:8086/my%20db?organization=obs&authority=ca.pem")
    assert told == InfluxDsn("http://[::1]:8086", "my db", "u@x", "p/w", "obs", "ca.pem")
    assert dsn_at("https://h/db") == InfluxDsn("https://h", "db")


@pytest.mark.parametrize("location", ["data", "ftp://h/db", "http://h", "http:///db", ""])
def test_what_is_no_address_is_refused(location: str) -> None:
    with pytest.raises(ConfigError, match="location is http://user:password@host:8086/database"):
        InfluxStore.at(location)


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"\$NO_SUCH_TOKEN is not set"):
        open_influx(parse_config('[store]\npassword = "$NO_SUCH_TOKEN"').store)


def test_a_url_of_another_kind_is_named() -> None:
    with pytest.raises(ConfigError, match=r"store\.url: 'db:8086'"):
        open_influx(parse_config('[store]\nurl = "db:8086"').store)


def test_messages_never_show_a_secret() -> None:
    assert InfluxDsn("http://user:secret@h:8086/x").place == "http://h:8086"
