"""Entry point of the command `netwatch`.

An agent runs for months in little memory. The command-line parser and the tables take a quarter
of it, so `netwatch agent run` is parsed here by hand; all other command lines go to Typer.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch.model.errors import NetwatchError
from netwatch.model.text import escape_line

if TYPE_CHECKING:
    from netwatch.config import Config

_VERBOSE = ("-v", "--verbose")
_CONFIG = ("-c", "--config")
DEFAULT_CONFIG = Path("netwatch.toml")


def run() -> None:
    """Run the command line."""
    config = parse_agent_run(sys.argv[1:])
    if config is None:
        from netwatch.cli import main

        main.run()
        return
    begin_logging(verbose=sys.argv[1] in _VERBOSE)
    with one_line_errors():
        from netwatch.config import read_config

        run_agent(read_config(config))


def run_agent(config: "Config") -> None:
    """Run the agent until a signal stops it."""
    from netwatch.aio.tasks import run_until_signal
    from netwatch.app.vantage import demand_consent, run_vantage

    demand_consent(config)
    run_until_signal(run_vantage(config, with_consent=True))


def parse_agent_run(words: Sequence[str]) -> Path | None:
    """Return the configuration's path if `words` are a plain `agent run`, else None."""
    rest = list(words[1:] if words and words[0] in _VERBOSE else words)
    if rest[:2] != ["agent", "run"]:
        return None
    match rest[2:]:
        case []:
            return DEFAULT_CONFIG
        case [option, path] if option in _CONFIG and not path.startswith("-"):
            return Path(path)
        case _:
            return None


def begin_logging(*, verbose: bool) -> None:
    """Log warnings to stderr, and with `verbose` more."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Escaping("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])


class _Escaping(logging.Formatter):
    """Keeps a record on its line, whatever an agent or a server put into it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        return escape_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802 - likewise
        return "\n".join(map(escape_line, super().formatException(ei).split("\n")))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a NetwatchError as one line and exit with 2; exit silently if the pipe closes."""
    try:
        yield
        sys.stdout.flush()
    except* NetwatchError as errors:
        sys.stderr.write(f"netwatch: {escape_line(str(_first(errors)))}\n")
        sys.exit(2)
    except* BrokenPipeError:
        # Python would otherwise complain at exit about output that it cannot flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _first(errors: BaseExceptionGroup[NetwatchError]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
