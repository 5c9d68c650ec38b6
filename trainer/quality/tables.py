"""The tables of the page, from what `judged.py` worked out. Only text is made here."""

from collections.abc import Sequence

from quality.judged import GATE, Answer, Estimate, Row
from quality.published import ROWS as PUBLISHED

HEADS = {
    "ndcg_at_10": "NDCG@10",
    "hr_at_10": "HR@10",
    "mrr_at_10": "MRR@10",
    "recall_at_20": "Recall@20",
}


def candidates(answer: Answer, promoted: str) -> str:
    """Every candidate on one question, the promoted one in bold."""
    lines = [
        f"| | {' | '.join(HEADS.values())} | coverage | popularity lift |",
        f"|---|{'---|' * (len(HEADS) + 2)}",
    ]
    for row in answer.rows:
        values = [interval(row.metrics[metric]) for metric in HEADS]
        values += [number(row.coverage, 3), f"{row.popularity_lift:.2f}"]
        lines.append(f"| {bold(row.name, promoted)} | {' | '.join(values)} |")
    return "\n".join([*lines, *(seeds_line(row) for row in answer.rows if len(row.seeds) > 1)])


def seeds_line(row: Row) -> str:
    """What the seeds of a candidate did."""
    values = ", ".join(number(value) for value in row.seeds)
    text = (
        f"\n{row.name}: the mean of {len(row.seeds)} seeds; NDCG@10 by seed {values}, a spread of "
        f"{number(max(row.seeds) - min(row.seeds))}"
    )
    if row.epochs:
        text += f"; validation ended it after {', '.join(map(str, row.epochs))} epochs"
    return text + "."


def differences(answers: Sequence[tuple[str, Answer, str]]) -> str:
    """Promoted - each other, question by question, with the verdict; `answers` are (title, answer,
    promoted)."""
    others = sorted(
        {row.name for _, answer, promoted in answers for row in answer.rows if row.name != promoted}
    )
    lines = [
        f"| promoted − | {' | '.join(others)} | at least as good as every other |",
        f"|---|{'---|' * (len(others) + 1)}",
    ]
    for title, answer, promoted in answers:
        values = []
        for other in others:
            pair = answer.differences.get((promoted, other))
            shown = pair is not None and other != promoted
            values.append(signed(pair) if shown else "")
        verdict = "met" if answer.holds(promoted) else f"**not met** (best: {answer.best})"
        lines.append(f"| {title}: {promoted} | {' | '.join(values)} | {verdict} |")
    return "\n".join(lines)


def against_network(answer: Answer) -> str:
    """Network - each other, in one line."""
    parts = [
        f"− {row.name} {signed(answer.difference('network', row.name))}"
        for row in answer.rows
        if row.name != "network"
    ]
    return f"{answer.question.title}: network {', '.join(parts)}."


def segments(answer: Answer, promoted: str) -> str:
    """The promoted one, the network and whoever is ahead, by segment."""
    known = {row.name for row in answer.rows}
    shown = [name for name in dict.fromkeys((promoted, "network")) if name in known]
    lines = [
        f"| | users | {' | '.join(shown)} | highest mean there |",
        f"|---|{'---|' * (len(shown) + 2)}",
    ]
    for segment in answer.segments:
        of = segment.by_candidate
        ahead = max(of, key=lambda name: of[name].mean)
        values = [interval(of[name]) for name in shown]
        lines.append(
            f"| {segment.name} | {segment.users:,} | {' | '.join(values)} | "
            f"{ahead} {number(of[ahead].mean)} |"
        )
    return "\n".join(lines)


def published(answers: Sequence[tuple[str, str, Answer]]) -> str:
    """HR@10 / NDCG@10 of every candidate beside what was published; `answers` are (name, title,
    answer) by dataset."""
    lines = [
        f"| HR@10 / NDCG@10 | {' | '.join(title for _, title, _ in answers)} | source |",
        f"|---|{'---|' * (len(answers) + 1)}",
    ]
    names = list(dict.fromkeys(row.name for _, _, answer in answers for row in answer.rows))
    for name in names:
        values = []
        for _, _, answer in answers:
            row = next((one for one in answer.rows if one.name == name), None)
            values.append("" if row is None else pair_of(row))
        lines.append(f"| {name} | {' | '.join(values)} | here |")
    for line in PUBLISHED:
        values = []
        for dataset, _, _ in answers:
            known = line.values.get(dataset)
            values.append("" if known is None else f"{number(known[0])} / {number(known[1])}")
        note = f"; {line.note}" if line.note else ""
        lines.append(f"| *{line.name}* | {' | '.join(values)} | {line.source}{note} |")
    return "\n".join(lines)


def pair_of(row: Row) -> str:
    """HR@10 / NDCG@10 with the latter's interval."""
    gate = row.metrics[GATE]
    return (
        f"{number(row.metrics['hr_at_10'].mean)} / {number(gate.mean)} "
        f"[{number(gate.low)}, {number(gate.high)}]"
    )


def bold(name: str, promoted: str) -> str:
    """The promoted candidate's name stands out."""
    return f"**{name}**" if name == promoted else name


def interval(value: Estimate) -> str:
    """A mean with its interval."""
    return f"{number(value.mean)} [{number(value.low)}, {number(value.high)}]"


def signed(value: Estimate) -> str:
    """A difference with its interval."""
    return f"{difference(value.mean)} [{difference(value.low)}, {difference(value.high)}]"


def difference(value: float, digits: int = 4) -> str:
    """A signed number, as the page writes them."""
    return ("+" if value >= 0 else "−") + number(abs(value), digits)


def number(value: float, digits: int = 4) -> str:
    """A number of [0, 1] without its leading nought."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("0") if text.startswith("0.") else text
