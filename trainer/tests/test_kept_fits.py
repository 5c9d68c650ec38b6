"""What evaluate fits to serve is what each shard would have fitted, and all shards prove it."""

import json
import shutil
from dataclasses import fields

import pytest
from scipy import sparse
from test_stages import all_rows, evaluate_with, run_gather, shards_of, told

from trainer import baselines, ials, kept_fits
from trainer.atomic import sha256_of
from trainer.config import BASELINES
from trainer.dataset import read_interactions
from trainer.failure import DataError

FITTED = sorted(kept_fits.KEPT)


def arrays(candidate):
    """All numbers of a candidate, by name, as bytes with their kinds."""
    found = {}
    for field in fields(candidate):
        value = getattr(candidate, field.name)
        parts = [value.data, value.indices, value.indptr] if sparse.issparse(value) else [value]
        found[field.name] = [(part.dtype, part.shape, part.tobytes()) for part in parts]
    return found


@pytest.fixture(scope="module")
def events(trained):
    return read_interactions(trained.data)


def never(*_):
    raise AssertionError("fitted once more")


@pytest.mark.parametrize("name", FITTED)
def test_what_is_kept_is_what_was_fitted(events, tmp_path, name):
    fitted = baselines.fit(name, events)

    kept_fits.keep(tmp_path, name, fitted, events.fingerprint)
    kept = kept_fits.kept(tmp_path, name, events.fingerprint)

    read = kept.read()
    assert type(read) is type(fitted)
    assert arrays(read) == arrays(fitted)
    assert kept.sha256 == sha256_of(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("name", sorted(set(BASELINES) - set(kept_fits.KEPT)))
def test_what_is_cheap_to_fit_is_not_kept(events, tmp_path, name):
    kept_fits.keep(tmp_path, name, baselines.fit(name, events), events.fingerprint)

    assert list(tmp_path.iterdir()) == []
    assert kept_fits.kept(tmp_path, name, events.fingerprint) is None


def test_of_other_data_constants_or_names_nothing_is_taken(events, tmp_path, monkeypatch):
    kept_fits.keep(tmp_path, "ials", baselines.fit("ials", events), events.fingerprint)

    assert kept_fits.kept(tmp_path, "ials", "other") is None
    assert kept_fits.kept(tmp_path, "ease", events.fingerprint) is None
    assert kept_fits.kept(tmp_path / "none", "ials", events.fingerprint) is None
    monkeypatch.setattr(ials, "SWEEPS", 9)
    assert kept_fits.kept(tmp_path, "ials", events.fingerprint) is None


@pytest.mark.parametrize("spoil", ["cut", "gone", "no record"])
def test_a_torn_fit_is_refused(events, tmp_path, spoil):
    kept_fits.keep(tmp_path, "ials", baselines.fit("ials", events), events.fingerprint)
    path = tmp_path / "ials.safetensors"
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif spoil == "gone":
        path.unlink()
    else:
        (tmp_path / "ials.json").write_text("{")

    with pytest.raises(DataError, match=r"`evaluate/serving/ials"):
        kept_fits.kept(tmp_path, "ials", events.fingerprint).read()


@pytest.mark.parametrize("name", FITTED)
def test_shards_serve_the_fit_of_evaluate_and_fit_nothing(trained, tmp_path, monkeypatch, name):
    inputs = tmp_path / "in"
    shutil.copytree(told(trained, False), inputs)
    report = evaluate_with(trained, inputs, inputs / "evaluate", champion_candidate=name)
    shards_of(trained, tmp_path / "fitting", name, 1)

    with monkeypatch.context() as patch:
        patch.setattr(baselines, "fit", never)
        shards_of(trained, tmp_path / "kept", name, 3, inputs=inputs)

    assert report["champion"]["candidate"] == name
    assert all_rows(tmp_path / "kept").equals(all_rows(tmp_path / "fitting"))
    run_gather(trained, tmp_path / "kept", candidate=name)
    shard = json.loads((tmp_path / "kept" / "recommend" / "2" / "shard.json").read_text())
    assert shard["model_sha256"] == sha256_of(inputs / "evaluate/serving" / f"{name}.safetensors")


def test_a_shard_of_another_fit_is_named(trained, tmp_path):
    inputs = tmp_path / "in"
    shutil.copytree(told(trained, False), inputs)
    shards_of(trained, tmp_path, "ials", 2, inputs=inputs)
    shutil.rmtree(tmp_path / "recommend" / "1")
    evaluate_with(trained, inputs, inputs / "evaluate", champion_candidate="ials")
    shards_of(trained, tmp_path / "other", "ials", 2, inputs=inputs)
    shutil.copytree(tmp_path / "other" / "recommend" / "1", tmp_path / "recommend" / "1")

    with pytest.raises(DataError, match="shard 1: `model_sha256` must be "):
        run_gather(trained, tmp_path)
