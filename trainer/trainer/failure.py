"""How a verb says that it cannot go on: one exception for each exit code of the contract.

The code is all that the agent and the classifier judge by, so a new reason belongs to one of
these classes; there is no class for "something went wrong".
"""


class Refusal(Exception):
    """A failure with an exit code, a reason for a person and a hint about the next step."""

    exit_code = 70

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class ConfigurationError(Refusal):
    """The parameters or the environment can never work: 64."""

    exit_code = 64


class DataError(Refusal):
    """The dataset, or an earlier stage's output, is not what it must be: 65."""

    exit_code = 65


class Stalled(Refusal):
    """No step was finished for too long: 74."""

    exit_code = 74


class BelowFloor(Refusal):
    """The best candidate does not reach the pipeline's quality floor: 78."""

    exit_code = 78


class Preempted(Exception):
    """SIGTERM was honoured and the checkpoint is complete: 143, which the agent turns into 75."""

    exit_code = 143


class Unfitting(Exception):
    """A candidate cannot be fitted on this dataset; the others can. No refusal: it is reported."""
