"""The page about quality: the papers' files and their protocol, resuming, and the tables."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import table

from quality import cells, choose, datasets, judged, papers, runner, tables
from quality.__main__ import main
from quality.judged import GATE
from quality.published import ROWS
from trainer import ease
from trainer.config import BASELINES
from trainer.failure import DataError
from trainer.metrics import Outcome
from trainer.split import before_split

# The page in seconds: a network of a few steps.
QUICK = {"patience": 0, "dim": 8, "max_len": 3, "batch_size": 64}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def histories(events):
    return {
        events.user_ids[u].as_py(): [
            events.item_ids[int(i)].as_py()
            for i in events.item[events.offsets[u] : events.offsets[u + 1]]
        ]
        for u in range(events.n_users)
    }


def test_a_sequence_file_is_read_in_its_order(tmp_path):
    path = write(tmp_path / "Beauty.txt", "1 30 10 20\n2 10 40\n\n")

    events = papers.sequences(path)

    assert histories(events) == {"1": ["30", "10", "20"], "2": ["10", "40"]}
    assert (events.time_ms / papers.DAY_MS).tolist() == [-2, -1, 0, -1, 0]


def test_one_pair_a_line_is_the_same(tmp_path):
    pairs = papers.sequences(write(tmp_path / "a.txt", "1 30\n1 10\n2 10\n1 20\n2 40\n"))
    lines = papers.sequences(write(tmp_path / "b.txt", "1 30 10 20\n2 10 40\n"))

    assert histories(pairs) == histories(lines)
    assert pairs.time_ms.tolist() == lines.time_ms.tolist()


def test_ratings_are_ordered_by_time_and_what_was_rated_counts(tmp_path):
    path = write(tmp_path / "ratings.dat", "1::7::5::30\n2::7::1::5\n1::8::1::10\n1::9::3::30\n")

    events = papers.ratings(path)

    assert histories(events) == {"1": ["8", "7", "9"], "2": ["7"]}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("Beauty.txt", "1 2 3\n4\n", "Beauty.txt, line 2: must be a user and items, received: 4"),
        (
            "ratings.dat",
            "1::2::3::soon\n",
            "ratings.dat, line 1: must be user::item::rating::second, received: 1::2::3::soon",
        ),
        ("Beauty.txt", "\n", "Beauty.txt: must hold events, received none"),
    ],
)
def test_a_file_that_is_something_else_is_refused_with_its_line(tmp_path, name, text, reason):
    write(tmp_path / name, text)

    with pytest.raises(DataError) as caught:
        papers.datasets(tmp_path)

    assert caught.value.reason == reason


def test_files_are_found_at_any_depth_by_their_usual_names(tmp_path):
    for name in ("s3/data/Toys_and_Games.txt", "x/Sports_and_Outdoors.txt"):
        write(tmp_path / name, "1 2 3 4\n")
    write(tmp_path / "ml-1m" / "ratings.dat", "1::2::3::4\n1::3::3::5\n1::4::3::6\n")

    found, missing = papers.datasets(tmp_path)

    assert [one.name for one in found] == ["toys", "sports", "ml-1m"]
    assert missing == ["Beauty"]


def test_a_folder_without_such_files_is_refused(tmp_path):
    with pytest.raises(DataError, match="must hold a file of the comparison"):
        papers.datasets(tmp_path)
    with pytest.raises(DataError, match="must be a folder"):
        papers.datasets(tmp_path / "nowhere")


def test_the_papers_protocol_asks_for_the_last_and_fits_on_all_but_the_last_two(tmp_path):
    events = papers.sequences(write(tmp_path / "Beauty.txt", "1 a b c d\n2 b c\n3 c d a\n"))

    split = datasets.as_in_papers(events)

    assert histories(split.fit) == {"1": ["a", "b"], "2": [], "3": ["c"]}
    asked = split.cases
    targets = [events.item_ids[int(item)].as_py() for item in asked.target_item]
    assert targets == ["d", "a"]  # a user of two has nothing left to fit on
    shown = [
        [events.item_ids[int(i)].as_py() for i in events.item[start:end]]
        for start, end in zip(asked.start, asked.end, strict=True)
    ]
    assert shown == [["a", "b", "c"], ["c", "d"]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    pq.write_table(table(), folder / "interactions.parquet")
    return datasets.from_folder("shop", "Shop", folder, 2)


@pytest.fixture(scope="module")
def measured(shop, tmp_path_factory):
    """P2-rolling alone: each fit of the network is compiled for itself."""
    folder = tmp_path_factory.mktemp("kept")
    lines = []
    rolling = dataclasses.replace(shop, questions=shop.questions[:1])
    results, left_out = runner.measure([rolling], folder, (1, 2), QUICK, lines.append)
    assert left_out == {}
    return folder, results, lines


def test_every_candidate_is_measured_and_the_network_with_each_seed(shop, measured):
    _, results, lines = measured

    assert [name for name, _ in shop.questions] == ["before the split", "before each user's last"]
    assert list(shop.by_name) == ["p2", "p2-new", "p1"]
    assert len(results) == len(lines) == len(BASELINES) + 2
    assert "shop, network of seed 2, fitted before the split: " in lines[-1]


def test_an_interrupted_run_goes_on_where_it_was(shop, measured, tmp_path):
    folder, results, _ = measured
    for path in folder.glob("*.npz"):
        if "ease" not in path.name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    lines = []

    rolling = dataclasses.replace(shop, questions=shop.questions[:1])
    again, _ = runner.measure([rolling], tmp_path, (1, 2), QUICK, lines.append)

    anew = [line for line in lines if "kept from before" not in line]
    assert len(anew) == 1 and ", ease, " in anew[0]
    assert again.keys() == results.keys()
    for cell, result in again.items():
        for name, outcome in result.outcomes.items():
            assert np.array_equal(outcome.ranks, results[cell].outcomes[name].ranks)


def test_other_settings_and_other_data_are_measured_anew(shop):
    digests = {cell.candidate: cell.digest for cell in cells.cells(shop, (1,), {"patience": 1})}
    others = {cell.candidate: cell.digest for cell in cells.cells(shop, (1,), {"patience": 2})}

    assert digests["ease"] == others["ease"]
    assert digests["network"] != others["network"]
    assert cells.digest("other data", cells.JUDGES) != cells.digest("data", cells.JUDGES)


def test_the_network_is_the_mean_of_its_seeds(shop, measured):
    _, results, _ = measured

    rolling = dataclasses.replace(shop, questions=shop.questions[:1])
    first = judged.answers(rolling, results)[0]

    row = next(row for row in first.rows if row.name == "network")
    assert len(row.seeds) == 2
    assert row.metrics[GATE].mean == pytest.approx(np.mean(row.seeds))
    pair = first.difference("network", "ials")
    other = next(row for row in first.rows if row.name == "ials")
    assert pair.mean == pytest.approx(row.metrics[GATE].mean - other.metrics[GATE].mean)
    assert pair.low < pair.mean < pair.high
    assert f"a spread of {tables.number(abs(row.seeds[0] - row.seeds[1]))}" in (
        tables.seeds_line(row)
    )


def outcome(shop, rank):
    cases = shop.by_name["p2"].split.cases
    return Outcome(np.full(len(cases.target_row), rank), np.ones(shop.events.n_items, np.int64))


def test_the_verdict_is_not_met_where_another_is_better_beyond_doubt(shop):
    question = shop.by_name["p2"]
    found = {"good": [(outcome(shop, 1.0), None)], "bad": [(outcome(shop, 5.0), None)]}

    made = judged.answer(shop, question, found)

    assert (made.best, made.holds("good"), made.holds("bad")) == ("good", True, False)
    table_of = tables.differences([("P2", made, "bad")])
    assert "**not met** (best: good)" in table_of
    assert "| met |" in tables.differences([("P2", made, "good")])
    assert made.difference("bad", "good").mean == pytest.approx(1 / np.log2(6) - 1)


def test_a_candidate_that_cannot_be_fitted_is_left_out(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(ease, "MOST_ITEMS", 5)

    results, left_out = runner.measure([shop], tmp_path, (), QUICK, lambda line: None)

    assert list(left_out) == [
        ("shop", "ease, fitted before the split"),
        ("shop", "ease, fitted before each user's last"),
    ]
    assert {cell.candidate for cell in results} == set(BASELINES) - {"ease"}


def test_published_rows_stand_beside_ours(tmp_path):
    lines = [" ".join([str(u), *(str((u + step) % 9) for step in range(6))]) for u in range(12)]
    write(tmp_path / "Beauty.txt", "\n".join(lines))
    found, _ = papers.datasets(tmp_path)
    results, _ = runner.measure(found, tmp_path / "kept", (), QUICK, lambda line: None)
    answers = [("beauty", "Beauty", judged.answers(found[0], results)[0])]

    text = tables.published(answers)

    ours = next(line for line in text.splitlines() if line.startswith("| sequential-rules |"))
    assert "| here |" in ours
    assert "| *sequential rules* | .0821 / .0525 | measured" in text
    assert len(text.splitlines()) == 2 + len(BASELINES) + len(ROWS)
    rules = next(row for row in answers[0][2].rows if row.name == "sequential-rules")
    assert rules.metrics["hr_at_10"].mean == 1.0  # nine items, of which each follows the last


def test_one_command_makes_the_page(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    pq.write_table(table(users=15, events=250), data / "interactions.parquet")
    bench = tmp_path / "bench"
    lines = [" ".join([str(u), *(str((u + step) % 9) for step in range(6))]) for u in range(12)]
    write(bench / "Beauty.txt", "\n".join(lines))
    command = ["--movielens", str(data), "--state", str(tmp_path / "state")]
    command += ["--to", str(tmp_path / "quality.md"), "--seeds", ""]

    code = main(command, {"TRAINSPOT_BENCH_DATA": str(bench)})

    assert code == 0
    page = (tmp_path / "quality.md").read_text()
    assert "Left out: no file was named" in page
    assert "Not in the folder: Toys, Sports, ML-1M." in page
    assert "| *eSASRec* | .0928 / .0523 |" in page
    assert "## What is weaker, and where we lose\n- " in page
    assert "$" not in page
    said = capsys.readouterr().out
    assert "at least as good as every other within its interval: " in said
    figures = json.loads((tmp_path / "state" / "measured.json").read_text())
    assert set(figures) == {"movielens-100k", "beauty"}
    promoted = figures["movielens-100k"]["promoted"]
    assert f"Promoted: **{promoted}**" in page

    assert main(command, {}) == 0
    assert "`TRAINSPOT_BENCH_DATA` names no folder" in capsys.readouterr().out
    assert "`TRAINSPOT_BENCH_DATA` names no folder" in (tmp_path / "quality.md").read_text()


def test_a_folder_without_data_is_65(tmp_path, capsys):
    command = ["--movielens", str(tmp_path), "--state", str(tmp_path), "--to", str(tmp_path / "q")]

    assert main(command, {}) == 65

    assert "must hold Parquet files" in capsys.readouterr().err


def test_a_page_of_what_is_finished_names_what_is_not(tmp_path, capsys):
    pq.write_table(table(users=15, events=250), tmp_path / "interactions.parquet")
    state, page = tmp_path / "state", tmp_path / "quality.md"
    command = ["--movielens", str(tmp_path), "--state", str(state), "--to", str(page)]

    assert main([*command, "--kept"], {}) == 64
    assert "something finished about MovieLens-100K" in capsys.readouterr().err
    assert not page.exists()
    assert main([*command, "--seeds", ""], {}) == 0
    assert main([*command, "--seeds", "4", "--kept"], {}) == 0

    assert "Not here: network of seed 4, fitted before the split: not measured yet;" in (
        page.read_text()
    )


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--retail", "nowhere.parquet"], "`RETAIL` must be the UCI Online Retail parquet"),
        (["--seeds", "1,two"], "`--seeds` must be whole numbers with commas, received: 1,two"),
    ],
)
def test_bad_arguments_are_64(tmp_path, capsys, more, reason):
    pq.write_table(table(users=5, events=50), tmp_path / "interactions.parquet")
    command = ["--movielens", str(tmp_path), "--state", str(tmp_path), "--to", str(tmp_path / "q")]

    assert main([*command, *more], {}) == 64

    assert reason in capsys.readouterr().err
    assert not (tmp_path / "q").exists()


def test_constants_are_tried_on_the_early_part_alone(shop, capsys):
    early = before_split(shop.events)
    changed = shop.events.item.copy()
    changed[shop.events.time_ms >= early.time_ms.max() + 1] = 0
    later_ones_changed = dataclasses.replace(shop.events, item=changed)

    settings = choose.parsed("ease", ["RIDGE=3", "WINDOW=2"])
    scored = choose.inside(shop.events, "ease", settings)

    assert settings == {"RIDGE": 3.0, "WINDOW": 2}
    assert scored == choose.inside(later_ones_changed, "ease", settings)
    assert scored != choose.inside(shop.events, "ease", {})
    assert (ease.RIDGE, ease.WINDOW) == (500.0, 20)
    assert choose.main(["nowhere", "ease", "RIDGES=3"]) == 64
    assert "`RIDGES` must be a constant of trainer.ease" in capsys.readouterr().err
