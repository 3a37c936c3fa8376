"""The cache of loaded models: in step with the files, within the memory limit, least recently used evicted first."""

from __future__ import annotations

import asyncio
import os
import threading

import numpy as np
import pytest

from numlstm.backends import registry
from numlstm.generation.batch import Batch
from numlstm.model import generation_model
from numlstm.network import parameters, weights_file
from numlstm.serve.http.refusal import Refusal
from numlstm.serve.stores.loaded_models import ModelCache
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.vocab.char import CharVocab

VOCAB = CharVocab("\nabc")
REFERENCE = registry.load("reference")


def save(path, size=8, seed=0, training=False):
    config = NetworkSettings(len(VOCAB), (size,))
    flat, state = parameters.initialise(config, seed), None
    if training:
        train = TrainingSettings(steps=1, batch_size=2)
        zeros = [np.zeros((2, size), np.float32)]
        slots = {name: np.zeros_like(flat) for name in train.kept}
        state = weights_file.TrainState(train, 0, flat.copy(), slots, zeros, zeros, {})
    weights_file.save(path, weights_file.WeightsFile(config, VOCAB, flat, {}, state))
    return 4 * 8 * len(flat)  # bytes in memory: the reference backend uses float64


class ModelStore:
    """A model cache over a folder, with a record of the models that were built."""

    def __init__(self, folder, limit=10**9):
        self.folder, self.built, self.threads = folder, [], set()
        self.memory = ModelCache(limit, self.find, self.build, itemsize=8)

    def find(self, name):
        path = self.folder / f"{name}.npz"
        if not path.exists():
            raise Refusal(404, f"there is no model {name}", "model_not_found")
        return path

    async def build(self, file):
        self.built.append(file)
        await asyncio.sleep(0)
        return Batch(generation_model(file, REFERENCE))

    def load(self, *names):
        async def all_of_them():
            return await asyncio.gather(*(self.memory.load(name) for name in names))

        return asyncio.run(all_of_them())

    def refusal(self, name):
        with pytest.raises(Refusal) as found:
            self.load(name)
        return found.value

    @property
    def names(self):
        return sorted(model.name for model in self.memory.models)


def test_a_model_is_loaded_once_however_many_ask(tmp_path):
    size = save(tmp_path / "a.npz")
    shelf = ModelStore(tmp_path)
    models = shelf.load("a", "a", "a")
    assert len(shelf.built) == 1
    assert models[0] is models[1] is models[2]
    (model,) = shelf.load("a")
    assert model is models[0]
    assert (model.name, model.vocab, model.config.layers) == ("a", VOCAB, (8,))
    assert model.bytes == shelf.memory.bytes == size


def test_what_only_training_needs_is_not_kept(tmp_path):
    size = save(tmp_path / "a.npz", training=True)
    shelf = ModelStore(tmp_path)
    (model,) = shelf.load("a")
    assert model.bytes == size
    assert shelf.built[0].state is None


def test_the_estimate_is_not_below_what_the_kernels_hold():
    """The oracle is the total size of all arrays that a model on the CPU backend holds."""
    from numlstm.backends import cpu
    from numlstm.model import Model

    config = NetworkSettings(65, (272, 272))
    flat = parameters.initialise(config, 0)
    model = Model(config, flat, cpu)
    held = {}

    def count(value):
        if isinstance(value, np.ndarray):
            while isinstance(value.base, np.ndarray):
                value = value.base
            held[id(value)] = value.nbytes
        elif isinstance(value, (list, tuple)):
            for each in value:
                count(each)
        elif hasattr(value, "__dict__"):
            count(list(vars(value).values()))

    count([value for name, value in vars(model).items() if name != "backend"])
    assert 0.6 < sum(held.values()) / (4 * flat.nbytes) <= 1.1


def test_the_longest_unused_leaves_first(tmp_path):
    size = max(save(tmp_path / f"{name}.npz") for name in "abcd")
    shelf = ModelStore(tmp_path, 3 * size)
    for name in "abca":
        shelf.load(name)
    shelf.load("d")
    assert shelf.names == ["a", "c", "d"]
    shelf.load("b")
    assert shelf.names == ["a", "b", "d"]
    assert shelf.memory.bytes <= shelf.memory.limit


def test_what_is_writing_stays(tmp_path):
    size = max(save(tmp_path / f"{name}.npz") for name in "abc")
    shelf = ModelStore(tmp_path, 2 * size)
    a, _ = shelf.load("a", "b")
    shelf.memory.begin(a)
    shelf.load("c")
    assert shelf.names == ["a", "c"]
    (c,) = shelf.load("c")
    shelf.memory.begin(c)
    refusal = shelf.refusal("b")
    assert (refusal.status, refusal.code) == (503, "no_memory")
    assert refusal.retry_after
    assert shelf.names == ["a", "c"], "neither model may be evicted for it"
    shelf.memory.end(a)
    shelf.load("b")
    assert shelf.names == ["b", "c"]
    shelf.memory.begin(a)  # its caller got it before it was evicted, so it counts again
    assert shelf.names == ["a", "b", "c"]


def test_a_file_that_changes_is_loaded_anew_and_old_texts_go_on(tmp_path):
    save(tmp_path / "a.npz")
    shelf = ModelStore(tmp_path)
    (old,) = shelf.load("a")
    shelf.memory.begin(old)
    save(tmp_path / "a.npz", size=9)
    (new,) = shelf.load("a")
    assert new is not old
    assert new.config.layers == (9,)
    assert shelf.names == ["a", "a"]
    shelf.memory.end(old)
    assert shelf.memory.models == [new]
    os.utime(tmp_path / "a.npz", (1, 1))
    (newest,) = shelf.load("a")
    assert shelf.memory.models == [newest]
    (tmp_path / "a.npz").unlink()
    assert shelf.refusal("a").status == 404
    assert shelf.memory.models == []


def test_files_that_cannot_be_used(tmp_path):
    whole = tmp_path / "whole.npz"
    save(whole)
    (tmp_path / "cut.npz").write_bytes(whole.read_bytes()[:-100])
    (tmp_path / "foreign.npz").write_bytes(b"hello" * 100)
    (tmp_path / "folder.npz").mkdir()
    shelf = ModelStore(tmp_path)
    for name in ("cut", "foreign", "folder"):
        refusal = shelf.refusal(name)
        assert (refusal.status, refusal.code, refusal.param) == (422, "model_unusable", "model")
        assert refusal.message.startswith(f"the model {name} cannot be used: ")
        assert str(tmp_path) not in refusal.message
        assert "\n" not in refusal.message
    assert shelf.load("whole")
    save(tmp_path / "cut.npz")
    assert shelf.load("cut"), "the lock must be released after an error"


def test_one_that_is_too_large_by_itself(tmp_path):
    size = save(tmp_path / "a.npz")
    save(tmp_path / "large.npz", size=200)
    shelf = ModelStore(tmp_path, size)
    shelf.load("a")
    refusal = shelf.refusal("large")
    assert (refusal.status, refusal.code) == (422, "model_too_large")
    assert "--memory" in refusal.message
    assert not [file for file in shelf.built if file.config.layers == (200,)], "it was built"
    assert shelf.names == ["a"]


def test_files_are_read_by_another_thread(tmp_path, monkeypatch):
    save(tmp_path / "a.npz")
    threads, load = set(), weights_file.load
    monkeypatch.setattr(weights_file, "load", lambda path: (threads.add(threading.get_ident()), load(path))[1])
    ModelStore(tmp_path).load("a")
    assert threads
    assert threading.get_ident() not in threads
