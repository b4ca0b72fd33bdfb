"""Comparing strategies: pairing, choices, resuming, budget, output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labkit
from labkit.errors import DataError, LabkitError, ModelError
from labkit.quadrants import budget
from labkit.quadrants import runs as runs_module
from labkit.quadrants.budget import duration, fit_into
from labkit.quadrants.comparison import Comparison
from labkit.quadrants.runs import CONTENDERS, Run, Settings

QUICK: dict[str, Any] = {
    "seeds": 2, "per_class": 20, "epochs": 2, "tops": (1, 2), "learning_rates": (1e-3,),
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A comparison of all strategies on two datasets, its backbone and its cache folder."""
    folder = tmp_path_factory.mktemp("comparison-cache")
    patch = pytest.MonkeyPatch()
    patch.setenv("LABKIT_CACHE", str(folder))
    backbone = a_backbone()
    before = [weight.copy() for weight in backbone.get_weights()]
    sets = {"pets": tiny, "cells": tiny.with_train(tiny.train.take(30, seed=3))}
    found = labkit.compare(sets, backbone, **QUICK)
    patch.undo()
    return found, backbone, before, folder, sets


def a_backbone() -> Any:
    """A base of three convolutions with BatchNorm, for 32 px."""
    from labkit.engine import keras

    layers = keras.layers
    x = images = keras.Input((32, 32, 3), name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    for i, filters in enumerate((6, 8, 10)):
        start = keras.initializers.HeNormal(i)
        x = layers.Conv2D(filters, 3, 2, "same", kernel_initializer=start, name=f"conv{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(layers.BatchNormalization(name=f"norm{i}")(x))
    return keras.Model(images, x, name="small")


def test_every_strategy_runs_from_every_seed(kept: Any) -> None:
    found = kept[0]
    assert found.datasets == ["pets", "cells"]
    assert tuple(found.strategies) == CONTENDERS
    assert {(r.dataset, r.strategy, r.seed) for r in found.runs} == {
        (d, s, seed) for d in ("pets", "cells") for s in CONTENDERS for seed in (0, 1)
    }
    for run in found.runs:
        assert run.n_train == 40
        assert run.n_test == 40
        assert run.accuracy * 40 == pytest.approx(round(run.accuracy * 40))
        assert run.seconds > 0
        assert run.memory_mb > 50


def test_runs_of_a_seed_share_images_and_head(kept: Any) -> None:
    by_seed = {
        (seed, strategy): next(
            r for r in kept[0].runs if (r.dataset, r.seed, r.strategy) == ("pets", seed, strategy)
        )
        for seed in (0, 1)
        for strategy in CONTENDERS
    }
    for seed in (0, 1):
        assert len({by_seed[seed, s].images for s in CONTENDERS}) == 1
        assert by_seed[seed, "partial"].start == by_seed[seed, "full"].start
        assert by_seed[seed, "scratch"].start == ""
    # they start where frozen ended; a head that never got better ends where it began
    assert any(by_seed[s, "partial"].start != by_seed[s, "frozen"].start for s in (0, 1))
    assert by_seed[0, "frozen"].images != by_seed[1, "frozen"].images
    assert by_seed[0, "frozen"].start != by_seed[1, "frozen"].start


def test_the_validation_split_chooses_the_blocks(kept: Any) -> None:
    for run in kept[0].runs:
        expected = {"partial": {"top", "learning_rate"}, "full": {"learning_rate"}}
        assert set(run.choices) == expected.get(run.strategy, set())
        assert run.choices.get("top", 1) in (1, 2)


def test_a_tuned_run_is_never_behind_its_start_on_validation(kept: Any) -> None:
    at = {(r.dataset, r.seed, r.strategy): r.validation for r in kept[0].runs}
    for (dataset, seed, strategy), accuracy in at.items():
        if strategy in ("partial", "full"):
            assert accuracy >= at[dataset, seed, "frozen"]


def test_the_backbone_is_left_alone(kept: Any) -> None:
    _, backbone, before, _, _ = kept
    assert all(map(np.array_equal, backbone.get_weights(), before))
    assert all(layer.trainable for layer in backbone.layers)


def test_finished_runs_are_not_run_again(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, backbone, _, folder, sets = kept
    monkeypatch.setenv("LABKIT_CACHE", str(folder))
    monkeypatch.setattr(runs_module._Bench, "run", _must_not_run)
    assert labkit.compare(sets, backbone, **QUICK).to_json() == found.to_json()


def _must_not_run(*arguments: Any) -> Run:
    raise AssertionError("a finished run was run again")


def test_an_interrupted_comparison_goes_on(
    kept: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, backbone, _, _, sets = kept
    done: list[str] = []
    really = runs_module._Bench.run

    def stop_in_the_third(bench: Any, strategy: Any) -> Run:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(strategy)
        return really(bench, strategy)

    quick = {**QUICK, "seeds": 1, "tops": (2,)}
    monkeypatch.setattr(runs_module._Bench, "run", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        labkit.compare(sets["pets"], backbone, strategies=("frozen", "full", "scratch"), **quick)
    assert done == ["scratch", "frozen"]

    def count(bench: Any, strategy: Any) -> Run:
        done.append(strategy)
        return really(bench, strategy)

    monkeypatch.setattr(runs_module._Bench, "run", count)
    again = labkit.compare(
        sets["pets"], backbone, strategies=("frozen", "full", "scratch"), **quick
    )
    assert done == ["scratch", "frozen", "full"]
    name = sets["pets"].name
    for strategy in ("frozen", "full", "scratch"):
        assert again.accuracies(name, strategy) == pytest.approx(
            found.accuracies("pets", strategy)[:1], abs=0.051
        )


def test_other_settings_are_other_runs(kept: Any, own_cache: Path) -> None:
    _, backbone, _, _, sets = kept
    data = sets["pets"]
    settings = Settings(2, (1,), (1e-3,), "small", None)
    task = runs_module.Task("pets", data, "d", backbone, "n", 0, ("frozen",), settings)
    others = [
        replace(task, seed=1),
        replace(task, images="e"),
        replace(task, network="m"),
        replace(task, settings=replace(settings, epochs=3)),
        replace(task, settings=replace(settings, per_class=5)),
    ]
    files = [t.file("frozen") for t in [task, *others]]
    assert len(set(files)) == 6
    # what a strategy does not depend on does not make it another run
    assert replace(task, settings=replace(settings, tops=(2,))).file("frozen") == files[0]
    assert replace(task, name="cats").file("frozen") == files[0]
    assert replace(task, network="m").file("scratch") == task.file("scratch")


def test_a_damaged_run_is_run_again(kept: Any, own_cache: Path) -> None:
    found, backbone, _, _, sets = kept
    settings = Settings(2, (1,), (1e-3,), "small", None)
    task = runs_module.Task("pets", sets["pets"], "d", backbone, "n", 0, ("frozen",), settings)
    task.keep(found.runs[0])
    assert task.finished("frozen") == found.runs[0]
    task.file("frozen").write_text('{"dataset": "pe')
    assert task.pending() == ["frozen"]


@pytest.mark.slow
def test_two_processes_give_the_same_numbers(kept: Any, own_cache: Path) -> None:
    found, backbone, _, _, sets = kept
    quick = {**QUICK, "strategies": ("frozen", "scratch")}
    spread = labkit.compare(sets["pets"], backbone, jobs=2, **quick)
    for strategy in ("frozen", "scratch"):
        assert spread.accuracies(sets["pets"].name, strategy) == pytest.approx(
            found.accuracies("pets", strategy), abs=0.026
        )


@pytest.mark.slow
def test_two_dask_workers_give_the_same_numbers(kept: Any, own_cache: Path) -> None:
    distributed = pytest.importorskip("distributed")
    found, backbone, _, _, sets = kept
    quick = {**QUICK, "strategies": ("frozen", "partial")}
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options, host="127.0.0.1") as cluster:
        spread = labkit.compare(
            sets["pets"], backbone, scheduler=cluster.scheduler_address, **quick
        )
    for strategy in ("frozen", "partial"):
        assert spread.accuracies(sets["pets"].name, strategy) == pytest.approx(
            found.accuracies("pets", strategy), abs=0.026
        )


def test_networks_that_are_used_again_give_the_same_numbers(kept: Any, own_cache: Path) -> None:
    """A seed that comes after others in a process ends where it ends in a fresh one."""
    _, backbone, _, _, sets = kept
    settings = Settings(2, (1, 2), (1e-3,), "small", 20)
    task = runs_module.Task("pets", sets["pets"], "d", backbone, "n", 1, CONTENDERS, settings)
    used = runs_module._Networks(task)
    for strategy in CONTENDERS:
        runs_module._Bench(replace(task, seed=0), used).run(strategy)
    for strategy in CONTENDERS:
        again = runs_module._Bench(task, used).run(strategy)
        fresh = runs_module._Bench(task, runs_module._Networks(task)).run(strategy)
        assert (again.images, again.start) == (fresh.images, fresh.start)
        assert again.accuracy == pytest.approx(fresh.accuracy, abs=0.026), strategy
        assert again.validation == pytest.approx(fresh.validation, abs=0.026), strategy


@pytest.mark.parametrize(("images", "passes"), [(40, 7), (256, 1), (255, 2), (2000, 1)])
def test_few_images_are_gone_through_several_times(images: int, passes: int) -> None:
    assert Settings(2, (1,), (1e-3,), "small", None).passes_of(images) == passes


def test_scratch_may_be_the_backbones_own_layers(kept: Any, own_cache: Path) -> None:
    _, backbone, _, _, sets = kept
    quick = {**QUICK, "seeds": 1, "strategies": ("scratch",), "scratch": "same"}
    found = labkit.compare(sets["pets"], backbone, **quick)
    assert "small, random weights" in found.about["backbone"]
    assert 0 <= found.runs[0].accuracy <= 1


# Output


def made_up() -> Comparison:
    accuracies = {
        "pets": {"frozen": [0.93, 0.94, 0.95], "full": [0.88, 0.89, 0.89], "scratch": [0.5] * 3},
        "cells": {"frozen": [0.78, 0.80, 0.76], "full": [0.79, 0.80, 0.78], "scratch": [0.6] * 3},
    }
    return Comparison(
        tuple(
            Run(data, strategy, seed, accuracy, 0.9, 50, 100, 10.0 + seed, 15.0, 900.0,  # type: ignore[arg-type]
                {"learning_rate": 1e-4} if strategy == "full" else {}, "i", "s")
            for data, of in accuracies.items()
            for strategy, values in of.items()
            for seed, accuracy in enumerate(values)
        ),
        {"intervals": "95 %"},
    )  # fmt: skip


def test_a_comparison_prints_table_and_verdicts(golden: Callable[[str, str], None]) -> None:
    golden("comparison.txt", str(made_up()))


def test_the_table_is_pandas() -> None:
    table = made_up().table.set_index(["dataset", "strategy"])
    row = table.loc["pets", "frozen"]
    # 4.302653 * 0.01 / sqrt(3) = 0.024841
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(
        (0.94, 0.94 - 0.024841, 0.94 + 0.024841), abs=1e-6
    )
    assert row["seconds"] == 11
    assert table.loc["cells", "full"]["chosen"] == "learning_rate 0.0001 (3)"


def test_leaders_are_those_that_the_best_cannot_be_told_from() -> None:
    found = made_up()
    assert found.leaders("pets") == ["frozen"]
    assert found.leaders("cells") == ["full", "frozen"]


def test_differences_and_verdicts_agree() -> None:
    found = made_up()
    table = found.differences
    assert list(table["verdict"]) == [v for said in found.verdicts.values() for v in said]
    assert list(table["mean"][:1]) == pytest.approx([0.94 - 0.8866667], abs=1e-6)


def test_html_names_every_verdict() -> None:
    found = made_up()
    html = found._repr_html_()
    assert all(v in html for said in found.verdicts.values() for v in said)


def test_json_and_back() -> None:
    found = made_up()
    again = Comparison.from_json(found.to_json())
    assert again.runs == found.runs
    assert str(again) == str(found)


@pytest.mark.parametrize("text", ["", "[]", '{"runs": [{}], "about": {}}', '{"runs": []}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="no comparison"):
        Comparison.from_json(text)


def test_one_run_has_no_interval_and_still_draws() -> None:
    found = made_up()
    one = Comparison(tuple(run for run in found.runs if run.seed == 0))
    assert "one run" in str(one)
    assert "cannot tell frozen from full (1 run;" in str(one)
    assert one.plot().png().startswith(b"\x89PNG")


def test_the_figure_has_a_panel_a_dataset() -> None:
    picture = made_up().plot()
    titles = [axis.get_title("left").strip() for axis in picture.figure.axes]
    assert titles == ["pets", "cells"]
    assert picture.png().startswith(b"\x89PNG")
    assert "pets: frozen 0.940, full 0.887, scratch 0.500; best: frozen." in picture.alt
    assert "best: full, not told from frozen." in picture.alt


def test_the_figure_says_where_the_images_come_from() -> None:
    drawn = replace(made_up(), about={"images": "pets (simulated images); 96 px"})
    assert drawn.plot().alt.startswith("Strategies compared (simulated). pets: frozen")


# Budget


def test_the_budget_says_how_many_seeds_fit() -> None:
    seconds = {0: 100.0, 1: 60.0, 2: 60.0, 3: 60.0}
    assert fit_into(600, seconds, 1) == ([0, 1, 2, 3], "up to 5 min of 10 min")
    seeds, text = fit_into(170, seconds, 1)
    assert seeds == [0, 1]
    assert text == "up to 3 min of 3 min; 4 seeds would take up to 5 min, 2 are run"
    assert fit_into(170, seconds, 2)[0] == [0, 1, 2, 3]


def test_a_budget_that_is_too_small_is_refused_in_one_line() -> None:
    with pytest.raises(LabkitError) as caught:
        fit_into(100, {0: 100.0, 1: 60.0, 2: 60.0}, 1)
    message = str(caught.value)
    assert message.startswith(
        "The comparison takes up to 4 min, with 2 seeds up to 3 min, and the budget is 2 min:"
    )
    assert "\n" not in message


def test_tracing_is_paid_once_for_networks_that_are_used_again(
    kept: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, backbone, _, _, sets = kept
    settings = Settings(2, (1, 2), (1e-3,), "small", 20)
    tasks = [
        runs_module.Task("pets", sets["pets"], "d", backbone, "n", seed, CONTENDERS, settings)
        for seed in (0, 1)
    ]
    monkeypatch.setattr(budget, "_seconds_an_image", lambda network: 1e-12)
    traced = budget.TRACING
    first = traced["frozen"] + 2 * traced["partial"] + traced["full"] + traced["scratch"]
    assert budget.seconds_of_tasks(tasks) == pytest.approx([first, 0.0], abs=1e-3)


def test_durations_read_well() -> None:
    assert [duration(s) for s in (0.4, 45, 150, 9000)] == ["0 s", "45 s", "2 min", "2.5 h"]


def test_compare_says_what_it_will_take_before_it_starts(
    kept: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, backbone, _, folder, sets = kept
    monkeypatch.setenv("LABKIT_CACHE", str(folder))
    monkeypatch.setattr(runs_module._Bench, "run", _must_not_run)
    again = labkit.compare(sets, backbone, budget=1, **QUICK)  # all finished: nothing to do
    assert "0 runs to do, 16 finished earlier: up to 0 s of 1 s." in capsys.readouterr().out
    assert again.runs == found.runs
    with pytest.raises(LabkitError, match="the budget is 1 s"):
        labkit.compare(sets, backbone, budget=1, **{**QUICK, "seeds": (7, 8)})


# Errors


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            {"strategies": ("frozen", "half")},
            ModelError,
            "no strategy 'half'. Choose from 'frozen'",
        ),
        ({"strategies": ()}, ModelError, "needs a strategy"),
        ({"seeds": 0}, ModelError, "a seed or more"),
        ({"seeds": (1, 1)}, ModelError, "that differ"),
        ({"per_class": 500}, DataError, "500 were asked for"),
        ({"scratch": "big"}, ModelError, "'small', 'same'"),
        ({"jobs": 0}, ModelError, "jobs is a number"),
        ({"tops": (9,)}, ModelError, "top is a number of blocks"),
        ({"epochs": 0}, ModelError, "epochs is a whole number"),
        ({"learning_rates": ()}, ModelError, "learning_rates"),
        ({"budget": 0}, ModelError, "budget is a number of seconds"),
    ],
)
def test_errors_are_one_line_and_come_before_training(
    kept: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any], kind: type[Exception], message: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(runs_module._Bench, "run", _must_not_run)
    with pytest.raises(kind, match=message) as caught:
        labkit.compare(kept[4], kept[1], **{**QUICK, **change})
    assert "\n" not in str(caught.value)


def test_a_scheduler_needs_distributed(
    kept: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(LabkitError, match=r"pip install 'labkit\[cluster\]'"):
        labkit.compare(kept[4], kept[1], scheduler="tcp://127.0.0.1:1", **QUICK)


def test_kept_runs_are_json_that_a_person_can_read(kept: Any) -> None:
    files = sorted((kept[3] / "comparisons").glob("*.json"))
    assert len(files) == 16
    assert set(json.loads(files[0].read_text())) >= {"dataset", "strategy", "seed", "accuracy"}


# Early stopping


def test_patience_goes_back_to_the_best_weights(tiny: Any, small_net: Callable[..., Any]) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.set_strategy(model, "full")
    before = [weight.copy() for weight in model.get_weights()]
    data = replace(tiny, test=tiny.validation)
    result = labkit.train(model, data, epochs=20, learning_rate=3.0, patience=2)
    epochs = len(result.history["val_accuracy"])
    assert epochs < 20
    start = labkit.build_classifier(small_net(), 2)
    start.set_weights(before)
    scores = start.predict(tiny.validation.read().astype("float32"), verbose=0)
    began = float((scores.argmax(1) == tiny.validation.labels).mean())
    assert result.accuracy == max(began, *result.history["val_accuracy"])


@pytest.mark.parametrize("patience", [0, -1, 1.5])
def test_patience_is_a_number_of_epochs(
    tiny: Any, small_net: Callable[..., Any], patience: Any
) -> None:
    model = labkit.build_classifier(small_net(), 2)
    with pytest.raises(ModelError, match="patience is a number of epochs"):
        labkit.train(model, tiny, patience=patience)
