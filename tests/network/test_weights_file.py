"""Weights files: they round-trip bit for bit, survive crashes while saving, and no damaged file breaks the loader.

`outcome` judges every damaged file: loading must raise `WeightsError` or return the saved contents.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pickle
import random
import stat
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numlstm
from numlstm.errors import StorageError, WeightsError
from numlstm.network.parameters import count, shapes
from numlstm.network.weights_file import TrainState, WeightsFile, check_output, load, save
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.storage import atomic, npz
from numlstm.storage.temporary import temporary_beside
from numlstm.text.vocab.char import CharVocab

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")
ODD = "a\x00\"\\\n'한글😀e\u0301"


def make(seed=0, layers=(3, 2), dtype="float32", symbols=ODD, latest="differs"):
    """Return a file of random contents. `latest` parameters: "differs", "same" as the best, or "none" (no state)."""
    rng = np.random.default_rng(seed)
    config = NetworkSettings(len(symbols), layers, dtype)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    best, batch = draw(count(config)), 2
    summary = {"best": 1.25, "final": 1.5, "name": "\udc80 ü"}
    if latest == "none":
        return WeightsFile(config, CharVocab(symbols), best, summary)
    state = TrainState(
        config=TrainingSettings(steps=9, batch_size=batch, lr=0.1 + seed),
        step=7,
        params=best.copy() if latest == "same" else draw(best.size),
        slots={"m": draw(best.size), "v": draw(best.size)},
        h=[draw(batch, size) for size in layers],
        c=[draw(batch, size) for size in layers],
        record={"losses": [3.5, 2.25], "sources": ["a.txt"]},
    )
    return WeightsFile(config, CharVocab(symbols), best, summary, state)


def digest(file):
    """Return the whole file as plain values, arrays as dtype, shape and bytes."""
    state = file.state
    arrays = [file.params] + ([state.params, *state.slots.values(), *state.h, *state.c] if state else [])
    rest = (state.config, state.step, state.record) if state else None
    found = [(array.dtype.str, array.shape, array.tobytes()) for array in arrays]
    return file.config, file.vocab, file.summary, rest, found


def attempt(path):
    try:
        return load(path)
    except WeightsError as error:
        return error


def outcome(path, saved):
    """Return the error message if the file is rejected, or "same" if it holds the saved contents."""
    found = attempt(path)
    if isinstance(found, WeightsFile):
        assert digest(found) == digest(saved)
        return "same"
    assert str(path) in str(found)
    assert str(found).isprintable()
    return str(found).replace(str(path), "PATH")


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def rezip(path, contents, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def forge(path, change):
    """Rewrite the `meta` entry of a saved file with valid checksums; `change` is called with the parsed JSON."""
    contents = members(path)
    meta = json.loads(str(np.load(io.BytesIO(contents["meta.npy"]))))
    changed = change(meta)
    contents["meta.npy"] = npy(np.array(json.dumps(meta if changed is None else changed)))
    rezip(path, contents)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.npz"


@pytest.fixture
def saved(path):
    file = make()
    save(path, file)
    return file


class TestRoundTrip:
    @settings(max_examples=25, deadline=None)
    @given(
        seed=st.integers(0, 2**16),
        layers=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
        dtype=st.sampled_from(["float32", "float64"]),
        symbols=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9).map(
            lambda text: "".join(dict.fromkeys(text))
        ),
        latest=st.sampled_from(["none", "same", "differs"]),
    )
    def test_everything_comes_back_bit_for_bit(self, tmp_path_factory, seed, layers, dtype, symbols, latest):
        path = tmp_path_factory.mktemp("round") / "w.npz"
        file = make(seed, layers, dtype, symbols, latest)
        save(path, file)
        assert digest(load(path)) == digest(file)
        assert os.listdir(path.parent) == ["w.npz"]

    @pytest.mark.parametrize("symbols", ["\x00", "a\x00", '"', "한글", "😀\U0010ffff", ODD])
    def test_odd_symbols(self, path, symbols):
        save(path, make(symbols=symbols))
        assert load(path).vocab.symbols == symbols

    def test_plain_numpy_reads_it(self, path, saved):
        with np.load(path, allow_pickle=False) as arrays:
            flat = np.concatenate([arrays[name].ravel() for name in shapes(saved.config)])
            meta = json.loads(str(arrays["meta"]))
            assert arrays["lstm.1.W_x"].shape == (3, 8)
            assert arrays["optimizer.m"].tobytes() == saved.state.slots["m"].tobytes()
            assert arrays["training.c.1"].tobytes() == saved.state.c[1].tobytes()
        assert flat.tobytes() == saved.params.tobytes()
        assert (meta["format"], meta["version"], meta["gates"]) == ("numlstm", 1, "ifgo")
        assert meta["library"] == numlstm.__version__

    def test_the_latest_parameters_are_left_out_only_where_every_bit_is_the_best_ones(self, path):
        file = make(latest="same")
        save(path, file)
        assert "training.params.npy" not in members(path)
        loaded = load(path)
        loaded.state.params[0] += 1  # training writes in place; the best parameters must not change with it
        assert loaded.params.tobytes() == file.params.tobytes()
        file.params[0], file.state.params[0] = 0.0, -0.0
        save(path, file)
        assert digest(load(path)) == digest(file)

    def test_numbers_that_are_not_finite_become_null(self, path):
        file = make()
        file.summary.update(final=float("nan"), best=np.float32("inf"), n=np.int64(3), pair=(1, -float("inf")))
        file.state.record["losses"] = [float("inf"), 1.0]
        save(path, file)
        assert load(path).summary == {
            "name": "\udc80 ü",
            "final": None,
            "best": None,
            "n": 3,
            "pair": [1, None],
        }
        assert load(path).state.record["losses"] == [None, 1.0]

    def test_the_same_contents_give_the_same_bytes(self, path, saved):
        before = path.read_bytes()
        save(path, make())
        assert path.read_bytes() == before

    def test_the_records_of_files_beyond_four_gigabytes(self, path, monkeypatch):
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
        save(path, make())
        assert b"PK\x06\x06" in path.read_bytes()
        assert digest(load(path)) == digest(make())


class TestRefusesToSave:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda file: file.params.__setitem__(3, np.nan), "params contains non-finite values"),
            (lambda file: file.state.slots["v"].__setitem__(0, np.inf), "optimizer.v contains non-finite values"),
            (lambda file: file.state.slots.update(m=file.state.slots["m"][1:]), "cannot save optimizer.m"),
            (lambda file: setattr(file.state, "h", file.state.h[:1]), "training.h.1"),
            (lambda file: setattr(file.state, "params", file.params.astype("f8")), "float64"),
            (lambda file: object.__setattr__(file, "vocab", CharVocab("ab")), "the vocabulary has 2 symbols"),
            (lambda file: file.summary.update(path=Path("x")), "expected plain JSON"),
            (lambda file: file.summary.update(log="x" * 2**24), "expected at most 16,777,216"),
        ],
    )
    def test_what_load_would_refuse(self, path, saved, change, message):
        file = make(seed=1)
        change(file)
        with pytest.raises(WeightsError, match=message):
            save(path, file)
        assert digest(load(path)) == digest(saved)


class FullDisk(io.FileIO):
    """A file on a disk with `room` bytes left."""

    def __init__(self, name, room):
        super().__init__(name, "xb")
        self.room = room

    def write(self, data):
        if self.room < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        return super().write(data)


class NoFlush(io.BufferedWriter):
    def flush(self):
        raise OSError(errno.EIO, "Input/output error")


def failing(error):
    def call(*arguments, **options):
        raise error

    return call


def fail_at(monkeypatch, where, error):
    if where == "open":
        monkeypatch.setattr(atomic, "open", failing(error), raising=False)
    elif where == "write":
        monkeypatch.setattr(np.lib.format, "write_array", failing(error))
    elif where == "flush":
        monkeypatch.setattr(atomic, "open", lambda name, _: NoFlush(io.FileIO(name, "xb")), raising=False)
    else:
        monkeypatch.setattr(os, where, failing(error))


@pytest.fixture(params=["an earlier file", "no earlier file"])
def intact(request, path):
    """Return a check that the folder is unchanged: the earlier file, if any, loads, and there is no other file."""
    file = make(seed=1, latest="same")
    if request.param == "an earlier file":
        save(path, file)

    def check():
        if request.param == "an earlier file":
            assert digest(load(path)) == digest(file)
        assert os.listdir(path.parent) == [path.name] * (request.param == "an earlier file")

    return check


class TestCrash:
    @pytest.mark.parametrize("where", ["open", "write", "flush", "fsync", "replace"])
    def test_a_system_call_that_fails_leaves_the_earlier_file(self, path, intact, monkeypatch, where):
        with monkeypatch.context() as patch:
            fail_at(patch, where, OSError(errno.EIO, "Input/output error"))
            with pytest.raises(StorageError, match=r"cannot be written: Input/output error; .*make room"):
                save(path, make())
        intact()

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
    @pytest.mark.parametrize("where", ["write", "fsync", "replace"])
    def test_ctrl_c_leaves_the_earlier_file(self, path, intact, monkeypatch, where, error):
        with monkeypatch.context() as patch:
            fail_at(patch, where, error)
            with pytest.raises(error):
                save(path, make())
        intact()

    @pytest.mark.parametrize("room", [0, 1, 100, 1000, 2500, 5000, 7000])
    @pytest.mark.parametrize("buffer", [1, 512, 8192])
    def test_a_full_disk_leaves_the_earlier_file(self, path, intact, monkeypatch, room, buffer):
        def full(name, mode):
            return io.BufferedWriter(FullDisk(name, room), buffer)

        with monkeypatch.context() as patch:
            patch.setattr(atomic, "open", full, raising=False)
            with pytest.raises(StorageError, match="No space left on device"):
                save(path, make())
        intact()

    def test_all_is_on_the_disk_before_the_name_changes(self, path, monkeypatch):
        events = []

        def record(call, size_of):
            real = getattr(os, call)

            def recorded(target, *rest):
                events.append((call, size_of(target).st_size))
                return real(target, *rest)

            monkeypatch.setattr(os, call, recorded)

        record("fsync", os.fstat)
        record("replace", os.stat)
        save(path, make())
        size = path.stat().st_size
        assert events[:2] == [("fsync", size), ("replace", size)]

    @POSIX
    @pytest.mark.parametrize("call", ["open", "fsync"])
    def test_a_folder_that_cannot_be_synced_does_not_matter(self, path, saved, monkeypatch, call):
        real, seen = getattr(os, call), []

        def on_folders(target, *rest):
            if stat.S_ISDIR(os.stat(target).st_mode):
                seen.append(target)
                raise OSError(errno.EINVAL, "Invalid argument")
            return real(target, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, on_folders)
            save(path, make(seed=1))
        assert seen
        assert digest(load(path)) == digest(make(seed=1))

    @POSIX
    def test_a_real_limit_on_the_size_of_files(self, path, saved):
        limits = [str(path.stat().st_size * part // 8) for part in range(1, 8)]
        with saving(path, LIMITED, *limits) as process:
            assert process.communicate()[0].count("File too large") == len(limits)
        assert process.returncode == 0
        assert digest(load(path)) == digest(saved)
        assert os.listdir(path.parent) == [path.name]

    @pytest.mark.slow
    @pytest.mark.alone
    def test_a_killed_process_leaves_one_file_or_the_other(self, path, tmp_path_factory):
        files = [make(seed, layers=(64, 64)) for seed in (0, 1)]
        sources = [tmp_path_factory.mktemp("source") / "w.npz" for _ in files]
        for source, file in zip(sources, files, strict=True):
            save(source, file)
        rng = random.Random(0)
        for _ in range(10):
            with saving(path, FOREVER, *map(str, sources)) as process:
                assert process.stdout.readline().strip() == "saving"
                time.sleep(rng.uniform(0, 0.05))
                process.kill()
            assert digest(load(path)) in map(digest, files)
        assert list(path.parent.glob(".*.tmp")), "no process was killed while saving"


LIMITED = """
import resource, sys
from numlstm.errors import StorageError
from numlstm.network.weights_file import load, save
path, *limits = sys.argv[1:]
file = load(path)
for limit in map(int, limits):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        save(path, file)
    except StorageError as error:
        print(error)
"""

FOREVER = """
import itertools, sys
from numlstm.network.weights_file import load, save
path, *sources = sys.argv[1:]
files = [load(source) for source in sources]
for turn in itertools.count():
    save(path, files[turn % 2])
    if turn == 0:
        print("saving", flush=True)
"""


@contextlib.contextmanager
def saving(path, code, *arguments):
    """Context manager: run the code in another process, and kill it at the end if it is still running."""
    where = {**os.environ, "PYTHONPATH": str(Path(numlstm.__file__).parents[1])}
    command = [sys.executable, "-c", code, str(path), *arguments]
    with subprocess.Popen(command, env=where, text=True, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


class TestTarget:
    @POSIX
    def test_a_link_is_followed(self, tmp_path, saved, path):
        link = tmp_path / "link.npz"
        link.symlink_to(path.name)
        save(link, make(seed=1))
        assert link.is_symlink()
        assert digest(load(path)) == digest(make(seed=1))

    @POSIX
    def test_permissions_are_kept_or_follow_the_umask(self, path):
        before = os.umask(0o027)
        try:
            save(path, make())
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        save(path, make())
        assert stat.S_IMODE(path.stat().st_mode) == 0o604

    def test_the_temporary_name_is_new_short_and_in_the_same_folder(self, tmp_path):
        target = tmp_path / ("😀" * 60)
        names = {temporary_beside(target) for _ in range(3)}
        assert len(names) == 3
        assert all(name.parent == tmp_path and len(os.fsencode(name.name)) < 255 for name in names)

    def test_a_folder_is_refused(self, tmp_path):
        with pytest.raises(StorageError, match="is a folder"):
            save(tmp_path, make())

    @POSIX
    @pytest.mark.timeout(60)  # opening a pipe without a writer would block forever
    def test_a_device_is_refused_and_stays_one(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        for use in (
            lambda: save(pipe, make()),
            lambda: check_output(pipe, overwrite=True),
            lambda: load(pipe),
        ):
            with pytest.raises(StorageError, match="is a device or pipe"):
                use()
        assert pipe.is_fifo()

    def test_check_output_makes_the_folder_and_leaves_nothing_in_it(self, tmp_path):
        check_output(tmp_path / "a" / "b" / "w.npz", overwrite=False)
        assert os.listdir(tmp_path / "a" / "b") == []

    def test_check_output_refuses_an_existing_file(self, path, saved):
        with pytest.raises(StorageError, match="`overwrite`"):
            check_output(path, overwrite=False)
        check_output(path, overwrite=True)
        assert digest(load(path)) == digest(saved)

    def test_check_output_refuses_what_cannot_be_written(self, tmp_path, path, saved, monkeypatch):
        for bad in (tmp_path, path / "below.npz", tmp_path / ("x" * 300)):
            with pytest.raises(StorageError):
                check_output(bad, overwrite=True)
        monkeypatch.setattr(Path, "touch", failing(PermissionError(errno.EACCES, "Permission denied")))
        with pytest.raises(StorageError, match="cannot be written: Permission denied"):
            check_output(tmp_path / "new.npz", overwrite=False)

    def test_check_output_refuses_a_read_only_file(self, path, saved, monkeypatch):
        monkeypatch.setattr(os, "access", lambda target, mode: (target, mode) != (path.resolve(), os.W_OK))
        with pytest.raises(StorageError, match="read-only"):
            check_output(path, overwrite=True)


class TestDamage:
    def test_truncated_at_every_length(self, path, saved):
        data = path.read_bytes()
        for length in reversed(range(len(data))):
            os.truncate(path, length)
            assert outcome(path, saved) != "same"
        path.write_bytes(data + b"\0")
        assert "damaged or cut short" in outcome(path, saved)

    def test_a_bit_flipped_in_every_third_byte(self, path):
        saved, rng = make(layers=(1,), symbols="ab", latest="none"), random.Random(0)
        save(path, saved)
        data = path.read_bytes()
        outcomes = []
        for place in range(rng.randrange(3), len(data), 3):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :])
            outcomes.append(outcome(path, saved))
        assert 0 < outcomes.count("same") < len(outcomes) // 4  # only fields such as timestamps may differ

    def test_bits_flipped_anywhere_in_a_file_with_state(self, path, saved):
        data, rng = path.read_bytes(), random.Random(1)
        for place in rng.sample(range(len(data)), 300):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :])
            outcome(path, saved)

    def test_runs_of_bytes_overwritten_in_the_directory(self, path, saved):
        data, rng = path.read_bytes(), random.Random(2)
        start = data.index(b"PK\x01\x02")
        for _ in range(300):
            place, size = rng.randrange(start, len(data)), rng.choice([1, 2, 4, 8])
            run = rng.choice([b"\xff", b"\0", b"\x7f"]) * size
            path.write_bytes((data[:place] + run + data[place + size :])[: len(data)])
            outcome(path, saved)

    def test_headers_damaged_beneath_valid_checksums(self, path, saved):
        contents, rng = members(path), random.Random(3)
        for _ in range(200):
            name, place = rng.choice(["meta.npy", "lstm.0.W_x.npy"]), rng.randrange(80)
            data = bytearray(contents[name])
            data[place] = rng.choice(b"\0\xff(){}[]'\",:9L<O ")
            rezip(path, {**contents, name: bytes(data)})
            outcome(path, saved)

    def test_the_judge_sees_changed_contents(self, path, saved):
        other = make()
        other.params[0] += 1
        save(path, other)
        with pytest.raises(AssertionError):
            outcome(path, saved)


def peak(call):
    """Return the peak memory that `call` allocated, in bytes."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def header(shape, descr="<f4", order="False"):
    text = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


class TestClaims:
    def test_the_meter_of_memory_works(self):
        assert peak(lambda: np.zeros(10**7, "u1")) > 10**7

    def expect(self, path, saved, message):
        found = []
        assert peak(lambda: found.append(outcome(path, saved))) < 2**20
        assert message in found[0]

    @pytest.mark.parametrize(
        ("layers", "message"),
        [
            ([65536, 65536], "lstm.0.W_x is <f4[11, 12]; expected <f4[11, 262144]"),
            ([3, 65536], "lstm.1.W_x is <f4[3, 8]; expected <f4[3, 262144]"),
            ([65536] * 64, "it lacks the arrays"),
            ([1] * 65, "1 to 64 whole numbers"),
        ],
    )
    def test_a_huge_network_in_a_small_file(self, path, saved, layers, message):
        forge(path, lambda meta: meta["config"].update(layers=layers))
        self.expect(path, saved, message)

    def test_a_huge_batch_in_a_small_file(self, path, saved):
        forge(path, lambda meta: meta["training"]["config"].update(batch_size=2**20))
        self.expect(path, saved, "its array training.h.0 is <f4[2, 3]; expected <f4[1048576, 3]")

    @pytest.mark.parametrize("shape", ["(1000000, 1000000000)", "(11, 12, 1)", "(132,)", "()", "(11" * 300])
    def test_an_array_of_another_shape(self, path, saved, shape):
        rezip(path, {**members(path), "lstm.0.W_x.npy": header(shape) + bytes(528)})
        self.expect(path, saved, "lstm.0.W_x")

    def test_a_petabyte_that_the_directory_claims_too(self, path, saved):
        data = bytearray(path.read_bytes())
        place = data.index(b"PK\x01\x02")
        data[place + 20 : place + 28] = b"\xf0\xff\xff\xff" * 2
        path.write_bytes(data)
        self.expect(path, saved, "its members claim more than")

    @pytest.mark.parametrize("size", [0, 4, 524, 532])
    def test_data_shorter_or_longer_than_the_shape(self, path, saved, size):
        rezip(path, {**members(path), "lstm.0.W_x.npy": header("(11, 12)") + bytes(size)})
        self.expect(path, saved, "too few or too many")

    def test_a_large_meta(self, path, saved, monkeypatch):
        monkeypatch.setattr(npz, "MAX_TEXT", 1000)
        self.expect(path, saved, "expected at most 1000")

    @pytest.mark.parametrize("text", ["[" * 10**5, "", "{", "NaN", "[]", "1" * 5000, '"\ud800"', "null"])
    def test_a_meta_that_is_no_document(self, path, saved, text):
        data = text.encode("utf-32-le", "surrogatepass")
        rezip(path, {**members(path), "meta.npy": header("()", f"<U{len(text)}") + data})
        assert outcome(path, saved) != "same"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda meta: meta.update(version=2), "upgrade numlstm"),
            (lambda meta: meta.update(version="1"), "its format version is '1'"),
            (lambda meta: meta.update(format="other"), "does not name the format 'numlstm'"),
            (lambda meta: meta.update(gates="ifog"), "expected 'ifgo'"),
            (lambda meta: meta.pop("vocab") and None, "'vocab' of its meta is missing"),
            (lambda meta: meta.update(summary=[]), "'summary' of its meta is a list"),
            (lambda meta: meta["vocab"].update(symbols="ab"), "the vocabulary has 2 symbols; expected 11"),
            (lambda meta: meta["vocab"].update(symbols="a" * 11), "symbol occurs twice"),
            (lambda meta: meta["vocab"].update({"a\n\x1b": 0}), "the vocabulary holds a??, level"),
            (lambda meta: meta["config"].update(layers=[0]), "`layers` is 0"),
            (lambda meta: meta["config"].update(vocab_size=10**400), "vocab_size"),
            (lambda meta: meta["config"].update(dtype="O"), "`dtype` is 'O'"),
            (lambda meta: meta["config"].update(dtype="float64"), "expected <f8"),
            (lambda meta: meta["training"]["config"].update(lr=10**400), "`lr` is 1000"),
            (lambda meta: meta["training"].update(step=-1), "its step is -1"),
            (lambda meta: meta["training"].update(step=True), "'step' of its meta's training is a bool"),
            (lambda meta: meta.update(training=None), "unknown arrays ['optimizer.m'"),
            (lambda meta: meta["summary"].update(loss=float("nan")), "NaN, which is not JSON"),
        ],
    )
    def test_a_meta_that_does_not_fit(self, path, saved, change, message):
        forge(path, change)
        self.expect(path, saved, message)

    @settings(max_examples=100, deadline=None)
    @given(
        where=st.sampled_from(
            ["config", "vocab", "summary", "training", "version", "training.config", "vocab.symbols"]
        ),
        value=st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        ),
    )
    def test_any_value_anywhere_in_meta(self, tmp_path_factory, where, value):
        path = tmp_path_factory.mktemp("meta") / "w.npz"
        save(path, make())

        def change(meta):
            *outer, name = where.split(".")
            (meta[outer[0]] if outer else meta)[name] = value

        forge(path, change)
        found = attempt(path)
        assert isinstance(found, WeightsFile) or str(found).isprintable()


class TestForeign:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "it is empty"),
            (b"P", "not a weights file"),
            (b"PK", "damaged or cut short"),
            (b"PK\x05\x06" + bytes(18), "no meta"),
            (b"To be, or not to be\n" * 50, "not a weights file"),
            (pickle.dumps({"a": np.zeros(3)}), "not a weights file"),
            (npy(np.zeros(3)), "not a weights file"),
        ],
    )
    def test_another_kind_of_file(self, path, data, message):
        path.write_bytes(data)
        assert message in outcome(path, None)

    def test_no_file_and_a_folder(self, tmp_path):
        assert "there is no file" in outcome(tmp_path / "none.npz", None)
        assert "it is a folder" in outcome(tmp_path, None)

    def test_a_file_that_cannot_be_read(self, path, saved, monkeypatch):
        monkeypatch.setattr(npz, "open", failing(PermissionError(errno.EACCES, "Permission denied")), raising=False)
        assert "cannot be read: Permission denied" in outcome(path, saved)

    def test_more_than_memory(self, path, saved, monkeypatch):
        monkeypatch.setattr(np, "empty", failing(MemoryError()))
        assert "needs more memory" in outcome(path, saved)

    def test_an_npz_and_a_zip_of_someone_else(self, path):
        np.savez(path, a=np.zeros(3), b=np.ones(2))
        assert "it was not written by numlstm: it has no meta, only 'a, b'" in outcome(path, None)
        rezip(path, {"word/document.xml": b"<xml/>"})
        assert "'word/document.xml', which is not an array" in outcome(path, None)

    @pytest.mark.parametrize("name", ["meta", "lstm.0.W_x", "optimizer.m"])
    def test_an_array_of_objects_is_never_unpickled(self, path, saved, name):
        for array in (np.array({"a": 1}, dtype=object), np.full((11, 12), None)):
            rezip(path, {**members(path), f"{name}.npy": npy(array, allow_pickle=True)})
            assert "|O" in outcome(path, saved)

    @pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i4", "<c8", "<f2", "|u1", "<U1", "|V4"])
    def test_an_array_of_another_dtype(self, path, saved, dtype):
        rezip(path, {**members(path), "output.b.npy": npy(np.zeros(11, dtype))})
        assert f"its array output.b is {dtype}[11]; expected <f4[11]" in outcome(path, saved)

    def test_an_array_with_fields(self, path, saved):
        rezip(path, {**members(path), "output.b.npy": npy(np.zeros(11, [("a", "<f4")]))})
        assert "does not describe a plain array" in outcome(path, saved)

    def test_a_meta_that_is_padded_or_one_of_several(self, path, saved):
        text = str(np.load(path)["meta"])
        rezip(path, {**members(path), "meta.npy": npy(np.array(text, f"U{len(text) + 9}"))})
        assert outcome(path, saved) == "same"
        for array in (np.array([text]), np.array([text] * 2)):
            rezip(path, {**members(path), "meta.npy": npy(array)})
            assert "expected a single string" in outcome(path, saved)

    def test_a_header_that_says_one_thing_three_times(self, path, saved):
        text = b"{" + b"'descr': '<f4', " * 3 + b"}"
        data = b"\x93NUMPY\x01\0" + bytes([len(text), 0]) + text + bytes(44)
        rezip(path, {**members(path), "output.b.npy": data})
        assert "does not describe a plain array" in outcome(path, saved)

    def test_an_array_in_fortran_order(self, path, saved):
        rezip(path, {**members(path), "lstm.0.W_x.npy": npy(np.zeros((11, 12), "f4", order="F"))})
        assert "Fortran order" in outcome(path, saved)

    def test_a_header_written_in_another_style(self, path, saved):
        contents = members(path)
        data = contents["output.b.npy"][-44:]
        text = b'{"shape":( 11 , ),"fortran_order":False,"descr":"<f4"}'
        rezip(path, {**contents, "output.b.npy": b"\x93NUMPY\x01\0" + bytes([len(text), 0]) + text + data})
        assert outcome(path, saved) == "same"

    @pytest.mark.parametrize("start", [b"\x93NUMPX\x01\0", b"\x93NUMPY\x02\0", b"\x93NUMPY\x01\x01"], ids=repr)
    def test_an_array_in_another_format(self, path, saved, start):
        contents = members(path)
        rezip(path, {**contents, "output.b.npy": start + contents["output.b.npy"][len(start) :]})
        assert "output.b is not an array in the npy format 1.0" in outcome(path, saved)

    def test_an_array_too_many_or_too_few(self, path, saved):
        contents = members(path)
        rezip(path, {**contents, "extra.npy": npy(np.zeros(1))})
        assert "unknown arrays ['extra']" in outcome(path, saved)
        for name in contents:
            rezip(path, {other: data for other, data in contents.items() if other != name})
            if name != "training.params.npy":
                assert outcome(path, saved) != "same"

    def test_a_name_that_occurs_twice(self, path, saved):
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("output.b.npy", npy(np.zeros(11, "f4")))
        assert "two members with the same name" in outcome(path, saved)

    def test_a_compressed_archive(self, path, saved):
        rezip(path, members(path), zipfile.ZIP_DEFLATED)
        assert "compressed" in outcome(path, saved)

    def test_an_encrypted_member(self, path, saved):
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(data)
        assert "encrypted" in outcome(path, saved)

    @pytest.mark.parametrize("name", ["output.W", "training.params", "optimizer.v", "training.h.0"])
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite(self, path, saved, name, value):
        array = np.load(path)[name]
        array.flat[1] = value
        rezip(path, {**members(path), f"{name}.npy": npy(array)})
        assert f"its array {name} contains non-finite values" in outcome(path, saved)
