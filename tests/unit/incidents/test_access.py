from datetime import UTC, datetime, timedelta

import pytest

from netwatch.incidents.access import who_kept_access
from netwatch.model.entities import Entity
from netwatch.model.incident_details import SurvivingNetworks
from netwatch.model.series import Level, SeriesKey

_START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
_WIDTH = timedelta(minutes=30)
_BINS = 20
_BIG, _SMALL, _CUT, _SILENT = (Entity.parse(f"asn:{number}") for number in range(64500, 64504))
_WEIGHTS = {_BIG: 3.0, _SMALL: 1.0, _CUT: 12.0, _SILENT: 4.0}


def _levels(entity: Entity, values: list[float | None]) -> list[Level]:
    key = SeriesKey("reachability", entity)
    return [
        Level(_START + index * _WIDTH, key, None)
        if value is None
        else Level(_START + index * _WIDTH, key, value, value - 0.1, value + 0.1)
        for index, value in enumerate(values)
    ]


def _kept(**values: list[float | None]) -> SurvivingNetworks:
    entities = {"big": _BIG, "small": _SMALL, "cut": _CUT, "silent": _SILENT}
    return who_kept_access(
        {entities[name]: _levels(entities[name], row) for name, row in values.items()},
        _WEIGHTS,
        start=_START,
        end=_START + _BINS * _WIDTH,
        width=_WIDTH,
    )


def test_networks_that_stayed_up_are_named_with_their_share() -> None:
    found = _kept(small=[0.7] * _BINS, big=[0.95] * _BINS, cut=[0.03] * _BINS)
    assert [(one.entity, one.share) for one in found.networks] == [(_BIG, 0.15), (_SMALL, 0.05)]
    assert (found.networks[0].level, found.networks[0].low) == pytest.approx((0.95, 0.85))
    assert (found.kept_share, found.unknown_share) == pytest.approx((0.2, 0.2))
    assert found.lost_share == pytest.approx(0.6)


def test_no_data_is_neither_kept_nor_lost() -> None:
    found = _kept(big=[None] * 11 + [1.0] * 9, small=[1.0] * 10, cut=[0.0] * _BINS)
    assert [one.entity for one in found.networks] == [_SMALL]
    assert found.unknown_share == pytest.approx(0.35)


def test_one_low_bin_in_ten_is_borne_two_are_not() -> None:
    assert _kept(big=[0.1] * 2 + [1.0] * 18).networks[0].entity == _BIG
    assert _kept(big=[0.1] * 3 + [1.0] * 17).networks == ()


def test_only_the_cut_itself_counts() -> None:
    levels = {_BIG: _levels(_BIG, [1.0] * 10 + [0.0] * 10)}
    end = _START + 10 * _WIDTH
    found = who_kept_access(levels, {_BIG: 1.0}, start=_START, end=end, width=_WIDTH)
    assert found.kept_share == 1.0


def test_it_refuses_what_has_no_answer() -> None:
    with pytest.raises(ValueError, match="want an end after the start"):
        who_kept_access({}, {_BIG: 1.0}, start=_START, end=_START, width=_WIDTH)
    with pytest.raises(ValueError, match="a weight"):
        who_kept_access({}, {}, start=_START, end=_START + _WIDTH, width=_WIDTH)
