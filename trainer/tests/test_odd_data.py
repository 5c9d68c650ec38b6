"""Datasets that are small or odd, but no fault: every stage goes through with them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TINY, Place, table
from test_dataset import IDS

from trainer.config import BASELINES

START_S = 1_700_000_000


def events(user, item):
    """Events one second after another."""
    seconds = np.arange(len(user)) + START_S
    return pa.table({"user_id": user, "item_id": item, "timestamp": seconds})


ODD = {
    "one user": events(["only"] * 40, np.arange(40) % 7),
    "users of one event": events(np.arange(40), np.arange(40) % 7),
    "two items": events(np.arange(40) % 5, np.arange(40) % 2),
    "ids of any script": events(
        [IDS[at % 10] for at in range(40)], [IDS[at % 7] for at in range(40)]
    ),
    "everything twice": pa.concat_tables([table(), table()]),
    "all of one moment but one": events(np.arange(40) % 5, np.arange(40) % 7).set_column(
        2, "timestamp", pa.array([START_S] * 39 + [START_S + 1])
    ),
}


@pytest.fixture(params=ODD)
def odd(request, tmp_path):
    made = Place(tmp_path, dict(TINY))
    half = ODD[request.param].num_rows // 2
    for name, part in (("a", slice(0, half)), ("b", slice(half, None))):
        rows = ODD[request.param].take(np.arange(2 * half)[part])
        (made.data / f"date=2023-11-{name}").mkdir()
        pq.write_table(rows, made.data / f"date=2023-11-{name}" / "part-0.parquet")
    pq.write_table(rows.slice(0, 0), made.data / "empty.parquet")
    return made


@pytest.mark.parametrize("candidate", BASELINES)
def test_recommend_and_gather_go_through(odd, candidate):
    params = {"candidate": candidate, "top_k": 3}
    for shard in (0, 1):
        out = odd.inputs / "recommend" / str(shard)
        code, errors = odd.call("recommend", out, shard, 2, params=params)
        assert code == 0, errors

    code, errors = odd.call("gather", odd.root / "out", params=params)

    assert code == 0, errors
    assert json.loads((odd.root / "out" / "recommendations.json").read_text())["verified"] is True


@pytest.mark.parametrize("case", ["one user", "users of one event"])
def test_train_and_evaluate_go_through(tmp_path, case):
    made = Place(tmp_path, {**TINY, "epochs": 1})
    pq.write_table(ODD[case], made.data / "a.parquet")

    code, errors = made.run("train", made.inputs / "train")
    assert code == 0, errors
    code, errors = made.run("evaluate", made.root / "out", params={})

    assert code == 0, errors
