"""EASE against the closed form, written down the short way."""

import json
import tracemalloc

import numpy as np
import pytest
from test_baselines import events, row

from trainer import baselines, ease
from trainer.alive import Steps
from trainer.config import EvaluateConfig
from trainer.evaluate import evaluate
from trainer.failure import DataError, Unfitting
from trainer.neighbours import SHRINK
from trainer.progress import Progress


@pytest.fixture
def ageless(monkeypatch):
    """Every event counts as much as the newest."""
    monkeypatch.setattr(ease, "HALF_LIFE", 1e12)


def shop(users=25, items=12, size=160, seed=2):
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.integers(0, (users, items), (size, 2))
    return events([(int(u), int(i), t) for t, (u, i) in enumerate(drawn)])


@pytest.mark.usefixtures("ageless")
def test_weights_are_those_of_the_closed_form():
    made = shop()
    had = np.zeros((made.n_users, made.n_items))
    had[made.user, made.item] = 1.0
    inverse = np.linalg.inv(had.T @ had + ease.RIDGE * np.eye(made.n_items))
    expected = inverse / -np.diag(inverse)

    weights = ease.ease(made).weights

    off = ~np.eye(made.n_items, dtype=bool)
    assert weights[off] == pytest.approx(expected[off], rel=1e-5, abs=1e-9)


@pytest.mark.usefixtures("ageless")
def test_an_item_speaks_for_itself_as_its_users_came_back():
    made = events([("a", 0, 1), ("a", 0, 2), ("b", 0, 1), ("b", 1, 2)])

    own = np.diag(ease.ease(made).weights)

    assert own == pytest.approx([ease.RETURN_WEIGHT / (2 + SHRINK), 0])


@pytest.mark.parametrize("block", [1, 5, 12, 64])
def test_an_inverse_in_blocks_is_the_inverse(monkeypatch, block):
    monkeypatch.setattr(ease, "BLOCK", block)
    generator = np.random.Generator(np.random.PCG64(3))
    root = generator.standard_normal((12, 20))
    matrix = root @ root.T + np.eye(12)
    heard = []

    inverse = ease.inverted(matrix.copy(), heard.append)

    assert inverse @ matrix == pytest.approx(np.eye(12), abs=1e-9)
    assert len(heard) == 3 * -(-12 // block)


def test_no_more_memory_is_taken_than_is_told(monkeypatch):
    n = 1_000
    generator = np.random.Generator(np.random.PCG64(4))
    rows = [(int(u), int(i), t) for t, (u, i) in enumerate(generator.integers(0, n, (60_000, 2)))]
    made = events([*rows, *((n, item, len(rows) + item) for item in range(n))])
    told = 12 * n * n  # bytes: the matrix in float64, and the weights in float32
    monkeypatch.setattr(ease, "BLOCK", 50)
    events_and_blocks = 40 * made.n_events + 8 * 3 * ease.BLOCK * n

    tracemalloc.start()
    ease.ease(made)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert told < most < told + events_and_blocks


def test_the_newest_of_a_history_count_most(monkeypatch):
    made = shop()
    fitted = ease.ease(made)
    monkeypatch.setattr(ease, "PRIOR_WEIGHT", 0.0)

    scores = row(fitted, [3, 7])

    assert scores == pytest.approx(fitted.weights[7] + fitted.weights[3] / 2)


def test_an_empty_history_gets_what_is_popular_now():
    made = shop()

    assert np.argsort(row(baselines.fit("ease", made), [])).tolist() == (
        np.argsort(row(baselines.fit("recency-popularity", made), [])).tolist()
    )


def test_a_catalogue_that_does_not_fit_is_refused_before_any_memory_is_taken(monkeypatch):
    monkeypatch.setattr(ease, "MOST_ITEMS", 11)

    with pytest.raises(Unfitting, match=r"12 items make a matrix of 0\.0 GB; at most 11"):
        ease.ease(shop())


def test_a_candidate_that_does_not_fit_is_left_out_with_its_reason(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(ease, "MOST_ITEMS", 5)

    report = run(trained, trained.inputs, tmp_path)

    written = json.loads((tmp_path / "metrics.json").read_text())
    assert list(written["left_out"]) == ["ease"]
    assert written["left_out"]["ease"].startswith("30 items make a matrix")
    assert "ease" not in report["protocols"]["p2_rolling"]["candidates"]
    assert "ease was not among the candidates: 30 items" in (
        (tmp_path / "model-card.md").read_text()
    )


def run(trained, inputs, out, **params):
    config = EvaluateConfig(**params)
    return evaluate(config, trained.data, inputs, out, Progress(out, "evaluate"))


def test_a_champion_that_fits_no_more_loses_its_place(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(ease, "MOST_ITEMS", 5)

    champion = run(
        trained, trained.inputs, tmp_path, champion_candidate="ease", champion_run_id="tiny-1"
    )["champion"]

    assert champion["ndcg_at_10"]["mean"] == 0
    assert champion["relative_gain"] == 1.0
    assert champion["paired"]["low"] > 0
    assert not {"coverage", "popularity_lift"} & set(champion)


def test_recommending_by_a_candidate_that_does_not_fit_is_65(trained, tmp_path, monkeypatch):
    from trainer import candidates
    from trainer.dataset import read_interactions

    monkeypatch.setattr(ease, "MOST_ITEMS", 5)
    made = read_interactions(trained.data)

    with pytest.raises(DataError, match="candidate ease must fit this dataset: 30 items"):
        candidates.candidate("ease", made, made, tmp_path, "")


def test_long_fits_move_the_step_that_the_agent_watches(tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.progress.EVERY_S", 0.0)
    steps = Steps(Progress(tmp_path, "evaluate"))
    monkeypatch.setattr(ease, "BLOCK", 4)

    ease.ease(shop(), steps)

    written = json.loads((tmp_path / "progress.json").read_text())
    assert written["step"] == 9
    assert written["detail"] == "fitting ease"
