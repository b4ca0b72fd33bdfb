"""The command ``labkit``: what instructors, students and CI type.

Exit status: 0 done, 1 something that was asked about failed, 2 wrong usage. An error is
one line; ``--debug`` shows the traceback.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from labkit.errors import LabkitError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="The transfer-learning lab.",
)  # fmt: skip
data_app = typer.Typer(no_args_is_help=True, help="Datasets: list, fetch, check, pack, unpack.")
app.add_typer(data_app, name="data")
console = Console(highlight=False)


class Profile(StrEnum):
    """How much the notebooks compute."""

    smoke = "smoke"
    cpu = "cpu"
    gpu = "gpu"


class Data(StrEnum):
    """Which images the notebooks use."""

    auto = "auto"
    simulated = "simulated"
    real = "real"


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show an error's traceback.")] = False,
) -> None:
    # main() takes --debug out of the words before they come here, so that it may stand
    # anywhere; it is declared for --help.
    del debug


@app.command()
def doctor(
    gpu: Annotated[bool, typer.Option("--gpu", help="A GPU is needed: fail without one.")] = False,
) -> None:
    """Say what this machine has, and what to do about what is missing."""
    from labkit.doctor import examine

    with console.status("looking around; TensorFlow takes some seconds to start"):
        findings = examine()
    marks = {"good": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}
    table = Table("thing", "", "found", "what to do", box=None)
    for finding in findings:
        table.add_row(finding.thing, marks[finding.state], finding.found, finding.remedy)
    console.print(table)
    no_gpu = gpu and not any(f.thing == "GPU" and f.state == "good" for f in findings)
    raise typer.Exit(no_gpu or any(finding.state == "missing" for finding in findings))


@app.command()
def run(
    notebooks: Annotated[list[str] | None, typer.Argument(help="Names or files; all.")] = None,
    profile: Annotated[Profile, typer.Option(help="How much is computed.")] = Profile.cpu,
    data: Annotated[Data, typer.Option(help="Which images.")] = Data.auto,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("build/report"),
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks at the same time.")] = 1,
) -> None:
    """Execute the course's notebooks by papermill and write a report."""
    import joblib

    from labkit.course.report import write_report
    from labkit.course.run import find_notebooks, run_notebook

    sources = find_notebooks(notebooks or ())
    settings = {"profile": profile.value, "data": data.value}
    jobs = min(jobs, len(sources))
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    runs = []
    bars = jobs == 1 and sys.stderr.isatty()
    for done in parallel(
        joblib.delayed(run_notebook)(
            source, out / "notebooks", progress=bars, jobs=jobs, **settings
        )
        for source in sources
    ):
        runs.append(done)
        colour = "green" if done.status == "passed" else "red"
        console.print(
            f"[{colour}]{done.status}[/]  {done.name}: {done.points:g} of {done.max_points:g} "
            f"points, {done.seconds:.0f} s{': ' if done.reason else ''}{done.reason}"
        )
    index = write_report(runs, out, **settings)
    console.print(f"The report: {index}", soft_wrap=True)
    raise typer.Exit(any(done.status == "failed" for done in runs))


@app.command()
def release(
    notebooks: Annotated[list[str] | None, typer.Argument(help="Names or files; all.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path(
        "build/release"
    ),
    overwrite: Annotated[bool, typer.Option(help="Replace notebooks that are there.")] = False,
) -> None:
    """Write the student version of assignments, and a zip of each."""
    from labkit.course.release import release as write
    from labkit.course.run import find_notebooks

    for released in write(find_notebooks(notebooks or ()), out, overwrite=overwrite):
        console.print(f"{released.state:<8} {released.file}", soft_wrap=True)


@app.command()
def certificate(
    grades: Annotated[Path | None, typer.Argument(help="summary.csv or gradebook.db.")] = None,
    student: Annotated[str, typer.Option(help="The student, as in the grades.")] = "",
    name: Annotated[str, typer.Option(help="As it is to be printed; as in the grades.")] = "",
    key: Annotated[Path, typer.Option(help="The course's private key.")] = Path("certificate.key"),
    out: Annotated[Path, typer.Option("-o", "--out", help="An .svg or .pdf file.")] = Path(
        "certificate.pdf"
    ),
    make_key: Annotated[bool, typer.Option("--new-key", help="Only make a key.")] = False,
) -> None:
    """Write a signed page with what a student has reached, or make the key to sign with."""
    from labkit.course.certificate import issue, new_key, read_grades

    if make_key:
        public = new_key(key)
        console.print(f"Keep {key} secret and safe. Give {public} to everybody.", soft_wrap=True)
        return
    if grades is None or not student:
        raise typer.BadParameter("name the grades and --student, or ask for --new-key.")
    issue(read_grades(grades, student, name=name), key, out)
    console.print(str(out), soft_wrap=True)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A certificate, or its QR code's text in a file.")],
    key: Annotated[Path | None, typer.Option(help="The course's public key.")] = None,
) -> None:
    """Check, without a network, that a certificate is as it was signed."""
    from labkit.course.certificate import verify as check

    console.print(str(check(file, key)), soft_wrap=True, markup=False)


@app.command()
def check(
    notebook: Annotated[Path, typer.Argument(help="A notebook of the course, with your answers.")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a cell may take.")] = 120,
    memory: Annotated[float, typer.Option(min=0.5, help="GB that it may use.")] = 4,
    data: Annotated[Data, typer.Option(help="Which images.")] = Data.auto,
) -> None:
    """Run a student's notebook in the grader's sandbox and say what its checks say."""
    from labkit.course.grading.batch import Settings
    from labkit.course.grading.feedback import WORDS
    from labkit.course.grading.selfcheck import check_notebook

    graded = check_notebook(notebook, Settings(timeout, memory, data.value))
    table = Table("exercise", "", "points", "why", box=None)
    for one in graded.grades:
        points = f"{one.points:g} of {one.max_points:g}"
        table.add_row(escape(one.exercise), WORDS[one.status], points, escape(one.reason))
    console.print(table)
    raise typer.Exit(graded.status != "passed")


@app.command()
def grade(
    submissions: Annotated[Path, typer.Argument(help="<student>/<assignment>/<assignment>.ipynb")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the results.")] = Path(
        "build/grades"
    ),
    assignment: Annotated[str | None, typer.Option(help="One only: a name, or a source.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Submissions at the same time.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds a cell or check may take.")] = 120,
    memory: Annotated[float, typer.Option(min=0.5, help="GB a submission may use.")] = 4,
    data: Annotated[Data, typer.Option(help="Which images.")] = Data.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    require_sandbox: Annotated[
        bool, typer.Option("--require-sandbox", help="Refuse to grade without isolation.")
    ] = False,
) -> None:
    """Grade submissions in isolation: CSV files, feedback pages, an nbgrader gradebook."""
    from labkit.course.grading.command import grade_folder

    results = grade_folder(
        submissions, out, assignment=assignment, jobs=jobs, scheduler=scheduler, seconds=timeout,
        memory=memory, data=data.value, resume=resume, require_sandbox=require_sandbox,
        progress=sys.stderr.isatty(), say=lambda text: console.print(text, soft_wrap=True),
    )  # fmt: skip
    raise typer.Exit(not results)


@data_app.command("list")
def data_list() -> None:
    """List the datasets: what they are, and whether real images are here."""
    from labkit.data.cards import list_cards, load_card
    from labkit.data.loading import real_folder

    table = Table("name", "real images", "what", box=None)
    for name in list_cards():
        folder = real_folder(name)
        table.add_row(name, str(folder) if folder else "no", load_card(name).title)
    console.print(table)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="A name that 'labkit data list' shows.")],
) -> None:
    """Download a public set, verify it and put it into the cache."""
    from labkit.data.fetching import fetch

    console.print(f"{name} is in {fetch(name)}", soft_wrap=True)


@data_app.command("check")
def data_check(
    path: Annotated[Path, typer.Argument(help="A folder <class>/ or <split>/<class>/.")],
) -> None:
    """Look for what would make training on a folder mislead; exit 1 when there is something."""
    from labkit.data.checking import check_folder

    found = check_folder(path)
    console.print(found)
    raise typer.Exit(not found.ok)


@data_app.command("pack")
def data_pack(
    names: Annotated[list[str], typer.Argument(help="Datasets; real images of each are needed.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The archive to write.")],
) -> None:
    """Write one archive with images, cards and the backbones' weights, for a classroom."""
    from labkit.backbones.weights import weights_here
    from labkit.data.loading import need_real_folder
    from labkit.data.packing import pack

    folders = {name: need_real_folder(name) for name in names}
    console.print(str(pack(folders, weights_here(), output)), soft_wrap=True)


@data_app.command("unpack")
def data_unpack(
    file: Annotated[Path, typer.Argument(help="An archive that 'labkit data pack' wrote.")],
    replace: Annotated[bool, typer.Option(help="Replace datasets that differ.")] = False,
) -> None:
    """Verify a classroom archive and put its images and weights where labkit finds them."""
    from labkit.backbones.weights import weights_folder
    from labkit.data.packing import unpack

    report = unpack(file, weights_folder=weights_folder(), replace=replace)
    console.print(str(report), soft_wrap=True)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Names; all.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the JSON files.")] = Path("build/bench"),
) -> None:
    """Measure labkit beside a named peer, in the same run: a table, and JSON."""
    from labkit.course.bench import run_benchmarks

    raise typer.Exit(not run_benchmarks(names or (), out, console))


def main() -> None:
    """Run the command line; print an error that labkit raised as one line."""
    words = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app(args=words)
    except LabkitError as error:
        if len(words) < len(sys.argv) - 1:
            raise
        print(f"labkit: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("labkit: stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
