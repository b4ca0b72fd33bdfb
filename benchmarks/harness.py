"""What the benchmarks share: taking turns, medians, ratios, a table.

Machines are shared and differ, so a number counts only beside its peer's from the same
run. Candidates take turns, each round starting with another one, and the median of the
rounds is compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from labkit.tables import text_table

Candidate = Callable[[], float | None]
"""Does the work once. Returns the seconds that count, or None: all of the call counts."""


def measure(candidates: dict[str, Candidate], repeats: int = 5) -> dict[str, dict[str, Any]]:
    """Run every candidate ``repeats`` times, in turns.

    Returns for each its "seconds", one a round, and their "median".
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for turn in range(repeats):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            began = time.perf_counter()
            counted = candidates[name]()
            wall = time.perf_counter() - began
            seconds[name].append(wall if counted is None else counted)
    return {
        name: {"median": statistics.median(values), "seconds": values}
        for name, values in seconds.items()
    }


def report(
    name: str,
    question: str,
    timed: str,
    measured: dict[str, dict[str, Any]],
    ratios: dict[str, float],
    targets: dict[str, float],
    **more: Any,
) -> dict[str, Any]:
    """Put a benchmark's outcome together; everything in it goes into JSON."""
    met = {ratio: ratios[ratio] >= least for ratio, least in targets.items()}
    return {
        "name": name, "question": question, "timed": timed, **more, "measured": measured,
        "ratios": ratios, "targets": targets, "met": met, "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }  # fmt: skip


def table(outcome: dict[str, Any]) -> str:
    """Return an outcome as text: a row a candidate, then a row a ratio."""
    rows = [
        (name, f"{row['median']:.4g}", f"{min(row['seconds']):.4g} to {max(row['seconds']):.4g}")
        for name, row in outcome["measured"].items()
    ]
    repeats = len(next(iter(outcome["measured"].values()))["seconds"])
    header = ("candidate", f"seconds, median of {repeats}", "range")
    lines = [outcome["question"], f"Timed: {outcome['timed']}", "", text_table(rows, header=header)]
    for name, ratio in outcome["ratios"].items():
        least = outcome["targets"].get(name)
        said = "" if least is None else f", at least {least:g} wanted: "
        said += "" if least is None else ("met" if outcome["met"][name] else "NOT MET")
        lines.append(f"{name}: {ratio:.2f} times{said}")
    return "\n".join(lines)


def main(run: Callable[..., dict[str, Any]]) -> None:
    """Run one benchmark from the command line: ``python -m benchmarks.features --repeats 3``."""

    def command(repeats: int = 5, json_file: Path | None = None) -> None:
        outcome = run(repeats=repeats)
        print(table(outcome))
        if json_file is not None:
            json_file.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
        if not all(outcome["met"].values()):
            raise typer.Exit(1)

    typer.run(command)


@contextlib.contextmanager
def own_cache() -> Iterator[Path]:
    """Let labkit use an empty cache folder for a while; the user's own is left alone."""
    before = os.environ.get("LABKIT_CACHE")
    with tempfile.TemporaryDirectory(prefix="labkit-bench-") as folder:
        os.environ["LABKIT_CACHE"] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ["LABKIT_CACHE"]
            if before is not None:
                os.environ["LABKIT_CACHE"] = before
