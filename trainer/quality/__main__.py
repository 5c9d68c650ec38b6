"""Measures what is not measured yet and writes the page; `make quality` calls it."""

import argparse
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from quality import papers, runner  # Keras reads the above when it is imported
from quality.cells import Cell, Result
from quality.datasets import Dataset, from_folder
from quality.judged import answers
from quality.page import Measured, page
from trainer import imports
from trainer.atomic import write_bytes, write_json
from trainer.failure import ConfigurationError, Refusal

NO_RETAIL = "Left out: no file was named (`make quality RETAIL=<the UCI Online Retail parquet>`)."
NO_PAPERS = (
    "Left out: `TRAINSPOT_BENCH_DATA` names no folder with the files of the comparison (Beauty, "
    "Toys, Sports, ML-1M), which are not ours to pass on."
)
EPOCHS = 20  # train's default: at most so many


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Runs it; the exit code is that of the refusal, if there is one."""
    try:
        run(parser().parse_args(arguments), environ)
    except Refusal as refusal:
        sys.stderr.write(f"quality: {refusal.reason}\n")
        if refusal.hint:
            sys.stderr.write(f"hint: {refusal.hint}\n")
        return refusal.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m quality", description=__doc__)
    root.add_argument("--movielens", type=Path, required=True, help="imported MovieLens-100K")
    root.add_argument("--retail", default="", help="the UCI Online Retail parquet")
    root.add_argument("--state", type=Path, required=True, help="folder for what is finished")
    root.add_argument("--to", type=Path, required=True, help="the page")
    root.add_argument(
        "--seeds",
        default=",".join(map(str, runner.SEEDS)),
        help="of the network; none leaves it out",
    )
    root.add_argument("--patience", type=int, default=runner.SETTINGS["patience"])
    root.add_argument("--epochs", type=int, default=EPOCHS, help="of the network, at most")
    root.add_argument(
        "--kept", action="store_true", help="measure nothing: a page of what is finished"
    )
    return root


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Measures and writes."""
    try:
        seeds = tuple(int(text) for text in options.seeds.split(",") if options.seeds)
    except ValueError as error:
        raise ConfigurationError(
            f"`--seeds` must be whole numbers with commas, received: {options.seeds}"
        ) from error
    notes: dict[str, str] = {}
    ours = [from_folder("movielens-100k", "MovieLens-100K", options.movielens, options.epochs)]
    if options.retail:
        ours.append(retail(Path(options.retail), options.state, options.epochs))
    else:
        notes["retail"] = NO_RETAIL
    theirs: list[Dataset] = []
    if environ.get("TRAINSPOT_BENCH_DATA"):
        theirs, missing = papers.datasets(Path(environ["TRAINSPOT_BENCH_DATA"]))
        if missing:
            notes["papers"] = f"Not in the folder: {', '.join(missing)}."
    else:
        notes["papers"] = NO_PAPERS
    for note in notes.values():
        runner.say(note)

    settings = {"patience": options.patience}
    results, left_out = runner.measure(
        [*ours, *theirs], options.state, seeds, settings, kept_only=options.kept
    )
    ours_measured, theirs_measured = (
        [measured(data, results, left_out) for data in some] for some in (ours, theirs)
    )
    write_json(
        options.state / "measured.json",
        {one.data.name: dumped(one) for one in (*ours_measured, *theirs_measured)},
    )
    epochs = f"{options.epochs} epochs"
    if options.patience:
        epochs = f"at most {epochs}, `patience` {options.patience}"
    text = page(ours_measured, theirs_measured, notes, machine(results), epochs)
    write_bytes(options.to, text.encode())
    for one in ours_measured:
        for answer in one.answers:
            promoted = one.promoted_on(answer)
            verdict = "met" if answer.holds(promoted) else "not met"
            runner.say(
                f"{one.data.title}, {answer.question.title}: promoted {promoted}, at least as "
                f"good as every other within its interval: {verdict}"
            )


def measured(
    data: Dataset, results: dict[Cell, Result], left_out: dict[tuple[str, str], str]
) -> Measured:
    """A dataset with its answers, and what is missing in them and why."""
    missing = [
        f"{named}: {reason}"
        for (dataset, named), reason in left_out.items()
        if dataset == data.name
    ]
    found = answers(data, results)
    if not found:
        raise ConfigurationError(
            f"there must be something finished about {data.title}, found nothing",
            "leave `--kept` out",
        )
    return Measured(data, found, missing)


def retail(source: Path, state: Path, epochs: int) -> Dataset:
    """Online Retail, imported as a pipeline's user would."""
    if not source.is_file():
        raise ConfigurationError(
            f"`RETAIL` must be the UCI Online Retail parquet, received: {source}",
            "leave it out, and that part of the page is left out",
        )
    folder = state / "online-retail"
    imports.write_import(imports.online_retail(source), folder)
    return from_folder("online-retail", "Online Retail", folder, epochs)


def machine(results: dict[Cell, Result]) -> str:
    """Where and with what it was measured."""
    minutes = sum(result.seconds for result in results.values()) / 60
    versions = ", ".join(f"{name} {version(name)}" for name in ("keras", "jax", "numpy"))
    return (
        f"{os.cpu_count()} CPU cores ({platform.machine()}), {versions}, "
        f"{datetime.now(UTC):%B %Y}; {minutes:.0f} CPU minutes in all."
    )


def dumped(one: Measured) -> dict:
    """All figures of a dataset as JSON."""
    return {
        "promoted": one.promoted,
        "questions": {
            answer.question.name: {
                "title": answer.question.title,
                "users": answer.users,
                "events": answer.events,
                "promoted": one.promoted_on(answer),
                "holds": answer.holds(one.promoted_on(answer)),
                "candidates": [asdict(row) for row in answer.rows],
                "paired": [
                    {"candidate": pair[0], "against": pair[1], **asdict(value)}
                    for pair, value in answer.differences.items()
                    if pair[0] != pair[1]
                ],
                "segments": [
                    {
                        "name": segment.name,
                        "users": segment.users,
                        "candidates": {
                            name: asdict(value) for name, value in segment.by_candidate.items()
                        },
                    }
                    for segment in answer.segments
                ],
            }
            for answer in one.answers
        },
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
