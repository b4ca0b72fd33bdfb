"""The GitHub workflows: by GitHub's own schema, and nothing in them that does not exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from labkit.cli import app

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))

every_file = pytest.mark.parametrize("file", WORKFLOWS + ACTIONS, ids=lambda file: file.stem)
every_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)


def by_schema(file, schema):
    words = ["check_jsonschema", "--builtin-schema", schema, str(file)]
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)


def steps(file):
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    jobs = [read["runs"]] if "runs" in read else read["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def commands(file):
    return [line for step in steps(file) for line in step.get("run", "").splitlines()]


def test_there_is_one_for_changes_one_for_nights_and_one_for_gpus():
    assert {file.stem for file in WORKFLOWS} == {"pull-request", "nightly", "gpu"}


@every_file
def test_it_is_what_github_reads(file):
    schema = "vendor.github-actions" if file in ACTIONS else "vendor.github-workflows"
    found = by_schema(file, schema)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_schema_notices_a_fault(tmp_path):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "run-on:"))
    assert by_schema(wrong, "vendor.github-workflows").returncode == 1


@every_file
def test_what_it_calls_exists(file):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([\w./]+):", makefile, re.MULTILINE)
    course = get_command(app).commands
    for line in commands(file):
        if line.startswith("make "):
            assert line.split()[1] in targets, line
        if "bin/labkit " in line:
            words = re.split(r"bin/labkit ", line)[1].split()
            command = course[words[0]]
            if hasattr(command, "commands"):
                command = command.commands[words[1]]
            options = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= options, line


@every_file
def test_nothing_from_outside_is_put_into_a_command(file):
    # GitHub pastes ${{ ... }} into the script: what somebody typed would be run.
    assert not [line for line in commands(file) if "${{" in line]


@every_workflow
def test_it_may_only_read_and_cannot_hang(file):
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert read["permissions"] == {"contents": "read"}
    for job in read["jobs"].values():
        assert job["timeout-minutes"] <= 360
        assert any("upload-artifact" in step.get("uses", "") for step in job["steps"])


def test_a_machine_of_ones_own_never_runs_a_pull_request():
    for file in WORKFLOWS:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
        triggers = read[True]  # YAML reads the word "on" as true
        for job in read["jobs"].values():
            if "self-hosted" in job["runs-on"]:
                assert set(triggers) == {"schedule", "workflow_dispatch"}


def test_the_gpu_workflow_installs_the_tensorflow_of_the_course():
    extra = next(step["with"]["extra"] for step in steps(ROOT / ".github/workflows/gpu.yml")
                 if "extra" in step.get("with", {}))  # fmt: skip
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert extra.replace("[and-cuda]", "") in pins
