"""Options of a site."""

from dataclasses import dataclass

from starlette.routing import BaseRoute

from netwatch.protocols import Outbox
from netwatch.publish.language import ENGLISH, Language


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Options of a site.

    Attributes:
        url: public root of the site, for links in JSON.
        drill: whether this is a drill; every page then says so first.
        outbox: where posts are read from, None to leave them out.
        extra_routes: routes added to the site's own, such as those for agents.
        language: language of the pages.
    """

    url: str = ""
    drill: bool = False
    outbox: Outbox | None = None
    extra_routes: tuple[BaseRoute, ...] = ()
    language: Language = ENGLISH
