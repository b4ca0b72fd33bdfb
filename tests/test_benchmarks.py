"""What the README tells about speed is what the kept measurements hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

from labkit.course.bench import find_benchmarks

ROOT = Path(__file__).parents[1]
RESULTS = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in (ROOT / "benchmarks" / "results").glob("*.json")
}


def test_every_ratio_that_the_readme_tells_was_measured() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| ([\d.]+) \|$", text, re.MULTILINE)
    assert {name for name, _, _ in rows} == {n for n, kept in RESULTS.items() if "measured" in kept}
    for name, ratio, told in rows:
        assert told == f"{RESULTS[name]['ratios'][ratio]:.1f}", (name, ratio)


def test_what_similarity_foretells_is_told_as_it_was_measured() -> None:
    told = RESULTS["similarity"]["foretells"]["BatchNorm overlap, late"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"(rank correlation {told:.2f}," in text


def test_kept_results_are_of_measurements_that_are_still_there() -> None:
    assert set(RESULTS) <= set(find_benchmarks())
    for name, kept in RESULTS.items():
        assert {"versions", "cores", "day"} <= set(kept), name
