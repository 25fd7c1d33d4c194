"""Where the command `netwatch` begins: straight into a vantage's work, or with any command.

A vantage works for months and may take little memory. What reads command lines and prints
tables takes a quarter of it, so the one command that stays is read here by hand; everything
else, and whatever is not understood at once, goes the usual way.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from netwatch.model.errors import NetwatchError

_VERBOSE = ("-v", "--verbose")
_CONFIG = ("-c", "--config")
_DEFAULT = "netwatch.toml"


def run() -> None:
    """Run the command line."""
    config = config_of(sys.argv[1:])
    if config is None:
        from netwatch.cli import main

        main.run()
        return
    begin_logging(verbose=sys.argv[1] in _VERBOSE)
    with one_line_errors():
        run_agent(config)


def run_agent(config: Path) -> None:
    """Be a vantage until somebody says stop."""
    from netwatch.app.observatory import run_until_signal
    from netwatch.app.vantage import demand_consent, run_vantage
    from netwatch.config import read_config

    found = read_config(config)
    demand_consent(found)
    run_until_signal(run_vantage(found, with_consent=True))


def config_of(words: Sequence[str]) -> Path | None:
    """Return the configuration if `words` plainly say `agent run`, None for anything else."""
    rest = list(words[1:] if words and words[0] in _VERBOSE else words)
    if rest[:2] != ["agent", "run"]:
        return None
    match rest[2:]:
        case []:
            return Path(_DEFAULT)
        case [option, path] if option in _CONFIG and not path.startswith("-"):
            return Path(path)
        case _:
            return None


def begin_logging(*, verbose: bool) -> None:
    """Log to stderr: warnings, and with `verbose` more."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Tell what netwatch raises on purpose in one line, and exit with 2."""
    try:
        yield
    except* NetwatchError as errors:
        sys.stderr.write(f"netwatch: {_first(errors)}\n")
        sys.exit(2)


def _first(errors: BaseExceptionGroup[NetwatchError]) -> BaseException:
    """Return the first error of a group of groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
