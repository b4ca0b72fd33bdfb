"""The reference results: complete, paired, with what they rest on; and what is said of them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from labkit.data.dataset import Source
from labkit.errors import DataError
from labkit.quadrants.comparison import Comparison
from labkit.quadrants.reference import QUADRANT_NAMES, reference
from labkit.quadrants.runs import CONTENDERS

SOURCES = get_args(Source)


@pytest.mark.parametrize("source", SOURCES)
def test_every_quadrant_has_every_strategy_from_five_seeds_or_more(source: Any) -> None:
    found = reference(source)
    assert found.datasets == [*QUADRANT_NAMES.values()]
    for name in found.datasets:
        seeds = {s: [r.seed for r in found.runs if (r.dataset, r.strategy) == (name, s)]
                 for s in CONTENDERS}  # fmt: skip
        assert len(seeds["frozen"]) >= 5
        assert all(sorted(of) == sorted(seeds["frozen"]) for of in seeds.values())


@pytest.mark.parametrize("source", SOURCES)
def test_runs_of_a_seed_are_paired(source: Any) -> None:
    for run in reference(source).runs:
        others = [
            r for r in reference(source).runs if (r.dataset, r.seed) == (run.dataset, run.seed)
        ]
        assert len({r.images for r in others}) == 1
        assert len({r.start for r in others if r.strategy in ("partial", "full")}) == 1
        assert run.n_train == (2000 if "large" in run.dataset else 50)
        assert run.n_test >= 600


@pytest.mark.parametrize("source", SOURCES)
def test_it_says_what_it_rests_on(source: Any) -> None:
    about = reference(source).about
    assert set(about) >= {"images", "intervals", "backbone", "settings", "versions", "machine"}
    assert f"{source} images" in about["images"]
    assert int(about["images"].split(" px")[0].split()[-1]) >= 96
    assert "EfficientNetLite0" in about["backbone"]


def test_from_scratch_loses_to_transfer_where_images_are_few() -> None:
    for number in (3, 4):
        assert reference("real").difference(QUADRANT_NAMES[number], "frozen", "scratch").low > 0


def test_another_source_is_refused() -> None:
    with pytest.raises(DataError, match="'real', 'simulated'"):
        reference("drawn")  # type: ignore[arg-type]


def test_it_prints_and_draws() -> None:
    found = reference("real")
    assert isinstance(found, Comparison)
    assert "1 large, dissimilar" in str(found)
    assert found.plot().png().startswith(b"\x89PNG")
