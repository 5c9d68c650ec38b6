"""What a bench wrote is shown whole and compared in the right direction, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import bench_facts
import bench_table
import pytest


def document(**changes: Any) -> dict[str, Any]:
    """A bench with two contestants, of which ours is twice as fast."""
    whole = {
        "bench": "copy",
        "title": "Copying",
        "command": "make bench-copy",
        "measured_at": "2026-12-01T05:00:00Z",
        "machine": {"cores": 2},
        "versions": {"other": "1.0"},
        "revision": "abc",
        "compare": {"figure": "mb_per_s", "better": "more", "ours": "ours"},
        "notes": ["Medians."],
        "rows": [
            {"case": "down", "who": "ours", "mb_per_s": 200.0, "cpu_s": None},
            {"case": "down", "who": "other", "mb_per_s": 100.0, "cpu_s": 1.5},
        ],
    }
    return whole | changes


def test_more_of_the_figure_is_better_or_less_of_it_as_the_bench_says() -> None:
    faster = document()
    less = {"figure": "mb_per_s", "better": "less", "ours": "ours"}

    assert [bench_table.ours_is(faster, faster["compare"], row) for row in faster["rows"]] == [None, 2.0]
    assert bench_table.ours_is(faster, less, faster["rows"][1]) == 0.5


def test_several_figures_can_be_compared() -> None:
    both = document(compare=[document()["compare"], {"figure": "cpu_s", "better": "less", "ours": "ours"}])
    both["rows"][0]["cpu_s"] = 0.5

    assert bench_table.ratios_shown(both, both["rows"][1]) == ["2.00x", "3.00x"]
    assert "| ours is, in mb_per_s | ours is, in cpu_s |" in bench_table.as_markdown([both])


def test_a_case_without_ours_is_not_compared() -> None:
    lonely = document()
    lonely["rows"][1]["case"] = "up"

    assert bench_table.ratios_shown(lonely, lonely["rows"][1]) == [""]


def test_the_table_for_a_terminal_holds_every_bench_and_row() -> None:
    single = document(bench="start", rows=[{"case": "empty", "who": "ours", "start_ms": 12345.6}])
    del single["compare"]

    lines = bench_table.as_text([document(), single]).splitlines()

    assert lines == [
        "bench  case   who    figures                  ours is",
        "copy   down   ours   mb_per_s=200  cpu_s=-",
        "copy   down   other  mb_per_s=100  cpu_s=1.5  2.00x in mb_per_s",
        "start  empty  ours   start_ms=12346",
    ]


def test_markdown_has_a_column_for_each_figure_and_says_where_and_what() -> None:
    text = bench_table.as_markdown([document()])

    assert "| case | who | mb_per_s | cpu_s | ours is, in mb_per_s |\n|---|---|--:|--:|--:|\n" in text
    assert "| down | other | 100 | 1.5 | 2.00x |" in text
    assert "`make bench-copy` at abc, 2026-12-01T05:00:00Z; cores 2; other 1.0." in text
    assert text.endswith("\n- Medians.\n")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rows": []}, "has no rows"),
        ({"rows": [{"case": "a", "who": "b", "x_s": "fast"}]}, "`x_s` must be a number"),
        ({"rows": [{"case": 1, "who": "b"}]}, "`case` must be text"),
        ({"rows": [{"case": "a", "x_s": 1}]}, "lacks `case` or `who`"),
        (
            {"rows": [{"case": "a", "who": "b", "x_s": 1}, {"case": "a", "who": "c", "y_s": 1}]},
            "row 2 has other keys",
        ),
    ],
)
def test_what_is_not_of_the_format_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(bench_table.NotOfTheFormatError, match=named):
        bench_table.parsed(json.dumps(document(**changes)))


def test_a_missing_key_is_named() -> None:
    without = document()
    del without["command"], without["versions"]

    with pytest.raises(bench_table.NotOfTheFormatError, match="lacks `command`, `versions`"):
        bench_table.parsed(json.dumps(without))


def test_what_a_bench_left_out_is_filled_in_and_what_it_said_stays() -> None:
    without = document()
    del without["machine"], without["revision"]

    whole = bench_facts.completed(without)

    assert whole["machine"]["cores"] >= 1
    assert whole["revision"]
    assert whole["measured_at"] == "2026-12-01T05:00:00Z"


def test_the_example_of_the_format_is_of_the_format() -> None:
    page = (bench_facts.ROOT / "tools/bench_format.md").read_text()
    example = page.split("```json\n")[1].split("```")[0]

    assert bench_table.parsed(example)["bench"] == "agent"
