"""A loop in PyTorch as a contender: the same network and batches, all of it on the device.

Run by any Python that has torch and NumPy: `python torch_loop.py <folder> <precision>
<eager|compiled>`. It imports nothing of the trainer.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

AT_STEPS = (1, 10, 100)
MASKED = -1e9
TYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Network(torch.nn.Module):
    """The trainer's sequential two-tower, by its variables' names."""

    def __init__(self, first: dict[str, np.ndarray], layers: int, heads: int, length: int) -> None:
        super().__init__()
        self.layers, self.heads = layers, heads
        values = {name: torch.tensor(value) for name, value in first.items()}
        self.names = {name: f"v{at}" for at, name in enumerate(sorted(values))}
        for name, attribute in self.names.items():
            setattr(self, attribute, torch.nn.Parameter(values[name]))
        places = torch.arange(length)
        self.register_buffer("before", places[None, :] <= places[:, None])
        self.register_buffer("itself", torch.eye(length, dtype=torch.bool))

    def of(self, part: str, kind: str) -> torch.Tensor:
        """The variable `kind` of the layer `part`."""
        found = [n for n in self.names if n.endswith(f"{part}/{kind}")]
        assert len(found) == 1, (part, kind, found)
        return getattr(self, self.names[found[0]])

    def norm(self, x: torch.Tensor, part: str) -> torch.Tensor:
        weight, bias = self.of(part, "gamma"), self.of(part, "beta")
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-6)

    def forward(self, history: torch.Tensor) -> torch.Tensor:
        rows, length = history.shape
        seen = (history > 0)[:, None, :] | self.itself[None]
        bias = torch.where(self.before[None] & seen, 0.0, MASKED)[:, None]
        x = F.embedding(history, self.of("items", "embeddings")) + self.of("places", "embeddings")
        for number in range(self.layers):
            part = f"block_{number}"
            inner = self.norm(x, f"{part}/norm_1") @ self.of(f"{part}/qkv", "kernel")
            q, k, v = inner.reshape(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            logits = (q @ k.transpose(-1, -2)).float() / q.shape[-1] ** 0.5 + bias
            mixed = (torch.softmax(logits, -1).to(v.dtype) @ v).transpose(1, 2)
            x = x + mixed.reshape(rows, length, -1) @ self.of(f"{part}/mix", "kernel")
            inner = self.norm(x, f"{part}/norm_2") @ self.of(f"{part}/widen", "kernel")
            inner = F.gelu(inner + self.of(f"{part}/widen", "bias"))
            x = x + inner @ self.of(f"{part}/narrow", "kernel") + self.of(f"{part}/narrow", "bias")
        return self.norm(x, "norm")


def loss_of(network: Network, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """As `trainer/steps.py`."""
    vectors = network(batch["history"])
    table, target = network.of("items", "embeddings"), batch["target"]
    own = (vectors.float() * table[target]).sum(-1)
    if "negative" in batch:
        drawn = batch["negative"]
        logits = (vectors @ table[drawn].to(vectors.dtype).T).float() - batch["expected"]
        logits = logits.masked_fill(drawn[None, None, :] == target[..., None], MASKED)
        each = torch.logaddexp(torch.logsumexp(logits, -1), own) - own
    else:
        logits = (vectors @ table[1:].to(vectors.dtype).T).float()
        each = torch.logsumexp(logits, -1) - own
    weight = batch["weight"]
    return (each * weight).sum() / weight.sum().clamp(min=1e-6)


def prepare(folder: Path, precision: str, how: str) -> tuple[dict, Callable[[], float]]:
    """What is known before the rounds, and a round."""
    about = json.loads((folder / "about.json").read_text())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with np.load(folder / "arrays.npz") as file:
        arrays = {name: file[name] for name in file.files}
    first = {name[6:]: value for name, value in arrays.items() if name.startswith("first/")}
    network = Network(first, about["layers"], 2, about["length"]).to(device)
    kinds = {"history": torch.int64, "target": torch.int64, "negative": torch.int64}
    # Copied as lists where this torch was built for another NumPy.
    data = {
        name: torch.as_tensor(value, dtype=kinds.get(name, torch.float32)).to(device)
        for name, value in arrays.items()
        if not name.startswith(("first/", "rate"))
    }
    optimizer = torch.optim.Adam(network.parameters(), lr=1.0, eps=1e-7)
    rates = arrays["rate"].tolist()
    compute = torch.compile(loss_of) if how == "compiled" else loss_of
    scaler = torch.cuda.amp.GradScaler(enabled=precision == "float16")

    def one(step: int) -> torch.Tensor:
        batch = {name: value[step % about["steps"]] for name, value in data.items()}
        for group in optimizer.param_groups:
            group["lr"] = rates[min(step, len(rates) - 1)]
        optimizer.zero_grad(set_to_none=True)
        kind = TYPES[precision]
        with torch.autocast(device.type, dtype=kind or torch.bfloat16, enabled=kind is not None):
            value = compute(network, batch)
        scaler.scale(value).backward()
        scaler.step(optimizer)
        scaler.update()
        return value.detach()

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    began = time.perf_counter()
    losses = [one(0)]
    wait()
    first_s = time.perf_counter() - began
    losses += [one(step) for step in range(1, max(AT_STEPS))]
    step = max(AT_STEPS)

    def a_round() -> float:
        nonlocal step
        wait()
        began = time.perf_counter()
        for _ in range(about["timed_steps"]):
            one(step)
            step += 1
        wait()
        return about["timed_steps"] * about["batch_size"] / (time.perf_counter() - began)

    known = {
        "losses": {str(at): float(losses[at - 1]) for at in AT_STEPS},
        "compile_s": max(0.0, first_s - about["batch_size"] / a_round()),
        "versions": {"torch": torch.__version__},
    }
    return known, a_round


if __name__ == "__main__":
    known, a_round = prepare(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    print(json.dumps(known), flush=True)  # noqa: T201
    for _ in sys.stdin:
        print(json.dumps({"samples_per_s": a_round()}), flush=True)  # noqa: T201
