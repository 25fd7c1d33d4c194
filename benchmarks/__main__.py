"""All quick benchmarks, one after another: `python -m benchmarks`.

The detection benchmark has a command of its own, `python -m benchmarks.detection.run`, and so
has the store at its full size, `python -m benchmarks.store`.
"""

import subprocess
import sys

QUICK = (
    "benchmarks.agent_rate",
    "benchmarks.agent_costs",
    "benchmarks.agent_process",
    "benchmarks.ingest_rate",
    "benchmarks.judge_rate",
)


def main() -> int:
    """Run each in a process of its own; return how many failed."""
    failed = 0
    for name in QUICK:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", name], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
