"""Parses the arguments, runs one verb, and turns its end into an exit code.

Every failure leaves `failure.json` in the output folder and a code that the classifier knows:
64 configuration, 65 data, 70 bug, 74 stalled, 78 below the floor, 143 stopped on request.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from trainer import disk
from trainer.atomic import write_json
from trainer.config import Environment, EvaluateConfig, RecommendConfig, TrainConfig, parse
from trainer.failure import Preempted, Refusal
from trainer.signals import Requests

BUG = 70
STAGES = ("train", "evaluate", "recommend", "gather")
IMPORTS = ("movielens-100k", "online-retail", "csv")
ASKED_OF_SHARDS = ("candidate", "top_k")
DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true"


def main(arguments: list[str]) -> int:
    """Runs one verb and returns the exit code."""
    options = parser().parse_args(arguments)
    requests = Requests()
    if options.verb != "import":
        requests.listen()
    out_dir: Path | None = None
    try:
        if options.verb == "import":
            run_import(options)
            return 0
        # Where to report a failure is needed even when the rest of the environment is wrong.
        if os.environ.get("TRAINSPOT_OUTPUT_DIR"):
            out_dir = Path(os.environ["TRAINSPOT_OUTPUT_DIR"])
            out_dir.mkdir(parents=True, exist_ok=True)
        env = Environment.read(os.environ)
        if getattr(options, "deterministic", False):
            env = replace(env, params={**env.params, "deterministic": True})
        run_stage(options.verb, env, requests)
        return 0
    except Preempted as stop:
        sys.stderr.write(f"trainer: {stop}\n")
        return Preempted.exit_code
    except Refusal as refusal:
        return report(out_dir, refusal)
    except Exception as bug:
        traceback.print_exc()
        if disk.number(bug) in disk.OF_WRITING:
            return report(out_dir, disk.unwritten("a file", bug))
        reason = f"{type(bug).__name__}: {bug}"
        return report(out_dir, Refusal(reason, "a bug: the traceback is in the log"))


def parser() -> argparse.ArgumentParser:
    """The command line. Stages take everything from the environment."""
    root = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    verbs = root.add_subparsers(dest="verb", required=True)
    for stage in STAGES:
        made = verbs.add_parser(stage, help=f"the {stage} stage, under trainspot-agent")
        if stage == "train":
            made.add_argument(
                "--deterministic",
                action="store_true",
                help="equal bits on the same kind of device, as the parameter `deterministic`",
            )
    importer = verbs.add_parser("import", help="make Parquet interactions from a public dataset")
    importer.add_argument("source", choices=IMPORTS)
    importer.add_argument("path", type=Path)
    importer.add_argument("--to", type=Path, required=True, help="folder to write into")
    for column in ("user", "item", "timestamp"):
        importer.add_argument(f"--{column}", default=f"{column}_id".replace("timestamp_id", column))
    return root


def run_import(options: argparse.Namespace) -> None:
    """The `import` verb."""
    from trainer import imports

    if options.source == "movielens-100k":
        table = imports.movielens_100k(options.path)
    elif options.source == "online-retail":
        table = imports.online_retail(options.path)
    else:
        table = imports.csv_file(options.path, options.user, options.item, options.timestamp)
    path = imports.write_import(table, options.to)
    sys.stdout.write(f"{table.num_rows} events in {path}\n")


def run_stage(verb: str, env: Environment, requests: Requests) -> None:
    """One of the four stages. What needs Keras imports it inside."""
    from trainer.progress import Progress

    prepare_keras(os.environ, bool(env.params.get("deterministic")))
    progress = Progress(env.output_dir, verb)
    later = (RecommendConfig, EvaluateConfig)
    if verb == "train":
        from trainer.train import Folders, train
        from trainer.watchdog import Watchdog

        config = parse(TrainConfig, env.params)
        folders = Folders(env.data_dir, env.checkpoint_dir, env.output_dir)
        with Watchdog(config.stall_after_s, lambda why: report(env.output_dir, why)) as watchdog:
            train(config, folders, requests, watchdog, env.ignore_checkpoint, env.run_id)
    elif verb == "evaluate":
        from trainer.evaluate import evaluate

        config = parse(EvaluateConfig, env.params, later)
        evaluate(config, env.data_dir, env.input_dir, env.output_dir, progress)
    elif verb == "recommend":
        from trainer.recommend import recommend

        config = parse(RecommendConfig, env.params, later)
        dropped = env.drop_shard == env.shard
        place = (env.data_dir, env.input_dir, env.output_dir, env.shard, env.shards)
        recommend(config, *place, progress, drop_rows=dropped, run_id=env.run_id)
    else:
        from trainer.gather import gather

        config = parse(RecommendConfig, env.params, later)
        asked = {name: getattr(config, name) for name in ASKED_OF_SHARDS if name in env.params}
        place = (env.data_dir, env.input_dir, env.output_dir)
        gather(asked, *place, progress, config.repeats)


def prepare_keras(environ: Mapping[str, str], deterministic: bool) -> None:
    """Sets what Keras and JAX read when they are imported, before anything imports them."""
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if deterministic:
        flags = environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC_XLA}".strip()


def report(out_dir: Path | None, refusal: Refusal) -> int:
    """Says why on stderr and in `failure.json`; on stderr alone where that cannot be written."""
    sys.stderr.write(f"trainer: {refusal.reason}\n")
    if refusal.hint:
        sys.stderr.write(f"hint: {refusal.hint}\n")
    if out_dir is not None:
        failure = {"reason": refusal.reason, "hint": refusal.hint}
        try:
            write_json(out_dir / "failure.json", failure)
        except OSError as error:  # such as on the full disk that is to be told of
            sys.stderr.write(f"trainer: no failure.json: {error}\n")
    return refusal.exit_code
