"""How long things are held before they count; every rule is a length of time, never of bins.

`hold_country` and `hold_network`: a scope must be low for so long before it is an incident.
`group`: losses of nested scopes that begin within it are one incident. `stable`: a level must
be back for so long before the incident is over. `reopen`: a new loss within it continues the
incident. `milestone` is the unit of the milestones 1, 3, 6, 12, 24 …, and in `update_every`
there is at most one scheduled update.
"""

from netwatch.config import IncidentConfig

Rules = IncidentConfig
"""The rules are the table `[incidents]` of the configuration; its defaults stand there alone."""
