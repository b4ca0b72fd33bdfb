"""The practice folder: every planted fault is one that the check finds."""

import pytest

from labkit.data.checking import check_folder
from labkit.data.practice import practice_folder
from labkit.errors import DataError


def test_check_finds_each_planted_fault_and_no_other_error(tiny, tmp_path):
    planted = practice_folder(tiny, tmp_path / "practice", per_class=8)
    errors = [f for f in check_folder(tmp_path / "practice").findings if f.severity == "error"]
    assert {finding.kind: path for finding in errors for path in finding.paths
            if path in planted.values()} == planted  # fmt: skip
    assert len(errors) == len(planted)


def test_without_the_planted_files_and_their_twin_it_is_fit_to_train_on(tiny, tmp_path):
    folder = tmp_path / "practice"
    planted = practice_folder(tiny, folder, per_class=8)
    for path in (*planted.values(), "train/blue/002.png"):
        (folder / path).unlink()
    found = check_folder(folder)
    assert found.ok
    assert found.counts["train"] == {"blue": 7, "red": 8}
    assert found.counts["test"] == {"blue": 4, "red": 4}


def test_a_folder_that_exists_is_left_alone(tiny, tmp_path):
    with pytest.raises(DataError, match="exists"):
        practice_folder(tiny, tmp_path)
