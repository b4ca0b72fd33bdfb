"""From nothing to a kernel that has imported TensorFlow, isolated: cold, and warm.

The peer is the ordinary kernel that nbgrader starts for each submission, not isolated.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

from jupyter_client.manager import start_new_kernel

from benchmarks.harness import main as run_main
from benchmarks.harness import measure, report
from labkit.course.sandbox import Sandbox

NAME = "kernels"
QUESTION = "How long until an isolated kernel has TensorFlow?"
TARGETS = {"cold / warm": 3.0}

CODE = "from labkit.engine import keras, tf"


def _isolated(sandbox: Sandbox) -> float:
    with tempfile.TemporaryDirectory() as folder, sandbox.kernel(folder) as kernel:
        began = time.perf_counter()
        client = kernel.client()
        reply = client.execute_interactive(CODE, timeout=300)
        seconds = time.perf_counter() - began
        assert reply["content"]["status"] == "ok", reply
        client.stop_channels()
    return seconds


def _ordinary() -> float:
    began = time.perf_counter()
    manager, client = start_new_kernel(kernel_name="python3")
    reply = client.execute_interactive(CODE, timeout=300)
    seconds = time.perf_counter() - began
    assert reply["content"]["status"] == "ok", reply
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return seconds


def run(repeats: int = 5) -> dict[str, Any]:
    with Sandbox(warm=False) as cold, Sandbox(warm=True) as warm:
        _isolated(warm)  # the parent's own import is paid once a batch
        measured = measure(
            {
                "ordinary kernel, not isolated": _ordinary,
                "cold kernel": lambda: _isolated(cold),
                "warm kernel": lambda: _isolated(warm),
            },
            repeats,
        )
        isolation = cold.isolation
    medians = {name: row["median"] for name, row in measured.items()}
    ratios = {
        "cold / warm": medians["cold kernel"] / medians["warm kernel"],
        "ordinary / warm": medians["ordinary kernel, not isolated"] / medians["warm kernel"],
    }
    timed = "starting the kernel until its import of TensorFlow and Keras is done."
    return report(NAME, QUESTION, timed, measured, ratios, TARGETS, isolation=isolation)


def main() -> None:
    run_main(run)


if __name__ == "__main__":
    main()
