"""A model of the user's own: each mistake in one sentence, and a right one in every stage."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import TINY, Place, table

from trainer import factory
from trainer.config import TrainConfig, parse
from trainer.dataset import read_interactions
from trainer.failure import ConfigurationError
from trainer.split import before_split

N_ITEMS = 11


def config(model, **params):
    return parse(TrainConfig, {**TINY, "model": model, **params})


def refusal(model, **params):
    with pytest.raises(ConfigurationError) as caught:
        factory.build(config(model, **params), N_ITEMS)
    return caught.value


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("own_models:9", "`model` must be written as module:factory, received: own_models:9"),
        (
            "no.such:gru",
            "`model` must name a module that can be imported, found no module no for no.such:gru",
        ),
        (
            "own_broken:gru",
            "`model` own_broken:gru must not fail, importing it raised ModuleNotFoundError: "
            "No module named 'no_such_module_of_mine'",
        ),
        (
            "own_models:lstm",
            "`model` must name something in module own_models, found no lstm there",
        ),
        (
            "own_models:NOT_CALLABLE",
            "`model` own_models:NOT_CALLABLE must be callable, received: int",
        ),
        (
            "own_models:no_model",
            "`model` own_models:no_model must return a keras.Model, received: int",
        ),
        (
            "own_models:too_few_axes",
            "`model` own_models:too_few_axes must return scores of shape (batch, max_len, n_items)"
            ", here (2, 6, 11), received: (2, 11)",
        ),
        (
            "own_models:a_column_for_padding",
            "`model` own_models:a_column_for_padding must return scores of shape (batch, max_len, "
            "n_items), here (2, 6, 11), received: (2, 6, 12)",
        ),
        (
            "own_models:divides_by_nothing",
            "`model` own_models:divides_by_nothing must return finite scores, received NaN or "
            "infinity",
        ),
        (
            "own_models:looks_ahead",
            "`model` own_models:looks_ahead must not look ahead: another last item changed the "
            "scores of earlier places",
        ),
    ],
)
def test_a_mistake_is_one_sentence(name, reason):
    assert refusal(name).reason == reason


def test_a_factory_that_raises_is_named_with_its_line():
    said = refusal("own_models:raises", model_params={"depth": 9})

    assert said.reason == (
        "`model` own_models:raises must not fail, called as factory(11, params) raised "
        "ValueError: no 9 here"
    )
    assert "own_models.py:" in said.hint


def test_a_model_that_fails_when_called_is_named():
    assert refusal("own_models:fails_when_called").reason.startswith(
        "`model` own_models:fails_when_called must not fail, its model called with a history of "
        "shape (2, 6) raised "
    )


def test_state_beside_the_weights_is_refused_and_frozen_weights_are_not():
    said = refusal("own_models:keeps_state")

    assert said.reason.startswith(
        "`model` own_models:keeps_state must keep no state beside its weights while it trains, "
        "received: "
    )
    assert "BatchNormalization" in said.hint
    factory.build(config("own_models:frozen"), N_ITEMS)


def test_parameters_of_train_and_of_the_model_do_not_mix():
    said = refusal("own_models:gru", model_params={"dim": 4})

    assert said.reason == (
        "`model_params` must not hold `dim`, which is a parameter of train itself"
    )
    with pytest.raises(ConfigurationError, match="`model_params` are for a module:factory"):
        TrainConfig(model_params={"depth": 2})
    with pytest.raises(ConfigurationError, match="two-tower-id, received: gru") as caught:
        TrainConfig(model="gru")
    assert caught.value.hint.startswith("or module:factory")


def test_the_factory_sees_defaults_and_its_own_parameters():
    params = factory.arguments(config("own_models:gru", model_params={"times": 2}))

    assert (params["times"], params["dim"], params["dropout"]) == (2, 8, 0.2)


def test_a_catalogue_above_the_full_softmax_is_refused():
    said = refusal("own_models:gru", full_softmax_up_to=10)

    assert said.reason == (
        "`model` own_models:gru is trained against all items, which must be at most "
        "`full_softmax_up_to` (10), received: 11"
    )


def test_other_code_is_another_model(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "changing.py"
    path.write_text("def first(): ...\n")
    before = factory.identity("changing:first")
    path.write_text("def first(): return 22\n")
    del sys.modules["changing"]
    importlib.invalidate_caches()

    assert factory.identity("changing:first") != before
    assert factory.identity("two-tower-id") == "two-tower-id"


def test_train_refuses_a_module_that_is_not_there_with_64(place):
    out = place.root / "out"

    code, _ = place.call("train", out, params={**TINY, "model": "nosuch:thing"})

    assert code == 64
    assert json.loads((out / "failure.json").read_text()) == {
        "reason": "`model` must name a module that can be imported, found no module nosuch for "
        "nosuch:thing",
        "hint": "put it into the image, or its folder on PYTHONPATH",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("first = 1\nsecond = = 2\n", "SyntaxError: invalid syntax (broken_one.py, line 2)"),
        ("first = 1\nsecond = first / 0\n", "ZeroDivisionError: division by zero"),
        ("import json\nimport json.nothing\n", "ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0"),
    ],
)
def test_train_refuses_a_module_that_fails_with_64_and_its_line(place, monkeypatch, text, said):
    monkeypatch.syspath_prepend(place.root)
    path = place.root / "broken_one.py"
    path.write_text(text)
    importlib.invalidate_caches()
    out = place.root / "out"

    code, _ = place.call("train", out, params={**TINY, "model": "broken_one:thing"})

    assert code == 64
    failure = json.loads((out / "failure.json").read_text())
    assert failure["reason"].startswith(
        f"`model` broken_one:thing must not fail, importing it raised {said}"
    )
    assert failure["hint"] == f"raised at {path}:2"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A run of the small shop with a recurrent model of the user's own, trained to the end."""
    made = Place(
        tmp_path_factory.mktemp("own"),
        {**TINY, "model": "own_models:gru", "model_params": {"times": 2}},
    )
    pq.write_table(table(), made.data / "interactions.parquet")
    env = {"PYTHONPATH": f"{Path(__file__).parent.parent}:{Path(__file__).parent}"}
    code, errors = made.run("train", made.inputs / "train", env=env)
    assert code == 0, errors
    return made


def test_an_own_model_learns_is_judged_and_serves(own, tmp_path):
    code, errors = own.call("evaluate", tmp_path / "evaluate", params={"p1_network_epochs": 1})
    assert code == 0, errors
    rolling = json.loads((tmp_path / "evaluate" / "metrics.json").read_text())["protocols"]
    network = rolling["p2_rolling"]["candidates"]["network"]["ndcg_at_10"]
    popular = rolling["p2_rolling"]["candidates"]["popularity"]["ndcg_at_10"]
    assert network["low"] > popular["high"]

    for shards in (1, 2):
        for shard in range(shards):
            out = tmp_path / str(shards) / "recommend" / str(shard)
            place = {"shard": shard, "shards": shards, "params": {"top_k": 5}}
            code, errors = own.call("recommend", out, **place)
            assert code == 0, errors

    def rows(shards):
        root = tmp_path / str(shards) / "recommend"
        read = [pq.read_table(root / str(n) / "recommendations.parquet") for n in range(shards)]
        return [row for table in read for row in table.to_pylist()]

    assert rows(1) == rows(2)


NARROW = """import keras

def gru(n_items, params):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Embedding(n_items + 1, params["dim"]),
            layers.GRU(params["dim"], return_sequences=True),
            layers.Dense(n_items),
        ]
    )
"""
# Other code under the old name: other shapes, the old shapes with other maths, another name.
CHANGED = {
    "wider": NARROW.replace('GRU(params["dim"]', 'GRU(2 * params["dim"]'),
    "other maths": NARROW.replace("return_sequences", 'activation="relu", return_sequences'),
    "renamed": NARROW.replace("def gru", "def lstm"),
}


class Shop:
    """A module of the user's own, as a process that starts now would import it."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        monkeypatch.syspath_prepend(folder)

    def holds(self, text):
        (self.folder / "shop_models.py").write_text(text)
        sys.modules.pop("shop_models", None)
        shutil.rmtree(self.folder / "__pycache__", ignore_errors=True)
        importlib.invalidate_caches()


@pytest.fixture(scope="module")
def of_the_shop(tmp_path_factory):
    """A run that trained the narrow model of a shop's module, which is to be the champion."""
    root = tmp_path_factory.mktemp("shop")
    made = Place(root, {**TINY, "epochs": 2, "model": "shop_models:gru"})
    pq.write_table(table(), made.data / "interactions.parquet")
    with pytest.MonkeyPatch.context() as patch:
        Shop(root, patch).holds(NARROW)
        code, errors = made.call("train", made.inputs / "train")
    assert code == 0, errors
    return made


@pytest.mark.parametrize("change", CHANGED)
def test_a_champion_of_other_code_is_named_as_such_and_scores_nothing(
    trained, of_the_shop, tmp_path, monkeypatch, change
):
    inputs = tmp_path / "in"
    shutil.copytree(trained.inputs / "train", inputs / "train")
    shutil.copytree(of_the_shop.inputs / "train", inputs / "champion")
    Shop(tmp_path, monkeypatch).holds(CHANGED[change])
    place = Place(tmp_path, {"champion_candidate": "network", "champion_run_id": "tiny-1"})
    shutil.copytree(trained.data, place.data, dirs_exist_ok=True)

    code, errors = place.call("evaluate", tmp_path / "out")

    assert code == 0, errors
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    said = report["protocols"]["p2_rolling"]["description"]
    assert "The champion, network, cannot serve any more and scores nothing: `model` " in said
    assert report["champion"]["ndcg_at_10"]["mean"] == 0
    assert "coverage" not in report["champion"]


def test_a_champion_of_the_same_code_is_scored(trained, of_the_shop, tmp_path, monkeypatch):
    inputs = tmp_path / "in"
    shutil.copytree(trained.inputs / "train", inputs / "train")
    shutil.copytree(of_the_shop.inputs / "train", inputs / "champion")
    Shop(tmp_path, monkeypatch).holds(NARROW)
    place = Place(tmp_path, {"champion_candidate": "network", "champion_run_id": "tiny-1"})
    shutil.copytree(trained.data, place.data, dirs_exist_ok=True)

    code, errors = place.call("evaluate", tmp_path / "out")

    assert code == 0, errors
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert report["champion"]["ndcg_at_10"]["mean"] > 0
    assert "coverage" in report["champion"]


def test_other_code_recommends_nothing(of_the_shop, tmp_path, monkeypatch):
    Shop(tmp_path, monkeypatch).holds(CHANGED["other maths"])

    code, errors = of_the_shop.call("recommend", tmp_path / "out", params={"top_k": 5})

    assert code == 64
    reason = json.loads((tmp_path / "out" / "failure.json").read_text())["reason"]
    assert reason.startswith(
        "`model` shop_models:gru must be the code that these weights were trained with "
        "(shop_models:gru sha256:"
    )
    assert reason in errors


def test_a_model_from_before_code_was_recorded_still_serves(of_the_shop, tmp_path, monkeypatch):
    old = Place(tmp_path)
    shutil.copytree(of_the_shop.root / "in", old.inputs, dirs_exist_ok=True)
    shutil.copytree(of_the_shop.data, old.data, dirs_exist_ok=True)
    path = old.inputs / "train" / "model" / "config.json"
    about = json.loads(path.read_text())
    del about["code"]
    path.write_text(json.dumps(about))
    shop = Shop(tmp_path, monkeypatch)
    shop.holds(CHANGED["other maths"])

    code, errors = old.call("recommend", tmp_path / "out", params={"top_k": 5})

    assert code == 0, errors
    # Weights that do not fit are refused for that alone.
    shop.holds(CHANGED["wider"])
    code, errors = old.call("recommend", tmp_path / "wider", params={"top_k": 5})
    assert code == 64
    assert "`model` shop_models:gru must have weights of the shapes that were trained" in errors


def test_an_own_model_resumes_exactly(own, tmp_path):
    from trainer.loop import TrainingLoop

    events = read_interactions(own.data)
    settings = parse(TrainConfig, {**own.params, "epochs": 3})
    whole, first = (TrainingLoop(settings, [(before_split(events), 3)]) for _ in range(2))
    while whole.step < whole.total:
        whole.advance(5)
    first.advance(4)
    kept = first.tensors()

    second = TrainingLoop(settings, [(before_split(events), 3)])
    second.names = first.names  # in a process of its own Keras would count the layers the same
    second.restore(kept, 4)
    while second.step < second.total:
        second.advance(7)

    assert np.array_equal(second.losses, whole.losses)
    second.names = whole.names
    assert second.digest() == whole.digest()
