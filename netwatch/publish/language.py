"""Published text: one file of templates per language, `templates/<language code>.txt`."""

from datetime import datetime
from functools import cache, cached_property
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.dates import format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from jinja2.environment import TemplateModule

TEMPLATES = Path(__file__).parent / "templates"
"""The folder of the installed languages."""


class Language:
    """Texts, month names and country names of one language.

    Args:
        code: language code, such as `en` or `pt-BR`; CLDR gives month and country names, those
            of English where it does not know the language.
        folder: folder of the template files.
    """

    def __init__(self, code: str, folder: Path = TEMPLATES) -> None:
        self.code = code
        self._folder = folder
        try:
            self.locale = Locale.parse(code, sep="-")
        except (UnknownLocaleError, ValueError):
            self.locale = Locale("en")

    def text(self, name: str, *arguments: object) -> str:
        """Return the text `name`: a constant, or a sentence made from `arguments`.

        Whitespace is collapsed and empty lines are left out.
        """
        template = getattr(self._templates, name)
        text = str(template(*arguments) if callable(template) else template)
        lines = (" ".join(line.split()) for line in text.splitlines())
        return "\n".join(line for line in lines if line)

    def constant(self, name: str) -> object:
        """Return the value `name` of the file as it is."""
        return getattr(self._templates, name)

    def country_name(self, code: str) -> str | None:
        """Return the name of a country, None if CLDR does not know it."""
        return self.locale.territories.get(code)

    def clock(self, time: datetime, pattern: str = "d MMM HH:mm") -> str:
        """Return `time` in its own zone, as a CLDR `pattern` says."""
        return str(format_datetime(time, pattern, tzinfo=time.tzinfo, locale=self.locale))

    @cached_property
    def _templates(self) -> TemplateModule:
        # Posts are plain text: nothing is escaped here, the pages escape what they show.
        environment = Environment(
            loader=FileSystemLoader(self._folder),
            autoescape=select_autoescape(default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template(f"{self.code}.txt").module


ENGLISH = Language("en")


def languages(folder: Path = TEMPLATES) -> frozenset[str]:
    """Return the codes of the languages that have a file of templates."""
    return frozenset(file.stem for file in folder.glob("*.txt"))


@cache
def load_language(code: str, folder: Path = TEMPLATES) -> Language:
    """Return the language `code`, English if it has no file of templates."""
    return Language(code, folder) if code in languages(folder) else ENGLISH
