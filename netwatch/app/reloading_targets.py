"""The target book of a collector: the configuration's targets and the published list's."""

from collections.abc import Iterator, Mapping

from netwatch.app.target_list_publisher import published_list, published_path
from netwatch.config import Config
from netwatch.model.errors import InputError
from netwatch.model.measurement import Target


class ReloadingTargets(Mapping[str, Target]):
    """Targets by id; looks at the published list again whenever it is asked for all of them.

    A target that left the list is still known until the next start, for what agents kept.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._path = published_path(config)
        self._stamp = (0, 0)
        self._found = {target.id: target for target in config.target}

    def __getitem__(self, name: str) -> Target:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def _look(self) -> None:
        """Take up what is new in the published list; the configuration's own stand."""
        try:
            found = self._path.stat()
        except OSError:
            return
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            listed = published_list(self._config)
        except InputError:
            return
        more = {one.target.id: one.target for one in listed.listed_targets()} if listed else {}
        own = {target.id: target for target in self._config.target}
        # A new mapping each time: whoever goes through the old one is not disturbed.
        self._found = {**self._found, **more, **own}
