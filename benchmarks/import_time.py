"""Wall time of ``import labkit`` in a new interpreter, beside ``import keras``."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.harness import main as run_main
from benchmarks.harness import measure, report

NAME = "import_time"
QUESTION = "How long does 'import labkit' take?"
LIMIT = 0.2
TARGETS = {"0.2 s / labkit": 1.0}

_CODE = """
import json, sys, time
began = time.perf_counter()
import {module}
print(json.dumps([time.perf_counter() - began, "tensorflow" in sys.modules]))
"""


def run(repeats: int = 5) -> dict[str, Any]:
    loaded: dict[str, bool] = {}

    def importing(module: str) -> float:
        said = subprocess.run(
            [sys.executable, "-c", _CODE.format(module=module)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds, loaded[module] = json.loads(said.stdout.splitlines()[-1])
        return float(seconds)

    measured = measure(
        {
            "import labkit": lambda: importing("labkit"),
            "import keras": lambda: importing("keras"),
        },
        repeats,
    )
    labkit_seconds = measured["import labkit"]["median"]
    ratios = {
        "0.2 s / labkit": LIMIT / labkit_seconds,
        "keras / labkit": measured["import keras"]["median"] / labkit_seconds,
    }
    timed = "the import statement in a new interpreter; starting Python is not in it."
    return report(NAME, QUESTION, timed, measured, ratios, TARGETS, loads_tensorflow=loaded)


def main() -> None:
    run_main(run)


if __name__ == "__main__":
    main()
