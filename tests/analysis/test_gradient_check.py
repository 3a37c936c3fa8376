"""The gradients of every available backend, checked by finite differences, and tests that the checker can fail."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from numlstm.analysis import device_report, gradient_check
from numlstm.analysis.gradient_cases import Dense, Loss, Network, Sizes, Stack
from numlstm.analysis.gradient_check import SMALL, Row
from numlstm.backends import reference, registry
from numlstm.backends.reference import lstm
from numlstm.backends.spec.variant import PLAIN
from numlstm.cli.check import check as check_command
from numlstm.errors import BackendError, ConfigError

GRADIENTS = list(enumerate(["x", "h0", "c0", "W_x", "W_h", "b"]))
TOY = Sizes(T=2, B=2, D=3, V=3, layers=(1, 2))
VARIED = Sizes(2, 3, 3, 4, (4, 3), 2, 2, layer_norm=True, tie_weights=True, hard=True, rate=0.3, recurrent=0.2)


@pytest.fixture(scope="module", params=registry.names())
def proof(request):
    """A backend and the checker's rows for it."""
    try:
        backend = registry.load(request.param)
    except BackendError as error:
        pytest.skip(str(error))
    return backend, list(gradient_check.check(backend))


def altered(**functions):
    """Return the reference backend with some functions replaced."""
    return SimpleNamespace(**{**vars(reference), **functions})


def failed(backend, subject):
    return {
        row.what.rpartition(" ")[2] for row in gradient_check.against_finite_differences(backend, subject) if not row.ok
    }


def stack():
    return Stack(np.random.default_rng(0), TOY)


def scaled_lstm(place, change):
    """Return a backend that applies `change` to one gradient; `place` indexes (dx, dh0, dc0, dW_x, dW_h, db)."""

    def lstm_backward(dh, packed, tape, dW_x, dW_h, db, dvariant=PLAIN):
        gradients = [*reference.lstm_backward(dh, packed, tape, dW_x, dW_h, db, dvariant), dW_x, dW_h, db]
        gradients[place][...] = change(gradients[place])
        return tuple(gradients[:3])

    return altered(lstm_backward=lstm_backward)


@pytest.mark.parametrize("sizes", [TOY, VARIED], ids=["plain", "every option"])
def test_the_gradients_of_the_reference_agree(sizes):
    assert failed(reference, Network(np.random.default_rng(0), sizes)) == set()


@pytest.mark.slow
def test_every_gradient_agrees(proof):
    _, rows = proof
    assert [row for row in rows if not row.ok] == []


@pytest.mark.slow
def test_finite_differences_reach_every_parameter_and_input_of_one_to_three_layers(proof):
    _, rows = proof
    proved = {row.what for row in rows if row.allowed <= 1e-7}
    for depth, title in enumerate(["1 layer", "2 layers", "3 layers"], start=1):
        layers = range(depth)
        weights = {f"lstm.{layer}.{name}" for layer in layers for name in ("W_x", "W_h", "b")}
        states = {f"lstm.{layer}.{name}" for layer in layers for name in ("h0", "c0")}
        assert {f"{title}: d {name}" for name in weights | states | {"x"}} <= proved
        assert {f"network of {title}: d {name}" for name in weights | {"output.W", "output.b"}} <= proved
    assert {"dense: d h", "dense: d W", "dense: d b", "loss: d logits"} <= proved


@pytest.mark.slow
def test_a_backend_is_compared_with_the_reference_in_both_dtypes(proof):
    backend, rows = proof
    compared = [row.what for row in rows if "float" in row.what]
    assert bool(compared) == (backend.name != "reference")
    for dtype in ("float64", "float32"):
        assert sum(dtype in what for what in compared) in (0, 16 + 1 + 11 + 1 + 3 + 1 + 1 + 1)


@pytest.mark.parametrize("sizes", SMALL)
def test_all_sizes_differ(sizes):
    everything = (sizes.T, sizes.B, sizes.D, sizes.V, *sizes.layers)
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize(("place", "name"), GRADIENTS)
@pytest.mark.parametrize("factor", [1.0005, *(pytest.param(n, marks=pytest.mark.slow) for n in (0.9995, 0.0, np.nan))])
def test_a_gradient_that_is_scaled_is_rejected(place, name, factor):
    wrong = failed(scaled_lstm(place, lambda values: factor * values), stack())
    assert ({"x"} if name == "x" else {f"lstm.{layer}.{name}" for layer in (0, 1)}) <= wrong


@pytest.mark.parametrize(("place", "name"), GRADIENTS)
def test_one_wrong_entry_is_rejected(place, name):
    def change(values):
        values = values.copy()
        values.reshape(-1)[values.size // 2] *= 1.0005
        return values

    wrong = failed(scaled_lstm(place, change), stack())
    assert any(what.endswith(name) for what in wrong)


@pytest.mark.parametrize("factor", [1.0005, 0.0])
def test_a_wrong_dense_layer_is_rejected(factor):
    def dense_backward(dlogits, h, packed, dW, db):
        dh = reference.dense_backward(dlogits, h, packed, dW, db)
        dW *= factor
        db *= factor
        return factor * dh

    backend = altered(dense_backward=dense_backward)
    assert failed(backend, Dense(np.random.default_rng(0), TOY)) == {"h", "W", "b"}


@pytest.mark.parametrize("factor", [1.0005, 0.0])
def test_a_wrong_loss_is_rejected(factor):
    def softmax_cross_entropy(logits, targets, *, scale=None):
        loss, dlogits = reference.softmax_cross_entropy(logits, targets)
        return loss, factor * dlogits

    backend = altered(softmax_cross_entropy=softmax_cross_entropy)
    assert failed(backend, Loss(np.random.default_rng(0), TOY)) == {"logits"}
    assert len(failed(backend, Network(np.random.default_rng(0), TOY))) == 8


def test_a_network_that_forgets_a_layer_is_rejected():
    backend = scaled_lstm(3, lambda dW_x: 1.0005 * dW_x)
    assert failed(backend, Network(np.random.default_rng(0), TOY)) == {"lstm.0.W_x", "lstm.1.W_x"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_wrong_outputs_and_gradients_are_rejected_against_the_reference(dtype):
    def lstm_forward(x, packed, h0, c0, *, mask=None, tape=None):
        h, last, tape = reference.lstm_forward(x, packed, h0, c0, mask=mask)
        return 1.0005 * h, last, tape

    for backend in (altered(lstm_forward=lstm_forward), scaled_lstm(4, lambda dW_h: 1.0005 * dW_h)):
        rows = list(gradient_check.against_reference(backend, stack(), dtype))
        assert sum(not row.ok for row in rows) >= 2
    assert all(row.ok for row in gradient_check.against_reference(reference, stack(), dtype))


def test_relative_error_is_what_it_says():
    error = gradient_check.relative_error
    assert error([1.0, 2.0], [1.0, 2.0]) == 0
    assert error([1.0, 2.002], [1.0, 2.0]) == pytest.approx(0.002 / 2.002)
    assert error([1.0, 0.0], [1.0, 1e-9]) == pytest.approx(1e-6)  # 1e-9 divided by the floor, 1e-3
    assert error([1.0, 0.0], [1.0, 1e-2]) == 1
    assert error([0.0], [0.0]) == np.inf
    assert error([1.0, 1.0], [[1.0], [1.0]]) == np.inf
    assert np.isnan(error([1.0, np.nan], [1.0, 1.0]))
    assert not Row("NaN", (1,), np.nan, 1.0).ok
    assert not Row("too far", (1,), 1.1e-7, 1e-7).ok
    assert Row("near", (1,), 1e-7, 1e-7).ok


def test_finite_differences_of_a_known_function():
    inputs = {"x": np.array([[0.3, -1.0], [2.0, 0.0]]), "y": np.array(2.0)}
    found = gradient_check.finite_differences(lambda v: float(np.sum(np.sin(v["x"])) * v["y"]), inputs, "x")
    np.testing.assert_allclose(found, 2 * np.cos(inputs["x"]), rtol=1e-12, atol=1e-12)
    assert inputs["x"][0, 0] == 0.3


def rounding_lstm(change=None, precision="bf16"):
    """Return the reference with weights, h and dh rounded to `precision`; `change` modifies dW_h in place."""
    asked, bits = precision, gradient_check.ROUNDED[precision]

    def as_short(values):
        return gradient_check.rounded_to(values, bits)

    def rounded(packed):
        return lstm.Layer(*(as_short(w).astype(w.dtype) for w in packed[:2]), packed[2])

    def pack_lstm(W_x, W_h, b, *, tokens, precision="", variant=PLAIN, packed=None):
        assert precision == asked
        return rounded((W_x, W_h, b))

    def lstm_forward(x, packed, h0, c0, *, mask=None, tape=None):
        h, last, tape = reference.lstm_forward(x, packed, h0, c0, mask=mask)
        return as_short(h).astype(h.dtype), last, tape

    def lstm_backward(dh, packed, tape, dW_x, dW_h, db, dvariant=PLAIN):
        dh = as_short(dh).astype(dh.dtype)
        gradients = reference.lstm_backward(dh, packed, tape, dW_x, dW_h, db, dvariant)
        if change is not None:
            change(dW_h)
        return gradients

    return altered(pack_lstm=pack_lstm, lstm_forward=lstm_forward, lstm_backward=lstm_backward)


def test_what_is_rounded_to_bf16_is_accepted():
    rows = list(gradient_check.check_rounded(rounding_lstm(), "bf16"))
    assert [row for row in rows if not row.ok] == []
    assert {row.allowed for row in rows} == {2**-6}
    assert max(row.error for row in rows) > 1e-3, "nothing was rounded"


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_what_is_rounded_to_eleven_bits_is_accepted_and_what_has_eight_is_not(precision):
    rows = list(gradient_check.check_rounded(rounding_lstm(precision=precision), precision))
    assert [row for row in rows if not row.ok] == []
    assert {row.allowed for row in rows} == {2**-8}
    assert max(row.error for row in rows) > 1e-4, "nothing was rounded"
    coarse = rounding_lstm()
    coarse.pack_lstm = lambda W_x, W_h, b, **_: lstm.Layer(W_x, W_h, b)
    assert [row for row in gradient_check.check_rounded(coarse, precision) if not row.ok]


@pytest.mark.parametrize("factor", [1.03, 0.97, 0.0, np.nan])
def test_a_bf16_gradient_that_is_off_by_three_percent_is_rejected(factor):
    def scale(dW_h):
        dW_h *= factor

    wrong = {row.what for row in gradient_check.check_rounded(rounding_lstm(scale), "bf16") if not row.ok}
    assert {
        row.what for row in gradient_check.check_rounded(rounding_lstm(), "bf16") if row.what.endswith("W_h")
    } == wrong


@pytest.mark.parametrize("row", [0, -1])
def test_a_bf16_gradient_without_its_first_or_last_row_is_rejected(row):
    def leave_out(dW_h):
        dW_h[row] = 0

    wrong = [row.what for row in gradient_check.check_rounded(rounding_lstm(leave_out), "bf16") if not row.ok]
    assert len(wrong) == len(
        [row for row in gradient_check.check_rounded(rounding_lstm(), "bf16") if row.what.endswith("W_h")]
    )


def test_rounding_keeps_eight_bits_and_rounds_ties_to_even():
    given = [1.0, 255.0, 257.0, 259.0, -257.5, 1 + 2**-8, 1 + 3 * 2**-8, 0.0, 3e-38]
    expected = [1.0, 255.0, 256.0, 260.0, -258.0, 1.0, 1 + 2**-6, 0.0, 3e-38]
    found = gradient_check.rounded_to(given, 8)
    np.testing.assert_array_equal(found[:-1], expected[:-1])
    np.testing.assert_allclose(found, expected, rtol=2**-8)
    np.testing.assert_array_equal(found, gradient_check.rounded_to(found, 8))


@pytest.fixture
def quick(monkeypatch):
    """Return a function that sets the rows the command gets, whatever the device."""

    def use(*rows):
        monkeypatch.setattr(gradient_check, "check", lambda backend, **_: iter(rows))

    return use


GOOD, BAD = Row("loss: d logits", (6, 5), 1e-9, 1e-7), Row("dense: d W", (4, 5), np.nan, 1e-7)
BF16 = Row("1 layer, bf16: d x", (3, 2, 5), 0.005, 2**-6)
FP16 = Row("1 layer, fp16: d x", (3, 2, 5), 0.001, 2**-8)
ERRORS = {"finite differences": 1e-9}


def test_the_command_prints_one_json_object(quick, capsys):
    quick(GOOD)
    check_command("reference", True)
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "device": "reference",
        "description": reference.describe(),
        "ok": True,
        "not_checked": {each: gradient_check.precision_missing(reference, each) for each in ("bf16", "tf32", "fp16")},
        "report": device_report.facts(reference, ERRORS),
        "rows": [{"what": "loss: d logits", "shape": [6, 5], "error": 1e-9, "allowed": 1e-7, "ok": True}],
    }


def test_the_command_prints_a_table(quick, capsys):
    quick(GOOD, GOOD)
    check_command("reference")
    out = capsys.readouterr().out
    assert "loss: d logits" in out
    assert "6 x 5" in out
    assert "all 2 gradients agree" in out
    for precision, where in (("bf16", "cpu or gpu"), ("tf32", "gpu"), ("fp16", "gpu")):
        assert f"{precision} was not checked: " in out
        assert f"precision {precision} needs --device {where}" in out
    assert out.endswith(device_report.as_text(device_report.facts(reference, ERRORS)) + "\n")


def test_the_command_checks_what_it_is_asked_to(monkeypatch, capsys):
    monkeypatch.setattr(gradient_check, "check", lambda backend, **_: iter([GOOD]))
    rounded = {"bf16": BF16, "fp16": FP16}
    monkeypatch.setattr(gradient_check, "check_rounded", lambda backend, precision: iter([rounded[precision]]))
    monkeypatch.setattr(gradient_check, "precision_missing", lambda backend, precision: "no" * (precision == "tf32"))
    every = (None, [GOOD, BF16, FP16])
    for precision, rows in (every, ("float32", [GOOD]), ("bf16", [BF16]), ("fp16", [FP16])):
        check_command("reference", True, precision=precision)
        said = json.loads(capsys.readouterr().out)
        assert [row["what"] for row in said["rows"]] == [row.what for row in rows]
        assert said["not_checked"] == ({"tf32": "no"} if precision is None else {})


def test_bf16_that_cannot_be_checked_is_an_error_only_if_asked_for(quick, capsys):
    quick(GOOD)
    with pytest.raises(BackendError, match="precision bf16 needs `device` cpu"):
        check_command("reference", precision="bf16")
    check_command("reference", True, precision="float32")
    assert json.loads(capsys.readouterr().out)["not_checked"] == {}
    with pytest.raises(ConfigError, match="`precision` is 'half'; expected float32 or bf16"):
        check_command("reference", precision="half")


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_fails_if_a_gradient_does(quick, capsys, as_json):
    quick(GOOD, BAD)
    with pytest.raises(BackendError, match=r"1 of 2 gradients of reference are wrong: dense: d W;") as caught:
        check_command("reference", as_json)
    assert "\n" not in str(caught.value)
    out = capsys.readouterr().out
    if as_json:
        said = json.loads(out)
        assert said["ok"] is False
        assert [row["error"] for row in said["rows"]] == [1e-9, None]
    else:
        assert "1 of 2 gradients are wrong" in out


def test_an_unknown_device_is_an_error():
    with pytest.raises(BackendError, match="no device is called 'abacus'"):
        check_command("abacus")
