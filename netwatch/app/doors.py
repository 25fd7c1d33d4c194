"""The doors for agents in the HTTP service: what agents may ask and bring over HTTPS.

Each part of the observatory that talks to agents over HTTP makes its own routes; this is the
one list of them, which every process that serves HTTP takes up.
"""

from starlette.routing import BaseRoute

from netwatch.app.observatory import Opened

__all__ = ["agent_doors"]


def agent_doors(_opened: Opened) -> tuple[BaseRoute, ...]:
    """Return the routes that are for agents; all of them lie under `/v1/`."""
    return ()
