"""The model card of a whole run: what was measured, what of it is weak, and what should be served.

Written by evaluate beside `metrics.json`. What it says is bad is worked out from the figures, not
chosen: a card that praises has no reader. Whether the champion's place is taken is the gate's word.
"""

from typing import Any

SHOWN = {
    "ndcg_at_10": "NDCG@10",
    "hr_at_10": "HR@10",
    "mrr_at_10": "MRR@10",
    "recall_at_20": "Recall@20",
}
HEADS = (*SHOWN.values(), "coverage", "popularity lift")
WEAK = 0.5  # of the overall score: below it, a segment is named as one that is served badly
PROTOCOLS = {"p2_rolling": "P2-rolling, which decides", "p1": "P1, to compare with papers"}


def evaluation_card(about: dict[str, Any], report: dict[str, Any]) -> str:
    """Markdown for a person who decides whether to trust the recommendations."""
    best, rule, gate = report["best"], report["rule"], report["gate_metric"]
    rolling = report["protocols"]["p2_rolling"]
    parts = [
        "# Model card\n",
        f"**{best}** should be served: {why(report)}\n",
        "## Data",
        f"{about['events']:,} events of {about['users']:,} users with {about['items']:,} items, "
        f"split at {about['split_at']}. Fingerprint `{report['dataset_fingerprint']}`.\n"
        f"Repeats {'count' if rule['repeats'] else 'do not count'}: {rule['reason']}.\n"
        f"The network is {about['model']} with {about['parameters']:,} parameters.\n",
    ]
    for name, title in PROTOCOLS.items():
        if name in report["protocols"]:
            parts += [f"## {title}", protocol_text(report["protocols"][name], best, gate)]
    parts += [
        f"## By segment (P2-rolling, {SHOWN[gate]})",
        segment_table(rolling, best, gate),
        "## What it is bad at",
        *(f"- {sentence}" for sentence in weaknesses(report)),
        "",
        "## The champion",
        champion_text(report["champion"], gate),
    ]
    return "\n".join(parts) + "\n"


def why(report: dict[str, Any]) -> str:
    """What speaks for the best candidate, in one sentence, and how sure that is."""
    best, gate = report["best"], report["gate_metric"]
    rolling = report["protocols"]["p2_rolling"]
    differences = [
        pair for pair in rolling["paired"] if pair["candidate"] == best and pair["metric"] == gate
    ]
    beaten = [pair["against"] for pair in differences if pair["low"] > 0]
    unsure = [pair["against"] for pair in differences if pair["low"] <= 0]
    text = f"of {len(differences) + 1} candidates it has the highest {SHOWN[gate]} on P2-rolling"
    if beaten:
        text += f", beyond doubt (paired 95 % interval above 0) above {', '.join(beaten)}"
    if unsure:
        text += f"; that it is better than {', '.join(unsure)} is not beyond doubt"
    return text + "."


def protocol_text(protocol: dict[str, Any], best: str, gate: str) -> str:
    """One protocol: how it asks, and every candidate, the best of the run in bold."""
    rows = sorted(
        protocol["candidates"].items(), key=lambda row: row[1][gate]["mean"], reverse=True
    )
    lines = [
        f"{protocol['users']:,} users, {protocol['events']:,} events. {protocol['description']}",
        "",
        f"| | {' | '.join(HEADS)} |",
        f"|---|{'---|' * len(HEADS)}",
    ]
    for name, scores in rows:
        shown = [with_interval(scores[metric]) for metric in SHOWN]
        shown += [f"{scores['coverage']['mean']:.3f}", f"{scores['popularity_lift']['mean']:.2f}"]
        lines.append(f"| {f'**{name}**' if name == best else name} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def segment_table(protocol: dict[str, Any], best: str, gate: str) -> str:
    """The best candidate in each part of the users, and who is ahead there."""
    lines = [f"| | users | {best} | highest mean there |", "|---|---|---|---|"]
    for segment in protocol["segments"]:
        ahead = max(segment["candidates"], key=lambda name: mean_of(segment, name, gate))
        lines.append(
            f"| {segment['name']} | {segment['users']:,} ({100 * segment['share']:.0f} %) | "
            f"{with_interval(segment['candidates'][best][gate])} | "
            f"{ahead} {mean_of(segment, ahead, gate):.4f} |"
        )
    return "\n".join(lines) + "\n"


def weaknesses(report: dict[str, Any]) -> list[str]:
    """What a reader should not expect, from the figures; then what no figure here can say."""
    best, gate = report["best"], report["gate_metric"]
    rolling = report["protocols"]["p2_rolling"]
    scores = rolling["candidates"][best]
    overall = scores[gate]["mean"]
    said = []
    weak = [
        f"{segment['name']} ({mean_of(segment, best, gate):.4f})"
        for segment in rolling["segments"]
        if mean_of(segment, best, gate) < WEAK * overall
    ]
    if weak:
        said.append(f"Less than half of its overall score ({overall:.4f}) in: {', '.join(weak)}.")
    behind = []
    for segment in rolling["segments"]:
        ahead = max(segment["candidates"], key=lambda name: mean_of(segment, name, gate))
        if mean_of(segment, ahead, gate) > mean_of(segment, best, gate):
            behind.append(f"{segment['name']} ({ahead})")
    if behind:
        said.append(f"Another candidate has the higher mean in: {', '.join(behind)}.")
    lift, coverage = scores["popularity_lift"]["mean"], scores["coverage"]["mean"]
    said.append(
        f"Its lists of ten name {100 * coverage:.0f} % of all items, and an item in them is on "
        f"average {lift:.2f} times as popular as one that people take anyway."
    )
    said.append(
        f"{100 * (1 - scores['hr_at_10']['mean']):.0f} % of its lists of ten miss what comes next."
    )
    for name, reason in report["left_out"].items():
        said.append(f"{name} was not among the candidates: {reason}.")
    said.append(
        "It knows ids and their order only: no prices, texts, pictures or stock. Items that are "
        "new since the fit stand below all others. What serves is fitted once more on all events, "
        "and nothing measures that last step."
    )
    return said


def champion_text(champion: dict[str, Any] | None, gate: str) -> str:
    """How the best candidate stands against whoever serves now."""
    if champion is None:
        return "There is none, or none was passed in: the quality floor alone can refuse the best."
    pair = champion["paired"]
    return (
        f"{champion['candidate']} of run `{champion['run_id']}`, scored again on the same split: "
        f"{with_interval(champion[gate])}. The best candidate is ahead by {signed(pair['mean'])} "
        f"[{signed(pair['low'])}, {signed(pair['high'])}], {100 * champion['relative_gain']:+.1f} "
        "%. The gate says whether that is enough."
    )


def mean_of(segment: dict[str, Any], name: str, gate: str) -> float:
    """A candidate's score in a segment."""
    return segment["candidates"][name][gate]["mean"]


def with_interval(estimate: dict[str, float]) -> str:
    """A mean with its interval."""
    return f"{estimate['mean']:.4f} [{estimate['low']:.4f}, {estimate['high']:.4f}]"


def signed(value: float) -> str:
    """A difference."""
    return f"{value:+.4f}"
