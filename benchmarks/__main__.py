"""All quick benchmarks, one after another: `python -m benchmarks`.

The detection benchmark has a command of its own, `python -m benchmarks.detection.run`, and so
has the store at its full size, `python -m benchmarks.store`.
"""

import os
import subprocess
import sys

QUICK = (
    "benchmarks.agent_rate",
    "benchmarks.agent_costs",
    "benchmarks.agent_process",
    "benchmarks.ingest_rate",
    "benchmarks.web_readers",
    "benchmarks.detection.speed --quick",
)

_ONE_CORE = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def main() -> int:
    """Run each in a process of its own; return how many failed."""
    failed = 0
    for name in QUICK:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", *name.split()]
        failed += subprocess.run(command, check=False, env=_ONE_CORE).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
