import subprocess
import sys

import nbformat
import pytest
from PIL import Image

import labkit
from labkit import cli
from labkit.doctor import Finding


def call(monkeypatch, *words):
    """Run the command line in this process; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["labkit", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code or 0


@pytest.fixture
def folder(tmp_path):
    numbers = iter(range(1000))
    for split in ("train", "validation", "test"):
        for name in ("round", "square"):
            place = tmp_path / "set" / split / name
            place.mkdir(parents=True)
            for i in range(3):
                shade = next(numbers)
                image = Image.effect_noise((64, 64), 60 + shade).convert("RGB")
                image.save(place / f"{i}.png")
    return tmp_path / "set"


def test_help_names_every_command(monkeypatch, capsys):
    assert call(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for command in ("doctor", "run", "data", "release", "bench"):
        assert command in shown


@pytest.mark.parametrize(
    "words",
    [("nonsense",), ("run", "--profile", "fast"), ("data", "pack", "x"), ("run", "--jobs", "0")],
)
def test_wrong_usage_is_exit_status_2(monkeypatch, words):
    assert call(monkeypatch, *words) == 2


def test_an_error_is_one_line_and_exit_status_1(monkeypatch, capsys):
    assert call(monkeypatch, "run", "no_such_lesson") == 1
    error = capsys.readouterr().err
    assert error.startswith("labkit: There is no notebook 'no_such_lesson'")
    assert error.count("\n") == 1


@pytest.mark.parametrize("place", [0, 2])
def test_debug_shows_the_traceback_wherever_it_stands(monkeypatch, place):
    words = ["run", "no_such_lesson"]
    words.insert(place, "--debug")
    monkeypatch.setattr(sys, "argv", ["labkit", *words])
    with pytest.raises(labkit.errors.CourseError):
        cli.main()


def test_data_check_tells_good_folders_from_bad_ones(monkeypatch, capsys, folder):
    assert call(monkeypatch, "data", "check", str(folder)) == 0
    (folder / "train" / "round" / "9.png").write_text("no image")
    assert call(monkeypatch, "data", "check", str(folder)) == 1
    assert "9.png" in capsys.readouterr().out
    assert call(monkeypatch, "data", "check", str(folder / "nowhere")) == 1


def test_data_pack_and_unpack_move_a_dataset(monkeypatch, capsys, folder, tmp_path):
    place = tmp_path / "real" / "cats_vs_dogs"
    place.parent.mkdir()
    folder.rename(place)
    monkeypatch.setenv("LABKIT_DATA", str(place.parent))
    pack = tmp_path / "class.zip"
    assert call(monkeypatch, "data", "pack", "cats_vs_dogs", "-o", str(pack)) == 0
    monkeypatch.delenv("LABKIT_DATA")
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    assert call(monkeypatch, "data", "unpack", str(pack)) == 0
    dataset = labkit.load_dataset("cats_vs_dogs", source="real", image_size=32)
    assert len(dataset.train) == 6
    assert call(monkeypatch, "data", "pack", "dog_breeds", "-o", str(pack)) == 1
    assert "no real copy of 'dog_breeds'" in capsys.readouterr().err


def test_run_with_two_notebooks_at_a_time(monkeypatch, tmp_path, capsys):
    for name in ("one", "two"):
        cell = nbformat.v4.new_code_cell(f"# {name}", metadata={"tags": ["parameters"]})
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / f"{name}.ipynb")
    monkeypatch.setattr("labkit.course.report._simulated_images", list)
    files = [str(tmp_path / f"{name}.ipynb") for name in ("one", "two")]
    assert call(monkeypatch, "run", *files, "--jobs", "2", "--out", str(tmp_path / "out")) == 0
    shown = capsys.readouterr().out
    assert shown.index("passed  one") < shown.index("passed  two")
    assert "one.html" in (tmp_path / "out" / "index.html").read_text()


def test_data_list_names_all(monkeypatch, capsys):
    assert call(monkeypatch, "data", "list") == 0
    shown = capsys.readouterr().out
    assert "cats_vs_dogs" in shown
    assert "cancer_cells" in shown


def test_doctor_finds_nothing_missing_here(monkeypatch, capsys):
    assert call(monkeypatch, "doctor") == 0
    shown = capsys.readouterr().out
    assert "EfficientNetLite0" in shown
    assert "simulated images are used" in " ".join(shown.split())


@pytest.mark.parametrize(("state", "status"), [("good", 0), ("note", 1)])
def test_doctor_fails_without_a_gpu_where_one_is_needed(monkeypatch, state, status):
    found = [Finding("memory", "good", "8 GB"), Finding("GPU", state, "none")]
    monkeypatch.setattr("labkit.doctor.examine", lambda: found)
    assert call(monkeypatch, "doctor", "--gpu") == status
    assert call(monkeypatch, "doctor") == 0


def test_doctor_says_what_is_wrong(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "nowhere"))
    assert call(monkeypatch, "doctor") == 1
    assert "missing" in capsys.readouterr().out


def test_the_installed_command_and_the_module_are_the_same():
    done = subprocess.run(
        [sys.executable, "-m", "labkit.cli", "run", "no_such_lesson"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_certificate_from_key_to_verified(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "summary.csv").write_text("student,assignment,points,max_points\nana,x,2,3\n")
    assert call(monkeypatch, "certificate", "--new-key") == 0
    words = ("certificate", "summary.csv", "--student", "ana", "--name", "Ana [b] M", "-o", "a.svg")
    assert call(monkeypatch, *words) == 0
    capsys.readouterr()
    assert call(monkeypatch, "verify", "a.svg", "--key", "certificate.pub") == 0
    assert "Ana [b] M" in capsys.readouterr().out
    page = tmp_path / "a.svg"
    page.write_text(page.read_text().replace("2 of 3", "3 of 3"))
    assert call(monkeypatch, "verify", "a.svg", "--key", "certificate.pub") == 1
    assert "was changed after it was signed" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("certificate",), ("certificate", "summary.csv"), ("verify",)])
def test_a_certificate_of_nobody_is_wrong_usage(monkeypatch, words):
    assert call(monkeypatch, *words) == 2
