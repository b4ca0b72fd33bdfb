"""Executes lessons and keeps the outputs of their deterministic cells, which nbval compares.

Run after a lesson was edited: ``python tests/notebooks/keep_outputs.py [NAME...]``. The
images have to be the simulated ones, since that is what a fresh machine compares with.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat

from labkit.course.run import find_notebooks, read_notebook, run_notebook


def main() -> None:
    os.environ.pop("LABKIT_DATA", None)
    for source in find_notebooks(sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            done = run_notebook(source, Path(folder), profile="cpu", data="auto")
            print(done)
            ran = [c for c in read_notebook(done.file).cells if "injected" not in str(c.metadata)]
        notebook = read_notebook(source)
        for cell, executed in zip(notebook.cells, ran, strict=True):
            if cell.cell_type == "code":
                kept = "nbval-check-output" in cell.metadata.get("tags", [])
                cell.outputs = executed.outputs if kept else []
                cell.execution_count = 1 if cell.outputs else None  # nbval wants a number
                for output in cell.outputs:
                    if output.output_type == "execute_result":
                        output.execution_count = 1
        nbformat.write(notebook, source)


if __name__ == "__main__":
    main()
