"""The stages after training, on one small trained run, and the shapes that others parse."""

import json
import shutil
import weakref

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import RUN_ID, TINY

from trainer import baselines, candidates, judged_users, model_files, rule
from trainer import metrics as ranking
from trainer import top_k as blocks
from trainer.atomic import sha256_of, write_json
from trainer.bootstrap import RESAMPLES, RESAMPLES_AT_ONCE
from trainer.config import CANDIDATES, EvaluateConfig, RecommendConfig
from trainer.dataset import read_interactions
from trainer.evaluate import evaluate
from trainer.evaluation_card import SHOWN
from trainer.failure import BelowFloor, ConfigurationError, DataError
from trainer.gather import gather
from trainer.metrics import per_user, run_candidate
from trainer.progress import Progress, curve
from trainer.recommend import recommend
from trainer.split import p2_rolling
from trainer.top_k import top_k

ESTIMATE = {"mean", "low", "high"}
METRICS = {"ndcg_at_10", "hr_at_10", "mrr_at_10", "recall_at_20"}


def keys(path):
    return set(json.loads(path.read_text()))


def test_train_writes_what_the_agent_and_the_report_read(trained):
    out = trained.inputs / "train"

    assert keys(out / "progress.json") == {
        "step",
        "total",
        "rate",
        "stage",
        "detail",
        "at",
        "cold_start",
    }
    assert {"resumed_from", "steps", "digest", "repeated_steps", "seconds"} <= keys(
        out / "training.json"
    )
    assert keys(out / "curve.json") == {"points", "resumed_from"}
    line = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    assert {"step", "epoch", "loss", "at"} <= set(line)
    progress = json.loads((out / "progress.json").read_text())
    training = json.loads((out / "training.json").read_text())
    assert progress["step"] == progress["total"] == training["steps"]
    assert list(training["cold_start"]) == [
        "process_s",
        "import_s",
        "device_s",
        "data_s",
        "restore_s",
        "model_s",
        "compile_s",
        "first_step_s",
    ]
    assert training["cold_start"] == progress["cold_start"]
    assert training["chosen"]["tables"]["updates"] == "dense"
    assert training["chosen"]["precision"] == "float32"
    assert set(training["stages"]) == {"import_s", "data_s", "compile_s", "train_s"}
    assert {path.name for path in (out / "model").iterdir()} == {
        "config.json",
        "evaluated.safetensors",
        "items.parquet",
        "users.parquet",
        "weights.safetensors",
    }
    card = (out / "model-card.md").read_text()
    assert "events before the split, then all events" in card
    assert "may be recommended again. Why: 16.4 % of the events before the split return" in card


def test_train_writes_the_rule_that_the_data_decides(trained):
    written = rule.written(trained.inputs / "train" / "model")

    assert written == rule.decide(read_interactions(trained.data), run_id=RUN_ID)
    assert (written.decided_by, written.repeats) == ("data", True)


def test_parameters_are_echoed_next_to_the_model(trained):
    about = json.loads((trained.inputs / "train" / "model" / "config.json").read_text())

    assert {name: about["params"][name] for name in TINY} == TINY


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluate")
    config = EvaluateConfig(p1_network_epochs=1)
    evaluate(config, trained.data, told(trained, False), out, Progress(out, "evaluate"))
    return json.loads((out / "metrics.json").read_text())


def test_metrics_have_the_agreed_shape(evaluated):
    assert set(evaluated) == {
        "schema",
        "dataset_fingerprint",
        "gate_protocol",
        "gate_metric",
        "best",
        "rule",
        "left_out",
        "protocols",
        "champion",
        "fan_out",
    }
    assert evaluated["left_out"] == {}
    assert (evaluated["schema"], evaluated["gate_protocol"]) == (1, "p2_rolling")
    assert evaluated["champion"] is None
    assert set(evaluated["protocols"]) == {"p2_rolling", "p1"}
    for protocol in evaluated["protocols"].values():
        assert set(protocol) == {
            "users",
            "events",
            "split_at",
            "description",
            "candidates",
            "paired",
            "segments",
        }
        assert set(protocol["candidates"]) == set(CANDIDATES)
        for metrics in protocol["candidates"].values():
            assert set(metrics) == METRICS | {"coverage", "popularity_lift"}
            for name in METRICS:
                assert set(metrics[name]) == ESTIMATE
                assert metrics[name]["low"] <= metrics[name]["mean"] <= metrics[name]["high"]
        for pair in protocol["paired"]:
            assert set(pair) == {"candidate", "against", "metric"} | ESTIMATE
        for segment in protocol["segments"]:
            assert set(segment) == {"name", "users", "share", "candidates"}
            assert set(segment["candidates"]["network"]) == {"ndcg_at_10"}


def test_best_is_the_highest_and_is_paired_with_every_other(evaluated):
    protocol = evaluated["protocols"]["p2_rolling"]
    means = {name: c["ndcg_at_10"]["mean"] for name, c in protocol["candidates"].items()}
    best = evaluated["best"]

    assert means[best] == max(means.values())
    against = [p for p in protocol["paired"] if p["candidate"] == best]
    assert {p["against"] for p in against} == set(CANDIDATES) - {best}
    for pair in against:
        if pair["metric"] == "ndcg_at_10":
            assert pair["mean"] == pytest.approx(means[best] - means[pair["against"]])
    network = {p["against"] for p in protocol["paired"] if p["candidate"] == "network"}
    assert network | {best} >= set(CANDIDATES[1:])


def test_what_would_be_promoted_is_paired_in_p1_too(evaluated):
    paired = evaluated["protocols"]["p1"]["paired"]
    best = evaluated["best"]

    met = {frozenset((p["candidate"], p["against"])) for p in paired if p["metric"] == "ndcg_at_10"}
    assert {frozenset((best, name)) for name in CANDIDATES if name != best} <= met
    assert len(met) * len(METRICS) == len(paired)


def test_rules_find_the_order_that_is_in_the_data(evaluated):
    candidates = evaluated["protocols"]["p2_rolling"]["candidates"]

    assert (
        candidates["sequential-rules"]["ndcg_at_10"]["low"]
        > candidates["popularity"]["ndcg_at_10"]["high"]
    )


def with_champion(trained, root, config):
    inputs = root / "in"
    shutil.copytree(trained.inputs / "train", inputs / "train")
    shutil.copytree(trained.inputs / "train", inputs / "champion")
    out = root / "out"
    out.mkdir()
    return evaluate(config, trained.data, inputs, out, Progress(out, "evaluate"))


def test_a_champion_network_is_scored_again_on_the_same_split(trained, tmp_path):
    config = EvaluateConfig(champion_candidate="network", champion_run_id="tiny-1")

    report = with_champion(trained, tmp_path, config)

    champion = report["champion"]
    network = report["protocols"]["p2_rolling"]["candidates"]["network"]
    assert set(champion) == {
        "run_id",
        "candidate",
        "ndcg_at_10",
        "paired",
        "relative_gain",
        "coverage",
        "popularity_lift",
        "segments",
    }
    assert (champion["run_id"], champion["candidate"]) == ("tiny-1", "network")
    # It is the very same network, so it must score the very same.
    assert champion["ndcg_at_10"]["mean"] == pytest.approx(network["ndcg_at_10"]["mean"])
    best = report["protocols"]["p2_rolling"]["candidates"][report["best"]]["ndcg_at_10"]["mean"]
    assert champion["paired"]["mean"] == pytest.approx(best - network["ndcg_at_10"]["mean"])
    assert champion["relative_gain"] == pytest.approx(best / network["ndcg_at_10"]["mean"] - 1)
    assert {"name", "users", "share", "champion", "challenger", "relative_change"} == set(
        champion["segments"][0]
    )


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_a_champion_is_met_by_the_metric_of_the_gate(trained, tmp_path, metric):
    inputs = trained.inputs
    report = evaluate_with(
        trained, inputs, tmp_path / "out", champion_candidate="popularity", gate_metric=metric
    )

    champion, rolling = report["champion"], report["protocols"]["p2_rolling"]
    means = {name: scores[metric]["mean"] for name, scores in rolling["candidates"].items()}
    assert means[report["best"]] == max(means.values())
    assert champion["paired"]["metric"] == metric
    assert set(champion[metric]) == ESTIMATE
    assert champion[metric]["mean"] == pytest.approx(means["popularity"])
    gain = means[report["best"]] - means["popularity"]
    assert champion["paired"]["mean"] == pytest.approx(gain)
    assert champion["paired"]["low"] <= gain <= champion["paired"]["high"]
    assert champion["relative_gain"] == pytest.approx(gain / means["popularity"])
    for segment in rolling["segments"]:
        assert set(segment["candidates"]["network"]) == {metric}
    card = (tmp_path / "out" / "model-card.md").read_text()
    assert f"has the highest {SHOWN[metric]} on P2-rolling" in card


@pytest.mark.parametrize("repeats", [True, False])
def test_a_champion_is_scored_by_the_rule_of_this_data(trained, tmp_path, repeats):
    """Whatever rule the champion itself was made by."""
    inputs = tmp_path / "in"
    shutil.copytree(told(trained, repeats) / "train", inputs / "train")
    shutil.copytree(told(trained, not repeats) / "train", inputs / "champion")

    report = evaluate_with(trained, inputs, tmp_path / "out", champion_candidate="network")

    network = report["protocols"]["p2_rolling"]["candidates"]["network"]
    assert report["rule"]["repeats"] is repeats
    assert report["champion"]["ndcg_at_10"]["mean"] == pytest.approx(network["ndcg_at_10"]["mean"])


def test_a_champion_of_nobody_is_refused(trained, tmp_path):
    with pytest.raises(ConfigurationError, match="`champion_candidate` must be set"):
        with_champion(trained, tmp_path, EvaluateConfig())


def test_a_best_below_the_floor_is_78_and_still_leaves_its_metrics(trained, tmp_path):
    config = EvaluateConfig(quality_floor=0.99)

    with pytest.raises(BelowFloor, match=r"must be at least 0\.99, received: "):
        evaluate(config, trained.data, trained.inputs, tmp_path, Progress(tmp_path, "evaluate"))

    assert (tmp_path / "metrics.json").exists()


def told(trained, repeats):
    """Inputs whose train stage was told a rule: only the record differs from what it trained."""
    made = trained.root / f"in-told-{repeats}"
    if not made.exists():
        shutil.copytree(trained.inputs / "train", made / "train")
        record(made, rule.decide(read_interactions(trained.data), repeats, RUN_ID).record())
    return made


def record(inputs, written):
    """Puts another rule, or none, beside the model."""
    path = inputs / "train" / "model" / "config.json"
    about = json.loads(path.read_text())
    del about["rule"]
    write_json(path, about if written is None else {**about, "rule": written})


def shards_of(trained, root, candidate, shards, top_k=7, inputs=None, run_id=RUN_ID, **params):
    """Recommends all shards into `root` as gather's input; unless told, without repeats."""
    for shard in range(shards):
        out = root / "recommend" / str(shard)
        out.mkdir(parents=True)
        recommend(
            RecommendConfig(candidate, top_k, **params),
            trained.data,
            inputs or told(trained, False),
            out,
            shard,
            shards,
            Progress(out, "recommend"),
            run_id=run_id,
        )


def all_rows(root):
    folders = sorted((root / "recommend").iterdir(), key=lambda path: int(path.name))
    return pa.concat_tables(pq.read_table(path / "recommendations.parquet") for path in folders)


def run_gather(trained, root, repeats="auto", **asked):
    out = root / "out"
    out.mkdir(exist_ok=True)
    return gather(asked, trained.data, root, out, Progress(out, "gather"), repeats)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_any_number_of_shards_gives_the_same_rows(trained, tmp_path, candidate):
    shards_of(trained, tmp_path / "one", candidate, 1)
    shards_of(trained, tmp_path / "three", candidate, 3)

    one, three = all_rows(tmp_path / "one"), all_rows(tmp_path / "three")

    assert one.equals(three)
    result = run_gather(trained, tmp_path / "three", candidate=candidate, top_k=7)
    assert set(result) == {
        "shards",
        "users",
        "rows",
        "top_k",
        "candidate",
        "repeats",
        "rule",
        "files",
        "verified",
    }
    assert result["verified"] is True
    assert [file["shard"] for file in result["files"]] == [0, 1, 2]
    assert result["rows"] == result["users"] == one.num_rows


@pytest.mark.parametrize("candidate", ["network", "sequential-rules"])
def test_a_large_catalogue_is_done_in_smaller_blocks_and_stays_the_same(
    trained, tmp_path, monkeypatch, candidate
):
    shards_of(trained, tmp_path / "whole", candidate, 1)
    monkeypatch.setattr(blocks, "MOST_CELLS", 7 * 30)  # 7 users of 30 items
    shards_of(trained, tmp_path / "one", candidate, 1)
    shards_of(trained, tmp_path / "three", candidate, 3)

    whole, one, three = (all_rows(tmp_path / name) for name in ("whole", "one", "three"))

    assert blocks.rows_at_once(30) == 7
    assert one.equals(three)
    assert one.column("user_id").equals(whole.column("user_id"))
    lists = [made.column("scores").combine_chunks().flatten().to_numpy() for made in (whole, one)]
    assert np.allclose(*lists, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("items", "rows"), [(1, 256), (31_250, 256), (100_000, 80), (10**8, 1)])
def test_rows_held_together_shrink_with_the_catalogue(items, rows):
    assert blocks.rows_at_once(items) == rows


def test_more_shards_than_users_are_still_all_there(trained, tmp_path):
    shards_of(trained, tmp_path, "popularity", 45)

    assert run_gather(trained, tmp_path)["rows"] == 40


def test_a_row_is_as_long_as_what_is_left_when_that_is_less(trained, tmp_path):
    shards_of(trained, tmp_path, "popularity", 1, top_k=1000)
    events = read_interactions(trained.data)

    for user, items in zip(range(events.n_users), all_rows(tmp_path).column("items"), strict=True):
        had = set(events.item[events.offsets[user] : events.offsets[user + 1]].tolist())
        assert len(items) == events.n_items - len(had)


@pytest.mark.parametrize("candidate", ["network", "sequential-rules"])
def test_with_repeats_the_best_items_of_all_are_served(trained, tmp_path, candidate):
    shards_of(trained, tmp_path, candidate, 2, top_k=1000, inputs=trained.inputs)
    events = read_interactions(trained.data)

    result = run_gather(trained, tmp_path)

    assert result["repeats"] is True
    about = json.loads((tmp_path / "recommend" / "1" / "shard.json").read_text())
    assert about["repeats"] is True
    rows = all_rows(tmp_path)
    assert all(len(set(items)) == events.n_items for items in rows.column("items").to_pylist())
    # The items that are masked under the other rule are the only difference.
    shards_of(trained, tmp_path / "unseen", candidate, 1, top_k=1000)
    fresh = all_rows(tmp_path / "unseen").column("items").to_pylist()
    for user, items in enumerate(rows.column("items").to_pylist()):
        had = events.item[events.offsets[user] : events.offsets[user + 1]]
        had = set(events.item_ids.take(pa.array(had)).to_pylist())
        assert [item for item in items if item not in had] == fresh[user]


@pytest.mark.parametrize("made_by", [True, False])
def test_shards_made_by_another_rule_than_the_params_tell_are_refused(trained, tmp_path, made_by):
    shards_of(trained, tmp_path, "popularity", 2, inputs=told(trained, made_by))
    run_gather(trained, tmp_path, repeats=made_by)

    with pytest.raises(ConfigurationError) as caught:
        run_gather(trained, tmp_path, repeats=not made_by)

    assert caught.value.reason == (
        f'`repeats` must be "auto" or {json.dumps(made_by)} as train wrote, '
        f"received: {json.dumps(not made_by)}"
    )


def tell_shards(root, change):
    """Changes what each shard says of itself; its rows stay right."""
    for path in root.glob("recommend/*/shard.json"):
        about = json.loads(path.read_text())
        change(about)
        write_json(path, about)


def say_that_the_data_decided(about):
    about["rule"] |= {"decided_by": "data", "repeat_share": 0.05}


def test_shards_made_by_another_rule_than_the_dataset_has_are_refused(trained, tmp_path):
    shards_of(trained, tmp_path, "popularity", 2)
    tell_shards(tmp_path, say_that_the_data_decided)

    assert refused(trained, tmp_path) == (
        "shard 0: `repeats` must be true by this dataset, received: false"
    )


def test_shards_that_contradict_their_own_record_are_refused(trained, tmp_path):
    shards_of(trained, tmp_path, "popularity", 2)
    tell_shards(tmp_path, lambda about: about.update(repeats=True))

    assert refused(trained, tmp_path) == (
        "shard 0: `repeats` must be false by its own `rule`, received: true"
    )


def test_shards_with_rows_of_the_other_rule_are_refused(trained, tmp_path):
    """A record alone proves nothing: the rows are looked at."""
    shards_of(trained, tmp_path, "popularity", 2, inputs=trained.inputs)
    record_of_false = rule.decide(read_interactions(trained.data), False, RUN_ID).record()
    tell_shards(tmp_path, lambda about: about.update(repeats=False, rule=record_of_false))

    assert "had already" in refused(trained, tmp_path)


def test_one_shard_by_another_rule_than_the_others_is_named(trained, tmp_path):
    shards_of(trained, tmp_path, "popularity", 2)
    shards_of(trained, tmp_path / "other", "popularity", 2, inputs=trained.inputs)
    shutil.rmtree(tmp_path / "recommend" / "1")
    shutil.copytree(tmp_path / "other" / "recommend" / "1", tmp_path / "recommend" / "1")

    assert refused(trained, tmp_path).startswith("shard 1: `repeats` must be False")


def test_recommend_refuses_params_that_contradict_train(trained, tmp_path):
    with pytest.raises(ConfigurationError, match='`repeats` must be "auto" or true as train wrote'):
        shards_of(trained, tmp_path, "popularity", 1, inputs=trained.inputs, repeats=False)


def test_recommend_without_a_record_goes_by_the_data_and_so_does_gather(trained, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(trained.inputs, old)
    record(old, None)

    shards_of(trained, tmp_path, "network", 2, inputs=old)

    result = run_gather(trained, tmp_path)
    assert (result["repeats"], result["rule"]["decided_by"]) == (True, "data")


def test_a_champion_of_earlier_data_serves_by_the_rule_of_this_data(trained, tmp_path):
    champion = tmp_path / "champion"
    shutil.copytree(trained.inputs, champion)
    earlier = rule.decide(read_interactions(trained.data), False, "tiny-20261120T0200Z").record()
    earlier |= {"decided_by": "data", "repeat_share": 0.0, "dataset_fingerprint": "earlier"}
    record(champion, earlier)

    shards_of(trained, tmp_path, "network", 2, inputs=champion)

    assert run_gather(trained, tmp_path)["repeats"] is True


def test_above_the_limit_a_part_of_the_users_is_judged_and_said_to_be(
    trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(judged_users, "MOST_CASES", 30)
    monkeypatch.setattr(judged_users, "LEAST_USERS", 9)

    report = evaluate_with(trained, trained.inputs, tmp_path)

    card = (tmp_path / "model-card.md").read_text()
    users = {"p2_rolling": (9, 39), "p1": (30, 40)}
    for name, protocol in report["protocols"].items():
        kept, of = users[name]
        assert protocol["users"] == kept
        assert f"Judged are {kept} of {of} users, chosen by a hash" in protocol["description"]
        assert protocol["description"] in card


def test_a_block_of_the_evaluation_is_no_more_to_the_network(trained, monkeypatch):
    """It pads to a fixed number of rows, and would compute what nobody asked for."""
    monkeypatch.setattr(ranking, "BLOCK_CELLS", 12 * 30)
    events = read_interactions(trained.data)
    saved = model_files.load(trained.inputs / "train" / "model", model_files.EVALUATED)

    network = candidates.network(saved, events)

    assert network.size == ranking.block_rows(events.n_items) == 12


def test_no_two_fitted_baselines_are_held_at_once(trained, tmp_path, monkeypatch):
    """Each is as large as the catalogue, or as its square."""
    fit, made, held = baselines.fit, [], []

    def fitting(*place):
        held.append([name for name, candidate in made if candidate() is not None])
        candidate = fit(*place)
        made.append((place[0], weakref.ref(candidate)))
        return candidate

    monkeypatch.setattr(baselines, "fit", fitting)

    with_champion(trained, tmp_path, EvaluateConfig(champion_candidate="ials"))

    assert [name for name, _ in made] == [*2 * CANDIDATES[1:], "ials"]  # the last one serves
    assert held == [[]] * len(made)


def test_resampling_is_no_stall(trained, tmp_path, monkeypatch):
    """The agent ends what shows no new step for ten minutes."""
    steps = []
    monkeypatch.setattr(Progress, "tick", lambda _, step, total, detail: steps.append(detail))

    report = with_champion(trained, tmp_path, EvaluateConfig(champion_candidate="ials"))

    tables = [report["champion"], *report["protocols"].values()]
    tables += [row for one in report["protocols"].values() for row in one["segments"]]
    assert steps.count("resampling users") >= len(tables) * RESAMPLES // RESAMPLES_AT_ONCE


def evaluate_with(trained, inputs, out, **params):
    out.mkdir(exist_ok=True)
    return evaluate(EvaluateConfig(**params), trained.data, inputs, out, Progress(out, "evaluate"))


@pytest.mark.parametrize("repeats", [True, False])
def test_what_is_measured_is_what_is_served(trained, tmp_path, repeats):
    inputs = told(trained, repeats)

    report = evaluate_with(trained, inputs, tmp_path / "out")

    shards_of(trained, tmp_path, "popularity", 1, inputs=inputs)
    served = run_gather(trained, tmp_path)
    assert report["rule"] == served["rule"] == rule.written(inputs / "train" / "model").record()
    assert served["repeats"] is repeats
    rolling = report["protocols"]["p2_rolling"]
    assert f"as in what is served (`repeats` is {json.dumps(repeats)}" in rolling["description"]
    assert report["rule"]["reason"] in rolling["description"]
    events = read_interactions(trained.data)
    split = p2_rolling(events, repeats)
    assert rolling["events"] == len(split.cases.target_item)
    assert "as in what is served" not in report["protocols"]["p1"]["description"]
    # What a user had is ranked exactly where it is a target.
    popularity = baselines.fit("popularity", split.fit)
    ranked = run_candidate(popularity, events.item, split.cases, events.n_items, not repeats)
    expected = per_user(
        ranked.ranks <= 10, split.cases.user[split.cases.target_row], np.unique(split.cases.user)
    )
    hits = rolling["candidates"]["popularity"]["hr_at_10"]["mean"]
    assert hits == pytest.approx(expected.mean())


def test_the_rules_of_data_and_params_differ_in_nothing_but_who_decided(trained, tmp_path):
    by_data = evaluate_with(trained, trained.inputs, tmp_path / "data")
    by_params = evaluate_with(trained, told(trained, True), tmp_path / "params")

    scores = [report["protocols"]["p2_rolling"]["candidates"] for report in (by_data, by_params)]
    assert scores[0] == scores[1]
    assert (by_data["rule"]["decided_by"], by_params["rule"]["decided_by"]) == ("data", "params")


def test_evaluate_refuses_params_that_contradict_train(trained, tmp_path):
    with pytest.raises(ConfigurationError, match="as train wrote, received: false"):
        evaluate_with(trained, trained.inputs, tmp_path, repeats=False)


def test_evaluate_of_a_model_without_a_record_goes_by_the_data(trained, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(trained.inputs, old)
    record(old, None)

    report = evaluate_with(trained, old, tmp_path / "out")

    assert (report["rule"]["repeats"], report["rule"]["decided_by"]) == (True, "data")


@pytest.fixture
def good(trained, tmp_path):
    """Two shards that gather accepts, for a test to spoil."""
    shards_of(trained, tmp_path, "sequential-rules", 2)
    run_gather(trained, tmp_path)
    return tmp_path


def refused(trained, root, **more):
    with pytest.raises(DataError) as caught:
        run_gather(trained, root, **more)
    return caught.value.reason


def rewrite(root, shard, change, is_said=True):
    """Changes a shard's rows and makes its checksum right again."""
    folder = root / "recommend" / str(shard)
    path = folder / "recommendations.parquet"
    rows = pq.read_table(path).to_pydict()
    change(rows)
    pq.write_table(pa.table(rows, schema=pq.read_schema(path)), path)
    about = json.loads((folder / "shard.json").read_text())
    write_json(
        folder / "shard.json",
        {
            **about,
            "sha256": sha256_of(path),
            "rows": len(rows["user_id"]),
            "users": len(rows["user_id"]) if is_said else about["users"],
        },
    )


def test_a_missing_shard_is_named(trained, good):
    shutil.rmtree(good / "recommend" / "1")

    assert refused(trained, good) == "shard 1: is missing, of 2"


def test_missing_rows_are_named(trained, good):
    (good / "recommend" / "1" / "recommendations.parquet").unlink()

    assert refused(trained, good) == "shard 1: `recommendations.parquet` is missing"


def test_a_shard_twice_is_named(trained, good):
    shutil.rmtree(good / "recommend" / "1")
    shutil.copytree(good / "recommend" / "0", good / "recommend" / "1")

    assert "shard 1: must be itself, received: shard 0" in refused(trained, good)


def test_a_shard_too_many_is_named(trained, good):
    shutil.copytree(good / "recommend" / "1", good / "recommend" / "2")

    assert refused(trained, good).startswith("shard 2: must be itself")


def test_changed_bytes_are_found(trained, good):
    path = good / "recommend" / "1" / "recommendations.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    assert refused(trained, good) == "shard 1: `recommendations.parquet` must match its checksum"


def swap_first_items(rows):
    rows["items"][0][0], rows["scores"][0] = rows["items"][0][1], rows["scores"][0]


def raise_a_score(rows):
    rows["scores"][2][3] = rows["scores"][2][0] + 1


def drop_a_user(rows):
    for column in rows.values():
        column.pop()


def drop_an_item(rows):
    rows["items"][1].pop()
    rows["scores"][1].pop()


def drop_a_score(rows):
    rows["scores"][1].pop()


def no_number(rows):
    rows["scores"][1][0] = float("nan")


def user_twice(rows):
    rows["user_id"][1] = rows["user_id"][0]


def user_of_before(rows):
    rows["user_id"][0] = "u000"


def unknown_user(rows):
    rows["user_id"][0] = "nobody"


def skip_a_user(rows):
    for column in rows.values():
        column.pop(0)


def foreign_item(rows):
    rows["items"][0][0] = 10**9


def other_user(rows):
    rows["user_id"][0], rows["user_id"][1] = rows["user_id"][1], rows["user_id"][0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (swap_first_items, "has an item twice"),
        (raise_a_score, "has scores that rise"),
        (drop_an_item, "has not as many items as it must"),
        (drop_a_score, "must have one score for each item"),
        (no_number, "has a score that is no number"),
        (user_twice, "must have each user once and sorted, received: u020 again"),
        (user_of_before, "has user u000, who is in an earlier shard too"),
        (unknown_user, "has user nobody, who is not in the dataset"),
        (skip_a_user, "must go on with user u020"),
        (foreign_item, "has an item that is not in the dataset"),
        (other_user, "must go on with user u020"),
    ],
)
def test_wrong_rows_are_found_though_the_checksum_is_right(trained, good, change, reason):
    rewrite(good, 1, change)

    assert refused(trained, good).startswith("shard 1: ")
    assert reason in refused(trained, good)


@pytest.mark.parametrize(
    ("is_said", "reason"),
    [
        (False, "shard 1: must have 20 rows, received: 19"),
        (
            True,
            "the rows of all shards must be 40, received: 39: user u039 and all after them are ",
        ),
    ],
)
def test_a_lost_user_is_found_whatever_the_shard_says(trained, good, is_said, reason):
    rewrite(good, 1, drop_a_user, is_said)

    assert refused(trained, good).startswith(reason)


def test_wrong_rows_with_repeats_are_found_too(trained, tmp_path):
    shards_of(trained, tmp_path, "popularity", 2, inputs=trained.inputs)

    rewrite(tmp_path, 1, swap_first_items)

    reason = refused(trained, tmp_path)
    assert reason == "shard 1: user u020 has an item twice"


def test_an_item_that_the_user_had_is_found(trained, good):
    events = read_interactions(trained.data)
    had = events.item_ids[int(events.item[events.offsets[20]])].as_py()

    rewrite(good, 1, lambda rows: rows["items"][0].__setitem__(0, had))

    assert "user u020 has an item that they had already" in refused(trained, good)


def test_shards_of_another_candidate_than_asked_are_refused(trained, good):
    with pytest.raises(DataError, match="`candidate` must be popularity in this run"):
        run_gather(trained, good, candidate="popularity")


def test_top_k_breaks_ties_by_the_lower_item_and_hides_what_is_hidden():
    scores = np.array([[1, 5, -2, 5, -np.inf, 0.0]], np.float32)

    items, values = top_k(scores, 5)

    assert items.tolist() == [[1, 3, 0, 5, 2]]
    assert values.tolist() == [[5, 5, 1, 0, -2]]


def test_top_k_agrees_with_a_full_sort():
    scores = np.random.Generator(np.random.PCG64(2)).integers(-9, 9, (50, 80)).astype(np.float32)

    items, _ = top_k(scores, 20)

    assert np.array_equal(items, np.argsort(-scores, axis=1, kind="stable")[:, :20])


def test_a_long_curve_is_thinned_and_keeps_its_end():
    losses = np.arange(100_000, dtype=np.float32)

    points = curve(losses, [7])["points"]

    assert len(points) == 2000
    assert points[-1]["step"] == 100_000
    assert np.mean([point["loss"] for point in points]) == pytest.approx(losses.mean())
