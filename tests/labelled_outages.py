"""The labelled outages of Bischof et al. (SIGCOMM 2023), as the tests read them."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

import numpy as np
from babel import Locale
from past_events import data_folder

_TABLE = "inetintel-outages-2018-2022.csv"
_DIRECTED = {"Government-Ordered", "Exams"}
_SIGNALS = (
    "IODA BGP visible by human",
    "IODA AP visible by human ",
    " IODA IBR visible by human",
)
_NAMES = {
    "Bosnia & Herzegovina": "BA", "Congo": "CG", "Democratic Republic of (DRC)": "CD",
    "Federated States Of Micronesia": "FM", "Great Britain": "GB", "Hong Kong": "HK",
    "Kyrgyz Republic (Kyrgyzstan)": "KG", "Macedonia": "MK", "Myanmar/Burma": "MM",
    "Palestine": "PS", "Reunion": "RE", "Saint Martin": "MF", "Swaziland": "SZ",
    "Timor Leste": "TL", "Turkey": "TR", "Antigua And Barbuda": "AG", "Curacao": "CW",
    "Bonaire, Sint Eustatius and Saba": "BQ", "Bonaire/Sint Eustatius/Saba": "BQ",
    "Ivory Coast (Cote d'Ivoire)": "CI", "Czech Republic": "CZ", "Sao Tome And Principe": "ST",
    "Russian Federation": "RU", "United States of America (USA)": "US", "Brunei Darussalam": "BN",
    "Saint Kitts and Nevis": "KN", "Saint Kitts And Nevis": "KN", "Saint Lucia": "LC",
    "Turks And Caicos Islands": "TC", "Antigua & Barbuda": "AG", "European Union": "BE",
}  # fmt: skip
_LARGEST = {
    "RU": "Europe/Moscow", "BR": "America/Sao_Paulo", "AU": "Australia/Sydney",
    "CA": "America/Toronto", "CD": "Africa/Kinshasa",
}  # fmt: skip


@dataclass(frozen=True)
class Outage:
    country: str
    scope: str
    zone: str
    started_at: datetime
    ended_at: datetime | None
    directed: bool
    exam: bool
    all_signals: bool


def read_outages() -> list[Outage]:
    """Return the usable rows in order of time; an end before its start counts as unknown."""
    found = []
    zones, codes = _zones(), _codes()
    with (data_folder("ground-truth") / _TABLE).open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            start, end = _time(row["Begin time"]), _time(row["End time"])
            code = codes.get(row["Country"])
            if start is None or code is None:
                continue
            scope = next(value for name, value in row.items() if name.startswith("Scope"))
            seen = [row[name].strip().lower() in {"true", "ture"} for name in _SIGNALS]
            cause = row["Cause"].strip()
            found.append(
                Outage(
                    code, f"{code} {scope} {row['Region']} {row['AS']}", zones[code], start,
                    end if end and end > start else None,
                    cause in _DIRECTED, cause == "Exams", all(seen),
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: one.started_at)


def area_under_curve(scores: list[float], labels: list[bool], weights: list[float]) -> float:
    """Return the weighted chance that a directed one scores above another, ties for half."""
    score, label, weight = np.array(scores), np.array(labels), np.array(weights)
    above = score[label][:, None] - score[~label][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    both = weight[label][:, None] * weight[~label][None, :]
    return float((wins * both).sum() / both.sum())


def country_weights(outages: list[Outage]) -> list[float]:
    """Return weights with which every country counts alike within its label."""
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    for one in outages:
        counts[one.country, one.directed] += 1
    return [1 / counts[one.country, one.directed] for one in outages]


def _time(text: str) -> datetime | None:
    """Return a time in either of the two forms of the file; hours are 0 to 23 in one of them."""
    for form in ("%A, %B %d, %Y, %I:%M:%S %p", "%A, %B %d, %Y, %I:%M %p", "%m/%d/%Y  %H:%M:%S"):
        try:
            cut = text.strip() if "," in text else text.strip()[:-3]
            return datetime.strptime(cut, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _codes() -> dict[str, str]:
    """Return country names of the file and their codes."""
    territories = Locale("en").territories
    return {name: code for code, name in territories.items() if len(code) == 2} | _NAMES


def _zones() -> dict[str, str]:
    """Return one time zone a country: the first in the table, the largest where that is small."""
    found: dict[str, str] = {}
    for line in files("tzdata.zoneinfo").joinpath("zone.tab").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            code, _, zone = line.split("\t")[:3]
            found.setdefault(code, zone)
    return found | _LARGEST
