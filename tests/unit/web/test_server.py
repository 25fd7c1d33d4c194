import gzip
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from web_fixtures import Site, check_page

from netwatch.config import PublishConfig
from netwatch.model.amendment import Amendment
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import Incident, IncidentState, RevisionReason
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.publish.language import TEMPLATES, Language
from netwatch.publish.posts import compose_posts

FALL: list[float | None] = [1.0] * 36 + [0.9, 0.69, 0.16] + [0.07] * 10
MakeIncident = Callable[..., Incident]


async def test_front_page_shows_open_incidents_first(
    site: Site, make_incident: MakeIncident
) -> None:
    until = make_incident().at + timedelta(hours=1)
    site.put("country:IR", FALL, until=until)
    site.put("region:IR-23", [1.0] * 20 + [None] * 5, until=until)
    site.ledger.record([make_incident()], [])
    page = check_page(await site.text("/"))
    assert "1 confirmed disruption now: Iran." in page.text
    assert page.text.index("Disruptions now") < page.text.index("Places")
    assert "16 Nov 20:00 local (16:30 UTC)" in page.text
    assert "11 of 12" in page.text
    assert "Data to 17 Nov 06:30 UTC." in page.text
    assert "no data" in page.text
    assert {"href": "/i/NW-IR-2019-0042"} in page.all("a")


async def test_no_disruption_is_stated(site: Site, make_incident: MakeIncident) -> None:
    site.put("country:IR", [1.0] * 30, until=make_incident().at + timedelta(hours=1))
    page = check_page(await site.text("/"))
    assert "No disruption is known now." in page.text
    assert "at ordinary levels" in page.text
    assert "learning" not in page.text


async def test_pages_warn_of_old_data(site: Site, make_incident: MakeIncident) -> None:
    until = make_incident().at + timedelta(hours=1)
    site.put("country:IR", FALL, until=until)
    site.now = until + timedelta(minutes=30)
    assert "may have changed since" not in await site.text("/")
    site.now = until + timedelta(hours=5)
    page = check_page(await site.text("/"))
    assert "Data to 2019-11-17 06:30 UTC, 5 hours old. What is shown may have changed" in page.text


async def test_an_empty_observatory(site: Site) -> None:
    page = check_page(await site.text("/"))
    assert "No measurements have arrived yet." in page.text
    assert "No disruption is known now." in page.text
    site.places = EntityTree()
    async with site.serve() as client:
        page = check_page((await client.get("/")).text)
    assert "No place has been measured yet." in page.text


async def test_a_place_without_a_level_is_still_learning(
    site: Site, make_incident: MakeIncident
) -> None:
    until = make_incident().at
    key = SeriesKey("reachability", Entity.parse("country:IR"))
    bins = [Bin(until - timedelta(minutes=5), key, 90.0, 100.0)]
    site.store.put_bins(bins, closed_until=until)
    page = check_page(await site.text("/"))
    assert "learning what is ordinary" in page.text
    assert "1 place is still learning" in page.text


async def test_places_without_a_description_are_found_in_the_data(
    site: Site, make_incident: MakeIncident
) -> None:
    site.places = EntityTree()
    site.put("region:MM-07", [1.0] * 3, until=make_incident().at)
    async with site.serve() as client:
        page = check_page((await client.get("/")).text)
    assert page.text.index("Myanmar") < page.text.index("MM-07")


async def test_incident_page_shows_the_whole_record(
    site: Site, make_incident: MakeIncident
) -> None:
    site.put("country:IR", FALL, until=make_incident().at + timedelta(hours=1))
    revisions = [
        make_incident(evidence_level=2, progressive_hours=None),
        make_incident(revision=2, reason=RevisionReason.MILESTONE),
    ]
    posts = [
        post
        for incident in revisions
        for post in compose_posts(incident, site.places, PublishConfig(), drill=False)
    ]
    site.ledger.record(revisions, posts)
    text = await site.text("/i/NW-IR-2019-0042")
    page = check_page(text)
    assert "CONFIRMED" in page.text
    assert "at 7% of ordinary levels after 12 hours of progressive disconnections." in page.text
    for fact in (
        "11 of 12 measured",
        "between 16 Nov 15:30 UTC and 16 Nov 17:30 UTC",
        "reachability: agrees, bgp: no data",
        "level 3 of 4: confirmed",
        "not established",
        "hour of week, 28 days, frozen since",
        "IranCell",
        "Data table (38 rows, newest first)",
        "revision 2",
        "milestone",
    ):
        assert fact in page.text
    assert "UNCONFIRMED · Iran" in page.text, "posts are shown as sent"
    assert len(gzip.compress(text.encode())) < 14_000


async def test_zero_gap_and_ordinary_differ(site: Site, make_incident: MakeIncident) -> None:
    until = make_incident().at + timedelta(hours=1)
    site.put("country:IR", [1.0] * 24 + [0.0] * 3 + [None] * 3, until=until)
    site.ledger.record([make_incident()], [])
    text = await site.text("/i/NW-IR-2019-0042")
    rows = re.findall(r'<th scope="row">2019[^<]*</th><td><span class="([^"]+)">([^<]+)', text)
    assert rows[:3] == [("level-nodata", "no data")] * 3
    assert rows[3:6] == [("level-low", "0.0")] * 3
    assert rows[6:] == [("level-ordinary", "100.0")] * 24
    since = (until - timedelta(hours=9)).isoformat().replace("+00:00", "Z")
    series = json.loads(await site.text(f"/v1/timeseries/country/IR?since={since}"))
    assert series["pct"] == [100.0] * 3 + [0.0] * 3 + [None] * 3
    assert series["low"][-1] is None


async def test_incident_as_json_is_the_public_object(
    site: Site, make_incident: MakeIncident
) -> None:
    site.ledger.record([make_incident(), make_incident(revision=2, networks_lost=12)], [])
    newest = json.loads(await site.text("/i/NW-IR-2019-0042.json"))
    assert newest["revision"] == 2
    assert newest["url"] == "https://netwatch.example/i/NW-IR-2019-0042"
    assert newest["percent"] == {"value": 7.0, "low": 4.5, "high": 10.0, "text": "7%"}
    assert newest["started_at"] == "2019-11-16T16:30:00Z"
    assert newest["ended_at"] is None
    first = json.loads(await site.text("/v1/incidents/NW-IR-2019-0042?revision=1"))
    assert first["networks"] == {"lost": 11, "measured": 12}
    await site.text("/v1/incidents/NW-IR-2019-0042?revision=9", 404)
    await site.text("/v1/incidents/NW-IR-2019-0042?revision=x", 400)


async def test_the_list_has_public_incidents_only(site: Site, make_incident: MakeIncident) -> None:
    site.ledger.record(
        [
            make_incident(),
            make_incident(id="NW-IR-2019-0002", state=IncidentState.PROVISIONAL),
            make_incident(id="NW-IR-2019-0003", evidence_level=1),
            make_incident(id="NW-MM-2019-0004", entity=Entity.parse("country:MM")),
        ],
        [],
    )

    async def ids(query: str) -> list[str]:
        response = json.loads(await site.text(f"/v1/incidents{query}"))
        return sorted(incident["id"][3:] for incident in response["data"])

    assert await ids("") == ["IR-2019-0042", "MM-2019-0004"]
    assert await ids("?min_level=1") == ["IR-2019-0003", "IR-2019-0042", "MM-2019-0004"]
    assert await ids("?country=MM") == ["MM-2019-0004"]
    assert await ids("?limit=1") == ["MM-2019-0004"]
    await site.text("/i/NW-IR-2019-0002", 404)


async def test_a_merged_incident_redirects_to_the_wider_one(
    site: Site, make_incident: MakeIncident
) -> None:
    merged = make_incident(
        id="NW-IR-2019-0041", state=IncidentState.MERGED, merged_into="NW-IR-2019-0042"
    )
    site.ledger.record([merged, make_incident()], [])
    response = await site.client.get("/i/NW-IR-2019-0041")
    assert response.status_code == 301
    assert response.headers["location"] == "/i/NW-IR-2019-0042"


async def test_hostile_names_are_escaped(site: Site, make_incident: MakeIncident) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=y> ایران"
    site.places = EntityTree([EntityInfo(Entity.parse("country:IR"), evil, timezone="Asia/Tehran")])
    site.put("country:IR", FALL, until=make_incident().at + timedelta(hours=1))
    site.ledger.record([make_incident()], [])
    async with site.serve() as client:
        for path in ("/", "/i/NW-IR-2019-0042", "/p/country/IR"):
            page = check_page((await client.get(path)).text)
            assert "<script>alert(1)</script>" in page.text
            assert not page.all("img")


async def test_every_response_has_the_content_security_policy(site: Site) -> None:
    for path in ("/", "/style.css", "/v1/incidents", "/v1/health", "/nowhere", "/v1/nowhere"):
        headers = (await site.client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "script-src" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in headers


async def test_etags_avoid_repeated_transfers(site: Site) -> None:
    first = await site.client.get("/style.css")
    again = await site.client.get("/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "@import" not in first.text
    assert "http" not in first.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/i/nope", 404),
        ("/i/..%2f..%2fetc", 404),
        ("/p/country/XX", 404),
        ("/p/planet/IR", 404),
        ("/p/country/%00", 404),
        ("/v1/timeseries/country/IR", 400),
        ("/v1/timeseries/country/IR?since=never", 400),
        ("/v1/timeseries/country/IR?since=2019-11-16&step=7y", 400),
        ("/v1/timeseries/country/IR?since=1970-01-01&step=5m", 400),
        ("/v1/timeseries/planet/IR?since=2019-11-16", 404),
        ("/v1/incidents?limit=many", 400),
        ("/v1/incidents?since=x", 400),
        ("/v1/incidents/nope", 404),
    ],
)
async def test_invalid_requests_are_refused_in_one_line(
    site: Site, make_incident: MakeIncident, path: str, status: int
) -> None:
    site.put("country:IR", FALL, until=make_incident().at)
    response = await site.client.get(path)
    assert response.status_code == status
    if path.startswith("/v1/"):
        assert response.headers["content-type"] == "application/problem+json"
        assert "\n" not in response.json()["title"]
    else:
        check_page(response.text)


async def test_the_site_is_read_only(site: Site) -> None:
    for path in ("/", "/v1/incidents"):
        assert (await site.client.post(path)).status_code == 405
        assert (await site.client.head(path)).status_code == 200


async def test_an_unreadable_record_is_503(site: Site) -> None:
    with site.ledger._database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE incident_revision")
    text = await site.text("/", 503)
    assert "cannot be read just now" in check_page(text).text
    response = await site.client.get("/v1/incidents")
    assert response.status_code == 503
    assert response.json()["status"] == 503


async def test_health_has_the_age_of_the_data(site: Site, make_incident: MakeIncident) -> None:
    assert json.loads(await site.text("/v1/health")) == {
        "data_until": None,
        "data_age_seconds": None,
        "stale": True,
        "clock": None,
        "missing_days": [],
    }
    site.put("country:IR", FALL, until=site.now - timedelta(minutes=5))
    health = json.loads(await site.text("/v1/health"))
    assert (health["data_age_seconds"], health["stale"]) == (300, False)


async def test_data_from_the_future_has_no_age(site: Site, make_incident: MakeIncident) -> None:
    """It is never fresh: a clock was wrong when it was written, or is wrong now."""
    site.put("country:IR", FALL, until=site.now + timedelta(hours=20))
    health = json.loads(await site.text("/v1/health"))
    assert (health["data_age_seconds"], health["stale"]) == (None, True)
    assert "which is in the future: a clock of the observatory" in await site.text("/")


async def test_every_page_of_a_drill_is_labelled(site: Site, make_incident: MakeIncident) -> None:
    site.put("country:IR", FALL, until=make_incident().at)
    site.ledger.record([make_incident()], [])
    site.options = {"drill": True}
    async with site.serve() as client:
        for path in ("/", "/i/NW-IR-2019-0042", "/p/country/IR", "/nowhere"):
            page = check_page((await client.get(path)).text)
            assert "TEST · This is a drill." in page.text
        response = await client.get("/v1/incidents")
    assert response.json()["data"][0]["test"] is True


async def test_a_closed_incident_is_listed_as_resolved(
    site: Site, make_incident: MakeIncident
) -> None:
    until = make_incident().at + timedelta(hours=1)
    site.put("country:IR", [*FALL, *[1.0] * 6], until=until)
    ended = make_incident(
        state=IncidentState.RESOLVED,
        reason=RevisionReason.RESTORED,
        ended_at=make_incident().at - timedelta(hours=6),
        percent=PublishedPercent(96.0, 95.0, 97.0, Precision.EXACT),
        trough=PublishedPercent(3.0, 2.0, 5.0, Precision.EXACT),
    )
    site.ledger.record([ended], [])
    page = check_page(await site.text("/"))
    assert "No disruption is known now." in page.text
    assert page.text.index("Resolved in the last 30 days") < page.text.index("3%")
    record = check_page(await site.text("/i/NW-IR-2019-0042"))
    assert "RESTORED" in record.text
    assert "is at ordinary levels and stable for 6 hours." in record.text


async def test_the_page_of_a_place_lists_its_parts(site: Site, make_incident: MakeIncident) -> None:
    until = make_incident().at
    site.put("country:IR", FALL, until=until)
    site.put("region:IR-23", [1.0] * 10 + [0.4], until=until)
    page = check_page(await site.text("/p/country/IR"))
    assert "Iran: 7%" in page.text
    assert "Tehran" in page.text
    assert "40%" in page.text


async def test_the_front_page_is_rebuilt_when_record_or_data_change(
    site: Site, make_incident: MakeIncident, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    read = site.store.read_levels

    def counted(*arguments: object, **options: object) -> Iterator[Level]:
        nonlocal reads
        reads += 1
        return read(*arguments, **options)

    monkeypatch.setattr(site.store, "read_levels", counted)
    until = make_incident().at
    site.put("country:IR", FALL, until=until)
    await site.text("/")
    first = reads
    assert first > 0
    await site.text("/")
    assert reads == first
    site.ledger.record([make_incident()], [])
    assert "1 confirmed disruption now" in await site.text("/")
    site.put("country:IR", [1.0], until=until + timedelta(hours=1))
    assert "Data to 17 Nov 06:30 UTC." in await site.text("/")
    site.ledger.record([make_incident(revision=2, state=IncidentState.RESOLVED)], [])
    assert "No disruption is known now." in await site.text("/")


async def test_pages_are_in_the_language_of_the_site(
    site: Site, make_incident: MakeIncident, tmp_path: Path
) -> None:
    english = (TEMPLATES / "en.txt").read_text("utf-8")
    file = tmp_path / "ar.txt"
    file.write_text(
        english.replace('"Key facts"', '"حقائق"').replace('"Level"', '"المستوى"'), "utf-8"
    )
    site.put("country:IR", FALL, until=make_incident().at)
    site.ledger.record([make_incident()], [])
    site.options = {"language": Language("ar", tmp_path)}
    async with site.serve() as client:
        text = (await client.get("/i/NW-IR-2019-0042")).text
    assert '<html lang="ar" dir="rtl">' in text
    for words in ("حقائق", "المستوى", "إيران", "نوفمبر"):
        assert words in text


async def test_hours_under_review_are_named_and_keep_their_level(
    site: Site, make_incident: MakeIncident
) -> None:
    until = make_incident().at
    site.put("country:IR", FALL, until=until)
    site.ledger.record([make_incident()], [])
    key = SeriesKey("reachability", Entity.parse("country:IR"))
    for hour in (1, 2):
        time = until - timedelta(hours=hour)
        late = Amendment(key, time, 0.07, 0.93, late_share=0.8, owners=1, networks=2)
        site.ledger.amendments.replace(time, [late], at=until)
    for path in ("/p/country/IR", "/i/NW-IR-2019-0042"):
        text = check_page(await site.text(path)).text
        assert "Under review: measurements that came late" in text
        assert "from 7% to 93% on average" in text
    since = (until - timedelta(hours=3)).isoformat().replace("+00:00", "Z")
    series = json.loads(await site.text(f"/v1/timeseries/country/IR?since={since}"))
    assert series["pct"][-1] == 7.0
    assert [(one["pct_then"], one["pct_now"]) for one in series["under_review"]] == [(7, 93)] * 2
