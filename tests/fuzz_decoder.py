"""Feeds one decoder, or `all`, with what atheris makes of its seeds.

    python tests/fuzz_decoder.py batch -max_total_time=60 corpus/

The second argument and the following are libFuzzer's; files that it writes are inputs.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(
    include=["netwatch", "netwatch_probes"], enable_loader_override=False
):
    from foreign_decoders import DECODERS


def main() -> None:
    """Fuzz until libFuzzer's limit of time."""
    name = sys.argv.pop(1)
    chosen = [one for one in DECODERS if name in {one.name, "all"}]
    folder = Path(sys.argv[-1])
    for number, one in enumerate(chosen):
        for index, seed in enumerate(one.seeds):
            (folder / f"{number}-{index}").write_bytes(bytes([number]) + seed)

    def feed(data: bytes) -> None:
        if data:
            chosen[data[0] % len(chosen)].feed(data[1:])

    atheris.Setup(sys.argv, feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
