"""Columns of texts that are the same over and over, as numbers."""

from collections.abc import Callable

import numpy as np
import pandas as pd


class Texts:
    """The texts of one column that comes a part at a time; each is looked at once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def codes(
        self, column: "pd.Series[str]", check: Callable[[str, int], None]
    ) -> "np.typing.NDArray[np.int32]":
        """Return the number of each text of a part; what is missing is the empty text.

        `check` is shown every text that was not there before, with the number of its row in the
        part, and may refuse it.
        """
        inverse, found = pd.factorize(column, use_na_sentinel=False)
        texts = ["" if pd.isna(text) else str(text) for text in found]
        known = np.empty(len(texts), np.int32)
        for place, text in enumerate(texts):
            number = self._numbers.get(text)
            if number is None:
                check(text, int((inverse == place).argmax()))
                number = self._numbers[text] = len(self._numbers)
            known[place] = number
        return known[inverse]

    def column(self, codes: "pd.Series[int]") -> pd.Categorical:
        """Return the whole column, its texts in order."""
        texts = sorted(self._numbers)
        rank = np.empty(len(texts), np.int32)
        for place, text in enumerate(texts):
            rank[self._numbers[text]] = place
        return pd.Categorical.from_codes(rank[codes.to_numpy()], pd.Index(texts, dtype=object))
