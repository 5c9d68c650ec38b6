"""What a verb was asked to do: the agent's environment, and the parameters of the pipeline.

The environment is read here once, for `main`; everything behind it takes arguments.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from trainer.failure import ConfigurationError

NETWORK_MODELS = ("sequential-two-tower", "two-tower-id")
CANDIDATES = (
    "network",
    "popularity",
    "recency-popularity",
    "sequential-rules",
    "item-knn",
    "ease",
    "ials",
)
BASELINES = CANDIDATES[1:]
METRICS = ("ndcg_at_10", "hr_at_10", "mrr_at_10", "recall_at_20")  # all in metrics.json
AUTO = "auto"
# Whether items that a user had already count; "auto" lets the data decide, see `rule.py`.
Repeats = Literal["auto", True, False]
TableUpdates = Literal["auto", "dense", "sparse"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
T = TypeVar("T")


@dataclass(frozen=True)
class Environment:
    """The folders and names that the agent passes in."""

    run_id: str
    pipeline: str
    shard: int
    shards: int
    data_dir: Path
    input_dir: Path
    checkpoint_dir: Path
    output_dir: Path
    params: Mapping[str, Any]
    # Test switches, off by default: they let a whole-run story prove that a trainer which breaks
    # the contract is found out.
    ignore_checkpoint: bool = False
    drop_shard: int | None = None

    @staticmethod
    def read(env: Mapping[str, str]) -> "Environment":
        """Parses `os.environ`; a missing or impossible variable is exit 64."""

        def need(name: str) -> str:
            value = env.get(name, "")
            if not value:
                raise ConfigurationError(
                    f"`{name}` must be set, received nothing",
                    "the trainer runs under trainspot-agent, which sets it",
                )
            return value

        shard, shards = whole(env, "TRAINSPOT_SHARD", 0), whole(env, "TRAINSPOT_SHARDS", 1)
        if not 0 <= shard < shards:
            raise ConfigurationError(
                f"`TRAINSPOT_SHARD` must be in 0..{shards - 1}, received: {shard}"
            )
        dropped = env.get("TRAINSPOT_TEST_DROP_SHARD", "")
        return Environment(
            run_id=env.get("TRAINSPOT_RUN_ID", ""),
            pipeline=env.get("TRAINSPOT_PIPELINE", ""),
            shard=shard,
            shards=shards,
            data_dir=Path(need("TRAINSPOT_DATA_DIR")),
            input_dir=Path(need("TRAINSPOT_INPUT_DIR")),
            checkpoint_dir=Path(need("TRAINSPOT_CHECKPOINT_DIR")),
            output_dir=Path(need("TRAINSPOT_OUTPUT_DIR")),
            params=read_params(env.get("TRAINSPOT_PARAMS", "")),
            ignore_checkpoint=env.get("TRAINSPOT_TEST_IGNORE_CHECKPOINT", "") == "1",
            drop_shard=whole(env, "TRAINSPOT_TEST_DROP_SHARD", 0) if dropped else None,
        )


def whole(env: Mapping[str, str], name: str, default: int) -> int:
    """A variable that is a whole number of at least 0; unset or empty means `default`."""
    text = env.get(name, "") or str(default)
    if not text.isdecimal():
        raise ConfigurationError(f"`{name}` must be a whole number, received: {text}")
    return int(text)


def read_params(path: str) -> dict[str, Any]:
    """The pipeline's parameters; no path means none."""
    if not path:
        return {}
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"`TRAINSPOT_PARAMS` must be a JSON file, received: {path} ({error})"
        ) from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"`TRAINSPOT_PARAMS` must hold a JSON object, received: {value!r}")
    return value


@dataclass(frozen=True)
class TrainConfig:
    """Everything that `train` may be told. Echoed next to the model."""

    model: str = "sequential-two-tower"  # or a factory of your own, see `factory.py`
    model_params: dict[str, Any] = field(default_factory=dict)  # for that factory alone
    epochs: int = 20  # over the events before the split: the model that is evaluated
    refit_epochs: int = 2  # then over all events: the model that serves; 0 serves the evaluated one
    seed: int = 7
    dim: int = 64
    layers: int = 1
    heads: int = 2
    max_len: int = 30
    batch_size: int = 32
    learning_rate: float = 0.002
    dropout: float = 0.2
    negatives: int = 256
    full_softmax_up_to: int = 20_000
    patience: int = 0  # epochs without a better validation before the fit ends; 0: no validation
    shard_events: int = 16_777_216  # the data is cut by users so that a shard has about as many
    table_updates: TableUpdates = AUTO  # of a sampled softmax's tables; see `tables.py`
    table_learning_rate: float = 0.05  # of row-wise Adagrad; follows the other's course
    precision: Precision = AUTO  # of what lies between variables; see `precision.py`
    devices: int = 0  # of this host; 0: all that share a batch evenly
    resident_mib: int = 2048  # of device memory for data; where shards need more, they stream
    checkpoint_every_s: float | None = None  # None: from the measured stall, see `interval.py`
    expected_reclaim_s: float = 10_800.0
    chunk_s: float = 0.25  # aimed-at length of one compiled chunk of steps; at most 2
    stall_after_s: float = 600.0
    deterministic: bool = False
    repeats: Repeats = AUTO  # changes no weight; what is decided here holds for the whole run
    raise_at_step: int | None = None  # test only: fail with a bug at this step

    def __post_init__(self) -> None:
        own = ":" in self.model
        if self.model not in NETWORK_MODELS and not own:
            raise ConfigurationError(
                f"`model` must be one of {', '.join(NETWORK_MODELS)}, received: {self.model}",
                "or module:factory, a Keras model of your own: see `trainer/factory.py`",
            )
        if self.model_params and not own:
            raise ConfigurationError(
                f"`model_params` are for a module:factory, received with `model` {self.model}: "
                f"{', '.join(sorted(self.model_params))}"
            )
        for name in ("epochs", "dim", "layers", "heads", "max_len", "batch_size", "negatives"):
            at_least(name, getattr(self, name), 1)
        at_least("shard_events", self.shard_events, 1)
        for name in ("refit_epochs", "seed", "full_softmax_up_to", "patience", "resident_mib"):
            at_least(name, getattr(self, name), 0)
        at_least("devices", self.devices, 0)
        for name in ("learning_rate", "table_learning_rate", "expected_reclaim_s", "stall_after_s"):
            positive(name, getattr(self, name))
        if self.checkpoint_every_s is not None:
            positive("checkpoint_every_s", self.checkpoint_every_s)
        if not 0 < self.chunk_s <= 2:
            raise ConfigurationError(f"`chunk_s` must be in (0, 2], received: {self.chunk_s}")
        if not 0 <= self.dropout < 1:
            raise ConfigurationError(f"`dropout` must be in [0, 1), received: {self.dropout}")
        if self.dim % self.heads:
            raise ConfigurationError(
                f"`dim` must be a multiple of `heads` ({self.heads}), received: {self.dim}"
            )
        if self.seed >= 2**31:
            raise ConfigurationError(f"`seed` must be below 2^31, received: {self.seed}")

    def digest(self) -> str:
        """Changes with whatever changes the trained weights, and with nothing else."""
        kept = asdict(self)
        for name in (
            "checkpoint_every_s",
            "expected_reclaim_s",
            "chunk_s",
            "stall_after_s",
            "resident_mib",
            "devices",
            "repeats",
            "raise_at_step",
        ):
            del kept[name]
        if not kept["model_params"]:
            del kept["model_params"]  # as before there were any
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class EvaluateConfig:
    """What `evaluate` may be told."""

    seed: int = 7
    p1_network_epochs: int = 0  # 0: the network is not scored on P1
    quality_floor: float | None = None  # the gate's metric on P2-rolling; below it exit 78
    gate_metric: str = METRICS[0]  # from the pipeline's [evaluate.gate]; decides who is best
    repeats: Repeats = AUTO  # as train decided; what contradicts it is refused
    champion_candidate: str | None = None
    champion_run_id: str | None = None

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_least("p1_network_epochs", self.p1_network_epochs, 0)
        if self.champion_candidate is not None:
            known_candidate("champion_candidate", self.champion_candidate)
        if self.gate_metric not in METRICS:
            raise ConfigurationError(
                f"`metric` in [evaluate.gate] must be one of {', '.join(METRICS)}, "
                f"received: {self.gate_metric}",
                "correct it in the pipeline's file and push that",
            )


@dataclass(frozen=True)
class RecommendConfig:
    """What `recommend` and `gather` may be told."""

    candidate: str = "network"
    top_k: int = 50
    repeats: Repeats = AUTO  # as train decided; what contradicts it is refused

    def __post_init__(self) -> None:
        known_candidate("candidate", self.candidate)
        at_least("top_k", self.top_k, 1)


def known_candidate(name: str, value: str) -> None:
    """Refuses a candidate that nobody here can score."""
    if value not in CANDIDATES:
        raise ConfigurationError(
            f"`{name}` must be one of {', '.join(CANDIDATES)}, received: {value}"
        )


def at_least(name: str, value: int, low: int) -> None:
    """Refuses a whole number below `low`."""
    if value < low:
        word = "positive" if low == 1 else f"at least {low}"
        raise ConfigurationError(f"`{name}` must be {word}, received: {value}")


def positive(name: str, value: float) -> None:
    """Refuses zero, negative numbers, infinities and NaN."""
    if not 0 < value < float("inf"):
        raise ConfigurationError(f"`{name}` must be positive, received: {value}")


def parse(config: type[T], params: Mapping[str, Any], also: tuple[type, ...] = ()) -> T:
    """Builds a config from parameters. A name that neither it nor `also` knows is refused:
    a misspelt parameter that is silently ignored costs a night of GPU."""
    kinds = {field.name: field for field in fields(config)}  # type: ignore[arg-type]
    others = {field.name for other in also for field in fields(other)}
    values = {}
    for name, value in params.items():
        if name in kinds:
            default = kinds[name].default
            kind = kinds[name].type
            values[name] = (
                one_of(name, value, get_args(kind), default)
                if get_origin(kind) is Literal
                else of_kind(name, value, getattr(kind, "__name__", str(kind)), default)
            )
        elif name not in others:
            near = difflib.get_close_matches(name, [*kinds, *others], n=1)
            raise ConfigurationError(
                f"`{name}` is not a parameter here",
                f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(kinds))}",
            )
    return config(**values)


def one_of(name: str, value: Any, options: tuple[Any, ...], default: Any) -> Any:
    """Checks a JSON value against the few that there are; 1 is not `true`."""
    for option in options:
        if type(value) is type(option) and value == option:
            return value
    shown = ", ".join(json.dumps(option) for option in options)
    raise ConfigurationError(
        f"`{name}` must be one of {shown} (default {json.dumps(default)}), received: {value!r}"
    )


def of_kind(name: str, value: Any, kind: str, default: Any) -> Any:
    """Checks a JSON value against a field's type; JSON has one kind of number, Python two."""
    if value is None and "None" in kind:
        return None
    if "bool" in kind:
        if isinstance(value, bool):
            return value
    elif isinstance(value, bool):
        pass
    elif kind.startswith("dict"):
        if isinstance(value, dict):
            return value
    elif "float" in kind and isinstance(value, int | float):
        return float(value)
    elif "int" in kind and isinstance(value, int | float) and float(value).is_integer():
        return int(value)
    elif "str" in kind and isinstance(value, str):
        return value
    shown = "" if default is MISSING else f" (default {default})"
    raise ConfigurationError(f"`{name}` must be of type {kind}{shown}, received: {value!r}")
