"""Parameters are refused by name, with the value that was received."""

import json

import pytest

from trainer.config import (
    Environment,
    EvaluateConfig,
    RecommendConfig,
    TrainConfig,
    parse,
    read_params,
)
from trainer.failure import ConfigurationError


def refused(config, params):
    with pytest.raises(ConfigurationError) as caught:
        parse(config, params)
    return caught.value


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"epochs": 0}, "`epochs` must be positive, received: 0"),
        ({"epochs": "many"}, "`epochs` must be of type int (default 20), received: 'many'"),
        ({"epochs": True}, "`epochs` must be of type int (default 20), received: True"),
        ({"model": "gpt"}, "`model` must be one of sequential-two-tower, two-tower-id, received"),
        ({"learning_rate": -1}, "`learning_rate` must be positive, received: -1.0"),
        ({"dim": 10, "heads": 3}, "`dim` must be a multiple of `heads` (3), received: 10"),
        ({"dropout": 1}, "`dropout` must be in [0, 1), received: 1.0"),
        ({"repeats": "yes"}, '`repeats` must be one of "auto", true, false (default "auto"), rece'),
        (
            {"repeats": 1},
            '`repeats` must be one of "auto", true, false (default "auto"), received: 1',
        ),
        ({"chunk_s": 3}, "`chunk_s` must be in (0, 2], received: 3.0"),
    ],
)
def test_impossible_training_parameters_are_refused(params, reason):
    assert refused(TrainConfig, params).reason.startswith(reason)


def test_a_misspelt_parameter_is_refused_with_the_right_one():
    error = refused(TrainConfig, {"epoch": 3})

    assert error.reason == "`epoch` is not a parameter here"
    assert error.hint == "did you mean `epochs`?"


def test_whole_numbers_may_be_written_as_decimals():
    assert parse(TrainConfig, {"epochs": 3.0}).epochs == 3


@pytest.mark.parametrize("repeats", ["auto", True, False])
@pytest.mark.parametrize("config", [TrainConfig, EvaluateConfig, RecommendConfig])
def test_repeats_are_told_or_left_to_the_data(config, repeats):
    assert parse(config, {"repeats": repeats}).repeats is repeats
    assert parse(config, {}).repeats == "auto"


def test_stages_after_training_share_their_parameters():
    config = parse(RecommendConfig, {"top_k": 5, "champion_run_id": "r"}, (EvaluateConfig,))

    assert config.top_k == 5


def test_an_unknown_candidate_is_refused():
    assert (
        "`candidate` must be one of network" in refused(RecommendConfig, {"candidate": "x"}).reason
    )


def test_a_metric_that_evaluate_does_not_write_is_refused_with_those_that_it_does():
    error = refused(EvaluateConfig, {"gate_metric": "ndcg_at_ten"})

    assert error.reason == (
        "`metric` in [evaluate.gate] must be one of ndcg_at_10, hr_at_10, mrr_at_10, "
        "recall_at_20, received: ndcg_at_ten"
    )
    assert parse(EvaluateConfig, {"gate_metric": "hr_at_10"}).gate_metric == "hr_at_10"
    assert parse(RecommendConfig, {"gate_metric": "hr_at_10"}, (EvaluateConfig,)).top_k == 50


def test_digest_changes_with_what_changes_the_weights_only():
    base = TrainConfig()

    assert (
        base.digest() == TrainConfig(checkpoint_every_s=1.0, raise_at_step=4, repeats=True).digest()
    )
    assert base.digest() != TrainConfig(seed=8).digest()


@pytest.mark.parametrize("text", ["[1]", "{", ""])
def test_parameters_must_be_a_json_object(tmp_path, text):
    path = tmp_path / "params.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError):
        read_params(str(path))


def environment(**more):
    folders = ("DATA", "INPUT", "CHECKPOINT", "OUTPUT")
    return {**{f"TRAINSPOT_{name}_DIR": f"/x/{name.lower()}" for name in folders}, **more}


def test_the_environment_becomes_values(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"seed": 3}))

    env = Environment.read(
        environment(TRAINSPOT_SHARD="2", TRAINSPOT_SHARDS="4", TRAINSPOT_PARAMS=str(path))
    )

    assert (env.shard, env.shards, env.params) == (2, 4, {"seed": 3})
    assert not env.ignore_checkpoint
    assert env.drop_shard is None


def test_a_shard_outside_its_number_is_refused():
    with pytest.raises(ConfigurationError, match=r"must be in 0\.\.3, received: 4"):
        Environment.read(environment(TRAINSPOT_SHARD="4", TRAINSPOT_SHARDS="4"))


def test_a_missing_folder_is_refused():
    with pytest.raises(ConfigurationError, match="`TRAINSPOT_DATA_DIR` must be set"):
        Environment.read({})
