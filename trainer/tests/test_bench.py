"""The arithmetic of the benchmarks: who is compared with whom, and what the memory must move."""

import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from conftest import TRAINER

from bench import gpu, problem, race, roofline, wheels

OF = problem.Problem("case", 1_000, 10, 20, 20, 64, 1, 32, 0, 110, 16)


def ran(name, losses, speeds, is_same=True):
    one = race.Running(race.Contender(name, ["x"], is_same), None)
    one.known = {"losses": losses, "compile_s": 1.234, "versions": {name: "1"}}
    one.speeds = speeds
    return one


LOSSES = {"1": 5.0, "10": 4.0, "100": 3.0}


def test_a_row_has_the_median_and_the_distance_of_its_losses():
    near = {**LOSSES, "100": 3.0005}

    rows = race.rows(
        "c", [ran(race.OURS, LOSSES, [3.0, 1.0, 2.0]), ran("fit", near, [1.0, 5.0, 4.0])]
    )

    assert [row["samples_per_s"] for row in rows] == [2.0, 4.0]
    assert (rows[1]["slowest"], rows[1]["fastest"]) == (1.0, 5.0)
    assert rows[1]["loss_apart"] == pytest.approx(5e-4)
    assert list(rows[0]) == list(rows[1])


def test_other_losses_are_no_row_unless_the_mathematics_are_said_to_be_other():
    far = {**LOSSES, "10": 4.002}
    ours = ran(race.OURS, LOSSES, [1.0])

    with pytest.raises(race.NotMeasured, match="`fit` computes something else"):
        race.rows("c", [ours, ran("fit", far, [1.0])])
    with pytest.raises(race.NotMeasured):
        race.rows("c", [ours, ran("fit", {**LOSSES, "1": float("nan")}, [1.0])])

    assert race.rows("c", [ours, ran("rows", far, [1.0], is_same=False)])[1]["loss_apart"] is None
    assert race.rows("c", [ours, ran("low", far, [1.0])], is_exact=False)[1]["loss_apart"] > 1e-3
    assert race.rows("c", [ours, ran("untold", None, [1.0])])[1]["loss_1"] is None


def test_losses_of_steps_come_out_of_a_running_mean():
    from bench.keras_fit import Losses

    told, losses = Losses(), np.array([5.0, 4.0, 4.5, 2.0])
    for at in range(4):
        told.on_train_batch_end(at, {"loss": losses[: at + 1].mean()})

    assert told.each() == pytest.approx(losses.tolist())


def test_only_large_catalogues_have_tables_by_rows_and_only_who_has_torch_a_loop_in_it(tmp_path):
    names = [one.name for one in race.contenders(tmp_path, "float32", False, None)]
    sampled = [one.name for one in race.contenders(tmp_path, "float32", True, sys.executable)]

    assert names == [race.OURS, "Keras fit", "Keras fit, 16 steps an execution"]
    assert [n for n in sampled if n not in names] == [race.BY_ROWS, "torch loop, eager"]


def test_a_contender_that_dies_is_told_by_name():
    one = race.Contender("dead", [sys.executable, "-c", "raise SystemExit(3)"])

    with pytest.raises(race.NotMeasured, match="`dead` ended with 3"):
        race.race([one], 1)


def test_bytes_of_a_step_are_the_sum_of_table_rest_activations_and_logits():
    table, rest = 1_001 * 64 * 9 * 4, roofline.rest_parameters(OF) * 9 * 4
    inside, logits = 640 * (12 * 64 + 2 * 20) * 4 * 5, 640 * 1_000 * 4 * 6

    assert roofline.bytes_per_step(OF, by_rows=False) == table + rest + inside + logits
    half = roofline.bytes_per_step(OF, by_rows=False, element=2)
    assert half == table + rest + inside // 2 + logits


def test_rest_parameters_are_those_of_the_model():
    from trainer import network
    from trainer.config import TrainConfig

    model = network.build(TrainConfig(**OF.params), 3, OF.items)

    assert roofline.rest_parameters(OF) == model.count_params() - (OF.items + 1) * OF.dim


def test_tables_by_rows_do_not_depend_on_the_catalogue():
    large = replace(OF, items=10**6, negatives=64)
    larger = replace(large, items=10**8)

    assert roofline.bytes_per_step(large, True) == roofline.bytes_per_step(larger, True)
    assert roofline.bytes_per_step(larger, False) > 99 * roofline.bytes_per_step(large, False)


def test_the_share_is_of_the_gpus_own_bandwidth_or_none():
    moved = roofline.bytes_per_step(OF, False)

    assert roofline.share(OF, 32.0, False, 2.0 * moved, 4) == 0.5
    assert roofline.share(OF, 32.0, False, None, 4) is None
    assert roofline.peak_of("Tesla T4") == 3.2e11
    assert roofline.peak_of("NVIDIA A100-SXM4-80GB") == 2.039e12
    assert roofline.peak_of("NVIDIA L40S") == 8.64e11
    assert roofline.peak_of("GeForce") is None


def test_the_drivers_answer_is_read_or_nothing():
    assert gpu.parsed("Tesla T4, 580.95.05, 15360 MiB\n") == {
        "name": "Tesla T4",
        "driver": "580.95.05",
        "memory": "15360 MiB",
    }
    assert gpu.parsed("no devices were found") is None


def test_wheels_are_unpacked_for_what_is_not_there(tmp_path):
    for name in ("not_here-1.0-py3-none-any.whl", "numpy-9-cp311-none-any.whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as wheel:
            wheel.writestr("not_here.py", "x = 1")

    names = wheels.unpacked(tmp_path, tmp_path / "to")

    assert names == ["not_here-1.0-py3-none-any.whl"]
    assert (tmp_path / "to" / "not_here.py").exists()
    assert wheels.wanted(["keras-3-py3-none-any.whl"], lambda name: True) == []


def test_what_is_carried_keeps_its_hashes_and_lacks_what_a_machine_has():
    lock = (TRAINER / "requirements.lock").read_text()

    carried = wheels.carried(lock)

    names = [line.split("==")[0] for line in carried.splitlines() if "==" in line]
    everything = [line.split("==")[0] for line in lock.splitlines() if "==" in line]
    assert set(everything) - set(names) == {"jax", "jaxlib", "numpy", "scipy", "ml-dtypes"}
    assert "keras" in names
    assert carried.count("--hash") > len(names)


def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "bench/gpu.py", "--out", str(tmp_path / "out.json")],
        cwd=TRAINER,
        env={"PATH": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 69
    assert "--smoke runs anywhere" in done.stderr
    assert not (tmp_path / "out.json").exists()
