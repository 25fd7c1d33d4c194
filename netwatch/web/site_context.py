"""What the pages and the API of a site share."""

from dataclasses import dataclass

from netwatch.ledger.ledger import SqlLedger
from netwatch.model.entities import EntityTree
from netwatch.protocols import Clock, SeriesStore
from netwatch.publish.language import ENGLISH, Language


@dataclass(frozen=True, slots=True)
class SiteContext:
    """The data of a site, which it only reads, and its options.

    Attributes:
        url: public root of the site, for links in JSON.
        drill: whether this is a drill; every page then says so first.
        language: language of the pages.
    """

    store: SeriesStore
    ledger: SqlLedger
    tree: EntityTree
    clock: Clock
    url: str = ""
    drill: bool = False
    language: Language = ENGLISH
