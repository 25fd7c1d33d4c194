"""Print the QA table; with `--write`, update it in docs/lab.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from qa.page import PAGE, markdown, with_table

if "--write" in sys.argv[1:]:
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
else:
    sys.stdout.write(markdown())
