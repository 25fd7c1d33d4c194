"""The command `python -m tests.adversary`."""

import sys
from pathlib import Path

# The helpers of the tests are imported by their own names, as in the tests.
sys.path.insert(0, str(Path(__file__).parents[1]))

from adversary.frame.command import main

if __name__ == "__main__":
    sys.exit(main())
