"""The cases that PyTorch judges: each one's input arrays, and numlstm's results for them.

A case is a dict of arrays by name, so that it can be saved to a file. PyTorch is not needed here.
"""

from __future__ import annotations

import numpy as np

from numlstm.model import Model
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings
from numlstm.settings.training import TrainingSettings
from numlstm.text.vocab.char import CharVocab
from numlstm.training.loop import Step, train
from numlstm.training.state import TrainingState

LSTM_NAMES = ("W_x", "W_h", "b", "h0", "c0")
TRAINING = TrainingSettings(
    steps=100, batch_size=5, seq_len=7, lr=0.01, lr_floor=1.0, warmup_steps=0, clip=0.3, val_split=0.0, seed=0
)
SYMBOLS = "abcdefghijk"


def draw_stack(seed, *, T, B, D, layers):
    """Return a random stack of layers, its input activations x (T, B, D) and its output's gradient dh (T, B, H)."""
    rng = np.random.default_rng(seed)
    case = {"x": rng.standard_normal((T, B, D)), "dh": rng.standard_normal((T, B, layers[-1]))}
    for layer, H in enumerate(layers):
        for name, shape in zip(LSTM_NAMES, ((D, 4 * H), (H, 4 * H), (4 * H,), (B, H), (B, H)), strict=True):
            case[f"{layer}.{name}"] = rng.uniform(-1, 1, shape) * (1 if name in ("h0", "c0") else H**-0.5)
        D = H
    return case


def depth(case):
    return sum(name.endswith(".W_h") for name in case)


def run_stack(backend, case):
    """Return the outputs and all gradients of a stack: h, dx, and each layer's h_last, c_last and d + name."""
    x, passes, found = backend.asarray(case["x"]), [], {}
    for layer in range(depth(case)):
        W_x, W_h, b, h0, c0 = (backend.asarray(case[f"{layer}.{name}"]) for name in LSTM_NAMES)
        packed = backend.pack_lstm(W_x, W_h, b, tokens=False)
        x, (h, c), tape = backend.lstm_forward(x, packed, h0, c0)
        found[f"{layer}.h_last"], found[f"{layer}.c_last"] = h, c
        passes.append((packed, tape))
    found["h"] = backend.to_numpy(x)
    dh = backend.asarray(case["dh"])
    for layer in reversed(range(depth(case))):
        weights = [backend.zeros(case[f"{layer}.{name}"].shape, "float64") for name in LSTM_NAMES[:3]]
        dh, dh0, dc0 = backend.lstm_backward(dh, *passes[layer], *weights)
        found |= {f"{layer}.d{name}": d for name, d in zip(LSTM_NAMES, (*weights, dh0, dc0), strict=True)}
    found["dx"] = dh
    return {name: backend.to_numpy(values) for name, values in found.items()}


def draw_training(seed, *, layers):
    """Return a partly predictable text, long enough that 100 steps take over three epochs, and parameters by name."""
    rng = np.random.default_rng(seed)
    config = NetworkSettings(len(SYMBOLS), layers, "float64")
    steps = np.where(rng.random(1010) < 0.7, 3, rng.integers(0, len(SYMBOLS), 1010))
    case = {"text": (np.cumsum(steps) % len(SYMBOLS)).astype(np.uint8)}
    for name, shape in parameters.shapes(config).items():
        case[name] = rng.uniform(-0.5, 0.5, shape)
    return case


def layer_sizes(case):
    return tuple(len(case[f"lstm.{layer}.W_h"]) for layer in range(depth(case)))


def run_training(backend, case):
    """Return the losses and gradient norms of 100 steps, and the final parameters."""
    config = NetworkSettings(len(SYMBOLS), layer_sizes(case), "float64")
    start = {name: case[name] for name in parameters.shapes(config)}
    model = Model(config, parameters.flatten(start, config), backend, vocab=CharVocab(SYMBOLS))
    progress = train(TrainingState.start(model, TRAINING), case["text"], case["text"][:0])
    steps = [step for step in progress if isinstance(step, Step)]
    found = {f"after.{name}": values for name, values in model.params.items()}
    found["losses"] = np.array([step.loss for step in steps])
    found["norms"] = np.array([step.gradient_norm for step in steps])
    return found


def run_first_step(backend, case):
    """Return the logits, loss and gradients of the text's first window, from a zero state."""
    config = NetworkSettings(len(SYMBOLS), layer_sizes(case), "float64")
    model = Model(config, parameters.flatten({name: case[name] for name in parameters.shapes(config)}, config), backend)
    B, T = TRAINING.batch_size, TRAINING.seq_len
    length = (len(case["text"]) - 1) // B
    starts = np.arange(B) * length
    places = np.arange(T)[:, None] + starts
    ids, targets = case["text"][places], case["text"][places + 1]
    logits, _ = model.logits(ids)
    loss, grads, _ = model.loss_and_gradients(ids, targets)
    return {"logits": logits, "loss": np.array(loss), **{f"d{name}": d for name, d in grads.items()}}


def assert_close(found, expected, allowed):
    """Check every array with `allowed` as both the absolute and the relative tolerance."""
    assert found.keys() >= expected.keys()
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        np.testing.assert_allclose(found[name], values, rtol=allowed, atol=allowed, err_msg=name)


def assert_stack(found, expected):
    """Check outputs to 1e-12 and gradients to 1e-10."""
    outputs = {name for name in expected if name == "h" or name.endswith("_last")}
    assert_close(found, {name: expected[name] for name in outputs}, 1e-12)
    assert_close(found, {name: values for name, values in expected.items() if name not in outputs}, 1e-10)


def assert_first_step(found, expected):
    """Check logits and loss to 1e-12 and gradients to 1e-10."""
    assert_close(found, {name: expected[name] for name in ("logits", "loss")}, 1e-12)
    assert_close(found, {name: d for name, d in expected.items() if name.startswith("d")}, 1e-10)


def assert_training(found, expected):
    """Check losses and norms to 1e-9, parameters to 1e-7, and that some steps were clipped and others not."""
    assert expected["losses"].shape == (100,)
    assert expected["losses"][-1] < expected["losses"][0] - 0.2
    assert (expected["norms"] > TRAINING.clip).any()
    assert (expected["norms"] < TRAINING.clip).any()
    assert_close(found, {name: expected[name] for name in ("losses", "norms")}, 1e-9)
    assert_close(found, {name: values for name, values in expected.items() if name.startswith("after.")}, 1e-7)
