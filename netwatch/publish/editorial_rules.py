"""Editorial rules: the last check of a post before it may be published."""

import re
from collections.abc import Iterator

from netwatch.model.errors import WordingError
from netwatch.publish.language import ENGLISH, Language

CONFIRMED_EVIDENCE = 3
"""Evidence level from which on a person has reviewed the incident."""

_ZERO = re.compile(r"(?<![\d.,])0+(?:[.,]0+)?\s?%")


def check_post(
    text: str,
    alternative: str,
    evidence: int,
    *,
    language: Language = ENGLISH,
    ignore: tuple[str, ...] = (),
) -> None:
    """Refuse a post that breaks an editorial rule.

    Args:
        text: the whole post.
        alternative: its chart in words.
        evidence: the incident's evidence level, 0 to 4.
        language: whose refused words and labels apply.
        ignore: names, which may contain any word.

    Raises:
        WordingError: naming the rule.
    """
    for name in ignore:
        text = text.replace(name, "")
    if not alternative.strip():
        raise WordingError("the post has no alternative text")
    if _ZERO.search(text):
        raise WordingError('the post says "0%"; no success is "no successful measurements"')
    for pattern, word, allowed_from in _refused_words(language):
        if evidence < allowed_from and re.search(pattern, text, re.IGNORECASE):
            raise WordingError(f'the post says "{word}" at evidence level {evidence}')
    label = language.text("label", "confirmed")
    if evidence < CONFIRMED_EVIDENCE and re.search(rf"\b{re.escape(label)}\b", text):
        raise WordingError(f'the post says "{label}" below evidence level {CONFIRMED_EVIDENCE}')


def _refused_words(language: Language) -> Iterator[tuple[str, str, int]]:
    rules = language.constant("refused_words")
    if not isinstance(rules, list):
        raise WordingError(f"templates of {language.code}: refused_words is not a list")
    yield from rules
