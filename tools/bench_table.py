"""One table of what the benches wrote (`bench_format.md`): for a terminal, as Markdown, as JSON.

    python3 tools/bench_table.py FOLDER [--markdown FILE] [--json FILE]

Figures are shown as they are; nothing here judges them. A file that is not of the format is named
and the rest is shown (exit 65).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

Document = dict[str, Any]
Row = dict[str, Any]

BAD_DATA = 65
LABELS = ("case", "who")
NEEDED = ("bench", "title", "command", "measured_at", "machine", "versions", "revision", "rows")


class NotOfTheFormatError(Exception):
    """What is wrong with a file, in one sentence."""


def parsed(text: str) -> Document:
    """A document of the format."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotOfTheFormatError(f"is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise NotOfTheFormatError("holds no object")
    missing = [key for key in NEEDED if key not in document]
    if missing:
        raise NotOfTheFormatError(f"lacks {', '.join(f'`{key}`' for key in missing)}")
    rows = document["rows"]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise NotOfTheFormatError("has no rows")
    for number, row in enumerate(rows, 1):
        if list(row) != list(rows[0]):
            raise NotOfTheFormatError(f"row {number} has other keys than row 1: {', '.join(row)}")
        for key, value in row.items():
            is_label = key in LABELS
            if isinstance(value, str) != is_label or not (
                is_label or value is None or isinstance(value, int | float)
            ):
                kind = "text" if is_label else "a number or null"
                raise NotOfTheFormatError(
                    f"row {number}: `{key}` must be {kind}, received: {value!r}"
                )
        if not all(label in row for label in LABELS):
            raise NotOfTheFormatError(f"row {number} lacks `case` or `who`")
    return document


def comparisons(document: Document) -> list[Document]:
    """None, one or several."""
    compare = document.get("compare") or []
    return compare if isinstance(compare, list) else [compare]


def ours_is(document: Document, compare: Document, row: Row) -> float | None:
    """How many times better ours is than this row in the same case; `None` for ours itself."""
    if row["who"] == compare["ours"]:
        return None
    figure = compare["figure"]
    ours = [
        other[figure]
        for other in document["rows"]
        if other["case"] == row["case"] and other["who"] == compare["ours"]
    ]
    if not ours or not ours[0] or not row[figure]:
        return None
    ratio = ours[0] / row[figure]
    return ratio if compare["better"] == "more" else 1 / ratio


def shown(value: float | None) -> str:
    """A figure, without digits that mean nothing."""
    if value is None:
        return "-"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value)}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def ratios_shown(document: Document, row: Row) -> list[str]:
    """`1.52x` for each comparison, or nothing for a row that is not compared."""
    ratios = [ours_is(document, compare, row) for compare in comparisons(document)]
    return ["" if ratio is None else f"{ratio:.2f}x" for ratio in ratios]


def figures_of(document: Document) -> list[str]:
    """The names of the figures, in the rows' order."""
    return [key for key in document["rows"][0] if key not in LABELS]


def as_text(documents: list[Document]) -> str:
    """One table of everything, aligned."""
    lines = [["bench", "case", "who", "figures", "ours is"]]
    for document in documents:
        for row in document["rows"]:
            figures = "  ".join(f"{key}={shown(row[key])}" for key in figures_of(document))
            head = [document["bench"], row["case"], row["who"]]
            compared = zip(comparisons(document), ratios_shown(document, row), strict=True)
            better = [f"{ratio} in {compare['figure']}" for compare, ratio in compared if ratio]
            lines.append([*head, figures, ", ".join(better)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def as_markdown(documents: list[Document]) -> str:
    """A table for each bench, with a column for each figure."""
    return "\n\n".join(markdown_of(document) for document in documents) + "\n"


def markdown_of(document: Document) -> str:
    """One bench."""
    figures = figures_of(document)
    compared = [f"ours is, in {compare['figure']}" for compare in comparisons(document)]
    numeric = len(figures) + len(compared)
    table = [
        f"| {' | '.join([*LABELS, *figures, *compared])} |",
        "|" + "---|" * len(LABELS) + "--:|" * numeric,
    ]
    for row in document["rows"]:
        cells = [row["case"], row["who"], *(shown(row[key]) for key in figures)]
        table.append(f"| {' | '.join(cells + ratios_shown(document, row))} |")
    machine, versions = (
        ", ".join(f"{key} {value}" for key, value in document[facts].items())
        for facts in ("machine", "versions")
    )
    run = f"`{document['command']}` at {document['revision']}, {document['measured_at']}"
    parts = [f"## {document['title']}", f"{run}; {machine}; {versions}.", "\n".join(table)]
    notes = "\n".join(f"- {note}" for note in document.get("notes", []))
    return "\n\n".join([*parts, notes] if notes else parts)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    documents, code = [], 0
    for path in sorted(options.folder.glob("*.json")):
        try:
            documents.append(parsed(path.read_text()))
        except NotOfTheFormatError as wrong:
            print(f"bench_table: {path} {wrong}", file=sys.stderr)
            code = BAD_DATA
    if not documents:
        print(f"bench_table: no bench wrote anything into {options.folder}", file=sys.stderr)
        return BAD_DATA
    print(as_text(documents))
    for document in documents:
        for note in document.get("notes", []):
            print(f"{document['bench']}: {note}")
    if options.markdown:
        options.markdown.write_text(as_markdown(documents))
    if options.json:
        options.json.write_text(json.dumps(documents, indent=2, ensure_ascii=False) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
