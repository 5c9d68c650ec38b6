"""The card of a whole run says what the figures say, the bad ones first of all."""

from trainer.evaluation_card import evaluation_card, weaknesses, why


def estimate(mean, half=0.01):
    return {"mean": mean, "low": mean - half, "high": mean + half}


def scores(mean, coverage=0.4):
    metrics = {name: estimate(mean) for name in ("ndcg_at_10", "mrr_at_10", "recall_at_20")}
    return {
        **metrics,
        "hr_at_10": estimate(2 * mean),
        "coverage": {"mean": coverage},
        "popularity_lift": {"mean": 1.7},
    }


def pair(against, mean):
    return {"candidate": "ease", "against": against, "metric": "ndcg_at_10", **estimate(mean)}


def segment(name, ease, network):
    of = {"ease": ease, "network": network}
    return {
        "name": name,
        "users": 120,
        "share": 0.12,
        "candidates": {one: {"ndcg_at_10": estimate(value)} for one, value in of.items()},
    }


def report(**more):
    return {
        "best": "ease",
        "gate_metric": "ndcg_at_10",
        "dataset_fingerprint": "9f2c",
        "rule": {"repeats": True, "reason": "28.4 % of the events return"},
        "left_out": {},
        "protocols": {
            "p2_rolling": {
                "users": 1_000,
                "events": 5_000,
                "description": "Fitted before.",
                "candidates": {"network": scores(0.07), "ease": scores(0.08)},
                "paired": [pair("network", 0.005), pair("popularity", 0.05)],
                "segments": [segment("history 0", 0.03, 0.05), segment("history 1-10", 0.09, 0.08)],
            }
        },
        "champion": None,
        **more,
    }


ABOUT = {
    "events": 12_345,
    "users": 678,
    "items": 90,
    "split_at": "2026-11-01T00:00:00.000Z",
    "model": "sequential-two-tower",
    "parameters": 100_000,
}


def test_why_tells_what_is_beyond_doubt_from_what_is_not():
    assert why(report()) == (
        "of 3 candidates it has the highest NDCG@10 on P2-rolling, beyond doubt (paired 95 % "
        "interval above 0) above popularity; that it is better than network is not beyond doubt."
    )


def test_weak_segments_and_who_is_better_there_are_named():
    said = weaknesses(report(left_out={"ials": "a reason"}))

    assert "Less than half of its overall score (0.0800) in: history 0 (0.0300)." in said
    assert "Another candidate has the higher mean in: history 0 (network)." in said
    assert "84 % of its lists of ten miss what comes next." in said
    assert "ials was not among the candidates: a reason." in said
    assert any("name 40 % of all items" in line and "1.70 times" in line for line in said)


def test_the_card_has_data_metrics_segments_and_the_champion():
    champion = {
        "run_id": "shop-1",
        "candidate": "network",
        "ndcg_at_10": estimate(0.07),
        "paired": estimate(0.01, 0.004),
        "relative_gain": 0.143,
    }

    card = evaluation_card(ABOUT, report(champion=champion))

    assert card.startswith("# Model card\n\n**ease** should be served: of 3 candidates")
    assert "12,345 events of 678 users with 90 items" in card
    assert "Repeats count: 28.4 % of the events return." in card
    assert "| **ease** | 0.0800 [0.0700, 0.0900] |" in card
    assert card.index("| **ease** |") < card.index("| network |")
    assert "| history 0 | 120 (12 %) | 0.0300 [0.0200, 0.0400] | network 0.0500 |" in card
    assert (
        "network of run `shop-1`, scored again on the same split: 0.0700 [0.0600, 0.0800]. The "
        "best candidate is ahead by +0.0100 [+0.0060, +0.0140], +14.3 %." in card
    )
    assert "There is none, or none was passed in" in evaluation_card(ABOUT, report())
