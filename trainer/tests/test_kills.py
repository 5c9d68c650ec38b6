"""A few of the kills that `make kills` makes: one training, killed at several moments in a row."""

import random
import secrets

from kills import end_of, killed_training, say


def test_a_training_killed_while_it_compiles_saves_and_refits_ends_as_if_undisturbed(
    trained, tmp_path
):
    seed = secrets.randbelow(10**6)
    say(f"seed {seed}")  # shown when it fails

    hit = killed_training(
        tmp_path / "run",
        ["compile", "checkpoint", "refit"],
        random.Random(seed),
        end_of(trained.inputs / "train"),
    )

    assert hit, "nothing was hit"
