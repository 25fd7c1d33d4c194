"""Numbers that detector, incidents, publication and backtests must agree on.

A level is a share of ordinary (1.0 is ordinary); a probability is that of being below ordinary.
A number that only one method uses stands in that method's file. Each text says what the number
decides; an incident opens, advances and ends in `netwatch.incidents.opening` and `lifecycle`.
"""

from datetime import timedelta

LOW = 0.895
"""Level below which a series is low: it reads less than 90 % in whole percent."""

LOST = 0.5
"""Level below which a network is lost: less than half of it is left."""

RETURNED = 0.7
"""Level from which on a network is up, and a loss begins to return: far enough above `LOST` that
noise around half of ordinary is neither a loss nor a return. It dates the end of a confirmed
incident, which `RESTORED` decides; a provisional one expires after a lasting return."""

RESTORED = 0.85
"""Level from which on a lasting return ends a confirmed incident, and below which it is a partial
restoration: after 19 days of cut, Iran settled at 90 % of its former level."""

ORDINARY = 0.95
"""Level from which on a series is ordinary: the lowest ordinary depth of the Bayes filter."""

NOISE_PROBABILITY = 0.05
"""Probability up to which a low level is taken for noise: the filter sees no loss in it."""

EVEN_PROBABILITY = 0.5
"""Probability below which a series is likelier ordinary than not; a loss may be over."""

LIKELY_PROBABILITY = 0.8
"""Probability above which a bin belongs to a loss, which is provisional at first: precision 0.94 on
simulated outages. Partial losses of routes need `CONFIRMED_PROBABILITY` even for that."""

CONFIRMED_PROBABILITY = 0.95
"""Probability above which a loss is confirmed: precision 0.975 on simulated outages."""

CERTAIN_PROBABILITY = 0.99
"""Probability above which a deep loss needs no second bin: precision 0.986, as above."""

CONFIRMING_BINS = 2
"""Bins in a row that confirm or end a loss: a single wild bin is common in the field."""

MIN_NETWORKS = 5
"""Networks that a published percentage needs: the mean of fewer depends on which are measured."""

MIN_COVERAGE = 0.3
"""Share of an entity's ordinary weight that must be measured for a level of the whole entity."""

MERGE_GAP_MIN, MERGE_GAP_MAX = timedelta(minutes=30), timedelta(hours=2)
"""Two losses are one where the gap is at most half of the first, within these bounds."""
