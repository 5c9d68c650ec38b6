"""Puts the tables into the template, with the sentences that follow from the figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from quality import tables
from quality.datasets import Dataset
from quality.judged import Answer
from trainer import rule

TEMPLATE = Path(__file__).parent / "template.md"
WEAK = 0.5  # of the overall score: below it a segment is named


@dataclass(frozen=True)
class Measured:
    """A dataset and the answers about it."""

    data: Dataset
    answers: list[Answer]
    missing: list[str]  # what could not be fitted or is not finished, and why

    @property
    def promoted(self) -> str:
        """The best candidate on the first question."""
        return self.answers[0].best

    def promoted_on(self, answer: Answer) -> str:
        """Who is promoted where a question is asked: on another rule's P2-rolling, its own best."""
        return answer.best if answer.question.decides else self.promoted


def page(
    public: Sequence[Measured],
    papers: Sequence[Measured],
    notes: dict[str, str],
    machine: str,
    epochs: str,
) -> str:
    """The whole page. `notes` say, by `retail` and `papers`, why a part is left out."""
    parts = [dataset_section(one) for one in public]
    if "retail" in notes:
        parts.append(f"## Online Retail\n{notes['retail']}\n")
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        machine=machine,
        epochs=epochs,
        datasets="\n".join(parts),
        published=published_section(papers, notes.get("papers", "")),
        losses="\n".join(f"- {line}" for one in public for line in losses(one)),
    )


def dataset_section(one: Measured) -> str:
    """All tables of a dataset."""
    decided = rule.decide(one.data.events)
    events = one.data.events
    lines = [
        f"## {one.data.title}",
        f"{events.n_events:,} events of {events.n_users:,} users with {events.n_items:,} items. "
        f"Repeats {'count' if decided.repeats else 'do not count'}: {decided.reason}. Promoted: "
        f"**{one.promoted}**.",
        *([f"Not here: {'; '.join(one.missing)}."] if one.missing else []),
        "",
    ]
    for answer in one.answers:
        lines += [
            f"**{answer.question.title}**: {answer.users:,} users, {answer.events:,} events.",
            "",
            tables.candidates(answer, one.promoted_on(answer)),
            "",
        ]
    titled = [(answer.question.title, answer, one.promoted_on(answer)) for answer in one.answers]
    lines += [
        "**Paired differences, NDCG@10.** The verdict is met where no interval lies below 0.",
        "",
        tables.differences(titled),
        "",
        *(
            tables.against_network(answer) + "\n"
            for answer in one.answers
            if any(row.name == "network" for row in answer.rows)
        ),
        f"**By segment**, {one.answers[0].question.title}, NDCG@10: events of the user before the "
        "split, and the popularity decile of what was taken (1: the tenth of all items that was "
        "taken most).",
        "",
        tables.segments(one.answers[0], one.promoted),
        "",
    ]
    return "\n".join(lines)


def published_section(papers: Sequence[Measured], note: str) -> str:
    """Beside what others reported, where their files are at hand."""
    lines = ["## Against published numbers", *([note] if note else [])]
    if papers:
        answers = [(one.data.name, one.data.title, one.answers[0]) for one in papers]
        lines += [
            "Leave-one-out on the papers' files: the last item of each user is asked for, the one "
            "before it is not fitted on, all items are ranked, what the user had is hidden, ties "
            "at mid-rank. Sequence files have no times: an event counts as many days old as "
            "events of its user came after it. What others reported is in italics.",
            "",
            tables.published(answers),
            "",
            *(f"{one.data.title}, not here: {text}.\n" for one in papers for text in one.missing),
            *(
                tables.differences([(title, answer, answer.best)]) + "\n"
                for _, title, answer in answers
            ),
        ]
    return "\n".join(lines) + "\n"


def losses(one: Measured) -> list[str]:
    """Where the promoted one or the network is behind, from the figures."""
    said = []
    title, promoted, first = one.data.title, one.promoted, one.answers[0]
    unsure = [
        row.name
        for row in first.rows
        if row.name != promoted and first.difference(promoted, row.name).low <= 0
    ]
    if unsure:
        said.append(
            f"{title}: that {promoted} is better than {listed(unsure)} on "
            f"{first.question.title} is not beyond doubt; which of them is promoted is partly "
            "chance."
        )
    for answer in one.answers[1:]:
        if answer.best != promoted:
            if answer.question.decides:
                said.append(f"{title}, {answer.question.title}: {answer.best} would be promoted.")
                continue
            pair = tables.signed(answer.difference(promoted, answer.best))
            behind = "beyond doubt" if not answer.holds(promoted) else "not beyond doubt"
            said.append(
                f"{title}, {answer.question.title}: {answer.best} is ahead of the promoted "
                f"{promoted} ({pair}), {behind}."
            )
    for answer in one.answers:
        if not any(row.name == "network" for row in answer.rows):
            continue
        ahead = [
            row.name
            for row in answer.rows
            if row.name != "network" and answer.difference("network", row.name).high < 0
        ]
        if ahead:
            said.append(
                f"{title}, {answer.question.title}: the network is behind {listed(ahead)} beyond "
                "doubt."
            )
    overall = first.rows[0].metrics["ndcg_at_10"].mean
    weak = [
        f"{segment.name} ({tables.number(segment.by_candidate[promoted].mean)})"
        for segment in first.segments
        if segment.by_candidate[promoted].mean < WEAK * overall
    ]
    if weak:
        said.append(
            f"{title}: {promoted} has less than half of its overall score in {listed(weak)}."
        )
    return said


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
