"""Secrets come from the environment where the configuration only names them."""

import pytest

from netwatch.model.errors import ConfigError
from netwatch.secret import resolve_secret


def test_a_secret_is_itself_or_what_a_variable_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NW_TOKEN", "pa$$word")
    assert resolve_secret("plain", key="k") == "plain"
    assert resolve_secret("", key="k") == ""
    assert resolve_secret("$NW_TOKEN", key="k") == "pa$$word"


@pytest.mark.parametrize("name", ["$NW_NOT_SET", "$NW_EMPTY"])
def test_a_variable_that_holds_nothing_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("NW_EMPTY", "")
    with pytest.raises(ConfigError, match=rf"store\.password: \{name} is not set"):
        resolve_secret(name, key="store.password")
