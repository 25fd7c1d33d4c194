"""How long things are held before they count; every rule is a length of time, never of bins.

`min_duration_country` and `min_duration_network`: how long an entity must be low before an
incident opens. `merge_window`: losses of nested entities that begin within it are one incident.
`resolve_after`: how long a level must be back before the incident is resolved. `reopen_window`: a
new loss within it continues the incident. `milestone` is the unit of the milestones
1, 3, 6, 12, 24 …, and in `update_every` there is at most one scheduled update.
"""

from netwatch.config import IncidentConfig

Rules = IncidentConfig
"""The rules are the table `[incidents]` of the configuration; its defaults stand there alone."""
