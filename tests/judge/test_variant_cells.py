"""PyTorch judges the variants: its own `proj_size`, and cells built from its layer norm, embedding and autograd."""

from __future__ import annotations

import numpy as np
import pytest

from numlstm.backends.reference import lstm
from numlstm.backends.spec.dropout import Dropout
from numlstm.backends.spec.variant import Variant
from numlstm.model import Model
from numlstm.network import parameters
from numlstm.settings.network import NetworkSettings

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'numlstm[judge]'")
pytestmark = pytest.mark.judge

T, B, V = 6, 3, 13


def tensor(values):
    return torch.tensor(np.asarray(values), dtype=torch.float64, requires_grad=True)


def test_projection_is_that_of_torch_s_lstm(backend):
    D, H, R = 4, 9, 5
    rng = np.random.default_rng(0)
    shapes = {"W_x": (D, 4 * H), "W_h": (R, 4 * H), "b": (4 * H,), "W_p": (H, R), "h0": (B, R), "c0": (B, H)}
    arrays = {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items()}
    x, dh = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, R))
    lstm = torch.nn.LSTM(D, H, proj_size=R, dtype=torch.float64)
    with torch.no_grad():
        for name, values in (("ih", arrays["W_x"]), ("hh", arrays["W_h"]), ("hr", arrays["W_p"])):
            getattr(lstm, f"weight_{name}_l0").copy_(torch.tensor(values.T))
        lstm.bias_ih_l0.copy_(torch.tensor(arrays["b"]))
        lstm.bias_hh_l0.zero_()
    given, h0, c0 = (tensor(values) for values in (x, arrays["h0"], arrays["c0"]))
    expected, _ = lstm(given, (h0[None], c0[None]))
    (expected * torch.tensor(dh)).sum().backward()

    on = {name: backend.asarray(values) for name, values in arrays.items()}
    packed = backend.pack_lstm(on["W_x"], on["W_h"], on["b"], tokens=False, variant=Variant(W_p=on["W_p"]))
    h, _, tape = backend.lstm_forward(backend.asarray(x), packed, on["h0"], on["c0"])
    np.testing.assert_allclose(backend.to_numpy(h), expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    into = {name: backend.zeros(shapes[name], "float64") for name in ("W_x", "W_h", "b", "W_p")}
    dx, dh0, dc0 = backend.lstm_backward(
        backend.asarray(dh), packed, tape, into["W_x"], into["W_h"], into["b"], Variant(W_p=into["W_p"])
    )
    found = {"W_x": into["W_x"].T, "W_h": into["W_h"].T, "b": into["b"], "W_p": into["W_p"].T, "x": dx}
    judged = {"W_x": lstm.weight_ih_l0, "W_h": lstm.weight_hh_l0, "b": lstm.bias_ih_l0, "W_p": lstm.weight_hr_l0}
    judged |= {"x": given, "h0": h0, "c0": c0}
    for name, values in {**found, "h0": dh0, "c0": dc0}.items():
        grad = judged[name].grad.numpy()
        np.testing.assert_allclose(backend.to_numpy(values), grad, rtol=1e-10, atol=1e-12, err_msg=name)


def torch_network(config, p, ids, masks):
    """Return a network's logits (T, B, V) from a zero state, by PyTorch's functions; `masks` holds masks by name."""
    F = torch.nn.functional
    gate = (lambda z: torch.clamp(0.2 * z + 0.5, 0, 1)) if config.gate_activation == "hard-sigmoid" else torch.sigmoid
    x = torch.tensor(ids)
    below = F.embedding(x, p["embedding.W"]) if config.embedding else F.one_hot(x, V).double()
    below = below * masks.get("embedding", 1.0)
    for n, (H, R) in enumerate(zip(config.layers, config.state_sizes, strict=True)):
        w = {name.rpartition(".")[2]: values for name, values in p.items() if name.startswith(f"lstm.{n}.")}
        h, c, outputs = torch.zeros(B, R, dtype=torch.float64), torch.zeros(B, H, dtype=torch.float64), []
        for x in below:
            z = x @ w["W_x"] + (h * masks.get(f"within {n}", 1.0)) @ w["W_h"]
            if config.layer_norm:
                z = F.layer_norm(z.reshape(B, 4, H), (H,)).reshape(B, -1) * w["gain"]
            i, f, g, o = (z + w["b"]).chunk(4, dim=1)
            c = gate(f) * c + gate(i) * torch.tanh(g)
            shown = F.layer_norm(c, (H,), w["c_gain"], w["c_bias"]) if config.layer_norm else c
            h = gate(o) * torch.tanh(shown)
            h = h @ w["W_p"] if config.projection else h
            outputs.append(h)
        below = torch.stack(outputs) * masks.get(f"between {n}", 1.0)
    return below @ (p["embedding.W"].T if config.tie_weights else p["output.W"]) + p["output.b"]


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({"layer_norm": True}, (0, 0)),
        ({"gate_activation": "hard-sigmoid"}, (0, 0)),
        ({"embedding": 5}, (0.3, 0)),
        ({}, (0, 0.4)),
        ({"embedding": 7, "tie_weights": True}, (0, 0)),
        (
            {
                "embedding": 6,
                "projection": 6,
                "tie_weights": True,
                "layer_norm": True,
                "gate_activation": "hard-sigmoid",
            },
            (0.3, 0.2),
        ),
    ],
    ids=str,
)
def test_a_network(backend, options, rates):
    config = NetworkSettings(V, (9, 7), "float64", **options)
    rng = np.random.default_rng(1)
    start = {name: rng.uniform(-1, 1, shape) for name, shape in parameters.shapes(config).items()}
    ids, targets = rng.integers(0, V, (2, T, B))
    dropout = Dropout(*rates, seed=2, step=3)
    masks = {}
    if config.embedding and dropout.between(-1):
        masks["embedding"] = torch.tensor(dropout.between(-1).factors((T, B, config.embedding), "float64"))
    for n, R in enumerate(config.state_sizes):
        for kind, mask, shape in (
            ("between", dropout.between(n), (T, B, R)),
            ("within", dropout.within(n), (B, R)),
        ):
            if mask:
                masks[f"{kind} {n}"] = torch.tensor(mask.factors(shape, "float64"))
    p = {name: tensor(values) for name, values in start.items()}
    logits = torch_network(config, p, ids, masks)
    expected = torch.nn.functional.cross_entropy(logits.reshape(-1, V), torch.tensor(targets.reshape(-1)))
    expected.backward()

    model = Model(config, parameters.flatten(start, config), backend)
    loss, grads, _ = model.loss_and_gradients(ids, targets, dropout=dropout)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for name, values in grads.items():
        np.testing.assert_allclose(values, p[name].grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


def test_epsilon_is_torch_s():
    a = torch.full((1, 2), 1e-3, dtype=torch.float64)
    a[0, 0] = -1e-3
    expected = torch.nn.functional.layer_norm(a, (2,)).numpy()
    np.testing.assert_allclose(lstm.normalise(a.numpy())[0], expected, rtol=1e-12)
