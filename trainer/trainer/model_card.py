"""The page that goes with a model: what it is, what it was fitted on, what it is not."""

from typing import Any

from trainer.atomic import rfc3339
from trainer.dataset import Interactions

SEEN = {
    False: "Items that a user had already are not recommended.",
    True: "Items that a user had already count as events to predict, and may be recommended again.",
}


def model_card(about: dict[str, Any], events: Interactions, final_loss: float) -> str:
    """Markdown for a person who did not train it."""
    params = about["params"]
    settings = ", ".join(
        f"{key} {params[key]}" for key in sorted(params) if params[key] is not None
    )
    oldest, newest = rfc3339(int(events.time_ms.min())), rfc3339(int(events.time_ms.max()))
    rule = about["rule"]
    versions, evaluated, served = about["versions"], about["evaluated"], about["served"]
    return f"""# Model card

**{about["model"]}**, {about["parameters"]:,} parameters, trained by the reference trainer of
trainspot with Keras {versions["keras"]} on JAX {versions["jax"]}.

## Data
{about["events"]:,} events of {about["users"]:,} users with {about["items"]:,} items,
{oldest} to {newest}.
Fingerprint `{about["dataset_fingerprint"]}`.

## Which weights are which
- `evaluated.safetensors`: fitted on {evaluated["fitted_on"]} ({about["split_at"]}),
  {evaluated["events"]:,} events. The metrics of the evaluate stage are of these weights.
- `weights.safetensors`, which serve: fitted on {served["fitted_on"]}, {served["events"]:,} events.
  Where they were refitted on later events, nothing measured them: no later events are left
  to measure with.

Either reads a user's whole history when it recommends (its newest {params["max_len"]} events), so
it knows what the user did after it was fitted. Popularity, sequential rules, item-kNN, EASE and
iALS, where one of them serves, are fitted again on all events.

## What it is not
It knows ids and their order only: no prices, texts, pictures or stock. An item that was not in its
training data stands below all that were.

{SEEN[rule["repeats"]]} Why: {rule["reason"]}.

The last training loss is {final_loss:.4f}; a loss is no quality: see `model-card.md` and
`metrics.json` of the evaluate stage, where the network stands beside plain baselines that may well
beat it, with intervals, by segment, and with what the best of them is bad at.

## Settings
{settings}
"""
