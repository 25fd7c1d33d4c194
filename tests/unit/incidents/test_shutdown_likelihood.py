import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from labelled_outages import Outage, area_under_curve, country_weights, read_outages

from netwatch.incidents.shutdown_likelihood import shutdown_likelihood
from netwatch.model.incident_details import ShutdownLikelihood, TimingFeature

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_NIGHT = datetime(2021, 2, 18, 18, 30, tzinfo=UTC)  # 01:00 in Yangon.
_MINUTES_5 = timedelta(minutes=5)


def _likelihood(
    started_at: datetime = _NIGHT,
    *,
    width: timedelta = _MINUTES_5,
    before: timedelta = _DAY,
    ended_at: datetime | None = None,
    all_signals: bool | None = True,
) -> ShutdownLikelihood:
    """Return the likelihood of a loss at night, the second one after a day."""
    return shutdown_likelihood(
        started_at.astimezone(ZoneInfo("Asia/Yangon")),
        width=width,
        earlier=(_NIGHT - before,),
        ended_at=ended_at,
        all_signals=all_signals,
    )


def _parts(likelihood: ShutdownLikelihood) -> dict[TimingFeature, float]:
    return {one.feature: one.log_ratio for one in likelihood.evidence}


def test_a_nightly_loss_is_consistent_and_its_parts_add_up() -> None:
    likelihood = _likelihood()
    assert likelihood.resembles_shutdown
    assert likelihood.log_ratio == pytest.approx(sum(_parts(likelihood).values()))
    assert _parts(likelihood)[TimingFeature.RECURS] == pytest.approx(math.log(38.5), abs=0.02)
    assert _parts(likelihood)[TimingFeature.ON_THE_HOUR] == pytest.approx(math.log(2.5))
    assert _parts(likelihood)[TimingFeature.NIGHT] == pytest.approx(math.log(1.5))


def test_a_single_odd_time_is_no_evidence() -> None:
    likelihood = _likelihood(_NIGHT + timedelta(hours=9, minutes=17), all_signals=False)
    assert not likelihood.resembles_shutdown
    assert {one.feature: one.present for one in likelihood.evidence} == dict.fromkeys(
        (
            TimingFeature.RECURS,
            TimingFeature.ON_THE_HOUR,
            TimingFeature.NIGHT,
            TimingFeature.ALL_SIGNALS,
        ),
        False,
    )
    assert _parts(likelihood)[TimingFeature.ALL_SIGNALS] == pytest.approx(math.log(0.09 / 0.42))
    assert _parts(likelihood)[TimingFeature.RECURS] == pytest.approx(math.log(0.58), abs=0.01)


def test_unknown_features_have_no_weight() -> None:
    going_on = _likelihood(all_signals=None)
    assert {
        TimingFeature.ALL_SIGNALS,
        TimingFeature.ROUND_LENGTH,
        TimingFeature.USUAL_LENGTH,
    }.isdisjoint(_parts(going_on))
    coarse = _likelihood(width=_HOUR, ended_at=_NIGHT + 8 * _HOUR)
    assert TimingFeature.ON_THE_HOUR not in _parts(coarse)
    assert TimingFeature.ROUND_LENGTH not in _parts(coarse)
    assert TimingFeature.USUAL_LENGTH in _parts(coarse)


def test_a_duration_counts_once_it_is_known() -> None:
    ended = _likelihood(ended_at=_NIGHT + 8 * _HOUR)
    assert _parts(ended)[TimingFeature.ROUND_LENGTH] > 0
    assert _parts(ended)[TimingFeature.USUAL_LENGTH] > 0
    odd = _likelihood(ended_at=_NIGHT + timedelta(minutes=45))
    assert _parts(odd)[TimingFeature.ROUND_LENGTH] < 0
    assert _parts(odd)[TimingFeature.USUAL_LENGTH] < 0


@pytest.mark.parametrize(
    ("before", "recurs"),
    [(_DAY, True), (4 * _DAY, True), (5 * _DAY, False), (_DAY / 2, False), (-_DAY, False)],
)
def test_recurrence_is_by_whole_days_back_and_never_ahead(
    *, before: timedelta, recurs: bool
) -> None:
    evidence = _likelihood(before=before).evidence[0]
    assert (evidence.feature, evidence.present) == (TimingFeature.RECURS, recurs)


def _likelihoods(outages: list[Outage], *, afterwards: bool) -> list[ShutdownLikelihood]:
    """Return the likelihood of every outage, from what its own scope had shown until then."""
    earlier: dict[str, list[datetime]] = defaultdict(list)
    likelihoods = []
    for one in outages:
        likelihood = shutdown_likelihood(
            one.started_at.astimezone(ZoneInfo(one.zone)),
            width=_MINUTES_5,
            earlier=earlier[one.scope],
            ended_at=one.ended_at if afterwards else None,
            all_signals=one.all_signals,
        )
        likelihoods.append(likelihood)
        earlier[one.scope].append(one.started_at)
    return likelihoods


@pytest.mark.parametrize(
    ("afterwards", "raw", "alike"), [(False, 0.91, 0.70), (True, 0.92, 0.72)], ids=["live", "after"]
)
def test_labelled_outages_are_separated(*, afterwards: bool, raw: float, alike: float) -> None:
    outages = read_outages()
    scores = [one.log_ratio for one in _likelihoods(outages, afterwards=afterwards)]
    labels = [one.directed for one in outages]
    assert (len(outages), sum(labels)) == (1694, 165)
    assert area_under_curve(scores, labels, [1.0] * len(scores)) >= raw
    assert area_under_curve(scores, labels, country_weights(outages)) >= alike


def test_the_description_is_rarely_wrong() -> None:
    outages = read_outages()
    resembles = [one.resembles_shutdown for one in _likelihoods(outages, afterwards=False)]
    right = sum(one.directed for one, is_named in zip(outages, resembles, strict=True) if is_named)
    assert right / sum(resembles) >= 0.93
    assert right / sum(one.directed for one in outages) >= 0.6
