"""The one command of the benchmark; see README.md.

python -m benchmarks.detection.run [--seeds held-out|tuning] [--quick] [--workers N] [--out DIR]
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.detection.baselines import DOMAIN_FAMILIES, NETWORK_FAMILIES
from benchmarks.detection.bootstrap import Scores, differences, draw_weights, score
from benchmarks.detection.injection import InjectionSize, data_folder
from benchmarks.detection.parameters import Parameters, read_parameters
from benchmarks.detection.plot import draw_plot
from benchmarks.detection.report import difference_table, main_table, recall_table, write_json
from benchmarks.detection.work import OURS, Answer, AnySize, Task, do_task

__all__ = ["compare", "main", "tasks_of"]

_COMPARED = ("f1", "precision", "recall", "false_per_week", "late_p50")


def tasks_of(
    worlds: Sequence[tuple[int, AnySize]], parameters: Parameters, families: Sequence[str]
) -> list[Task]:
    """Return one task for every world and family, world by world."""
    return [Task(name, seed, size, parameters.noise) for seed, size in worlds for name in families]


def _groups(
    parameters: Parameters, data: Path | None
) -> dict[str, tuple[Sequence[tuple[int, AnySize]], Sequence[str]]]:
    """Return each table's worlds and families."""
    groups: dict[str, tuple[Sequence[tuple[int, AnySize]], Sequence[str]]] = {
        "networks": (parameters.worlds, [OURS, *NETWORK_FAMILIES]),
        "domains": ([parameters.domains], [OURS, *DOMAIN_FAMILIES]),
    }
    if data is not None:
        seed, size = parameters.worlds[0][0], InjectionSize(str(data))
        families = [name for name in NETWORK_FAMILIES if name != "disco"]
        groups["injected"] = ([(seed, size)], [OURS, *families])
    return groups


def compare(answers: Iterable[Answer], parameters: Parameters) -> dict[str, Scores]:
    """Return the scores of every detector over all worlds, with the same bootstrap draws."""
    outcomes = defaultdict(list)
    for answer in answers:
        for (name, confidence), outcome in answer.outcomes.items():
            label = f"{name}, {confidence}" if name == OURS else name
            outcomes[label].append(outcome)
    if not outcomes:
        return {}
    first = next(iter(outcomes.values()))
    names = [str(name) for one in first for name in one.clusters["cluster"]]
    weights = draw_weights(len(names), parameters.draws, seed=parameters.bootstrap_seed)
    return {name: score(found, weights, names) for name, found in outcomes.items()}


def _answers(tasks: Sequence[Task], workers: int) -> Iterator[Answer]:
    if workers <= 1:
        yield from map(do_task, tasks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(do_task, tasks)


def _work(tasks: Sequence[Task], workers: int, console: Console) -> list[Answer]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("judging", total=len(tasks))
        done = []
        for answer in _answers(tasks, workers):
            progress.update(bar, advance=1, description=f"seed {answer.task.seed}")
            done.append(answer)
    return done


def _show(title: str, scores: Mapping[str, Scores], out: Path, about: Mapping[str, object]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(main_table(title, scores))
    for by in ("size", "scope", "kind"):
        if scores[next(iter(scores))].recalls[by]:
            console.print(recall_table(f"recall by {by}", scores, by))
    paired = {}
    sure = f"{OURS}, confirmed"
    if sure in scores:
        paired = {
            name: differences(scores[sure], one, _COMPARED)
            for name, one in scores.items()
            if name != sure
        }
        if paired:
            console.print(difference_table(f"{sure} minus each, paired", paired))
    write_json(out.with_suffix(".json"), scores, paired, about)
    draw_plot(out, scores, title=title)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.run")
    parser.add_argument("--seeds", choices=("held-out", "tuning"), default="tuning")
    parser.add_argument("--quick", action="store_true", help="one small world")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--only", nargs="*", default=(), help="families, such as netwatch ioda")
    parser.add_argument("--data", type=Path, help="folder of real series (or NETWATCH_DATA)")
    options = parser.parse_args(arguments)
    parameters = read_parameters(options.seeds, quick=options.quick)
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    data = options.data or data_folder()
    if data is None:
        console.print("NETWATCH_DATA names no folder: nothing is injected into real series")
    about = {"seeds": options.seeds, "quick": options.quick, "parameters": parameters.digest}
    for name, (worlds, families) in _groups(parameters, data).items():
        wanted = [one for one in families if not options.only or one in options.only]
        tasks = tasks_of(worlds, parameters, wanted)
        answers = _work(tasks, options.workers, console)
        scores = compare(answers, parameters)
        if not scores:
            continue
        cost = {f"{a.task.family}, seed {a.task.seed}": round(a.seconds, 2) for a in answers}
        title = f"Detection of {name} on {options.seeds} seeds" + ", quick" * options.quick
        _show(title, scores, options.out / f"detection-{name}", about | {"cpu_seconds": cost})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
