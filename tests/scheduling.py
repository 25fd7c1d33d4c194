"""Schedules tests with pytest-xdist: those with real servers and clocks run one at a time."""

from real_time import is_real_time
from xdist.scheduler import LoadScopeScheduling


class RealTimeScheduling(LoadScopeScheduling):
    """Gives the real-time tests to one worker, and every other file whole to any."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "real time" if is_real_time(path.removeprefix("tests/")) else path
