"""The same networks built from `torch.nn.LSTM`, and PyTorch's results for the same cases.

Batching, clipping and updates are written independently: nothing here uses numlstm.
"""

from __future__ import annotations

import numpy as np
import torch


def _tensor(values, *, leaf=False):
    return torch.tensor(np.asarray(values), dtype=torch.float64, requires_grad=leaf)


def _lstm(W_x, W_h, b):
    """Return one layer with numlstm's weights; its two biases add up to b."""
    lstm = torch.nn.LSTM(W_x.shape[0], W_h.shape[0], dtype=torch.float64)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(_tensor(W_x.T))
        lstm.weight_hh_l0.copy_(_tensor(W_h.T))
        lstm.bias_ih_l0.copy_(_tensor(b))
        lstm.bias_hh_l0.zero_()
    lstm.bias_hh_l0.requires_grad_(False)  # numlstm has one bias, not two
    return lstm


def _lstm_arrays(lstm, part):
    """Return `part` (the weights or their gradients) of a layer, in numlstm's shapes."""
    W_x, W_h, b = (part(getattr(lstm, name)) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"))
    return {"W_x": W_x.T, "W_h": W_h.T, "b": b}


def _value(tensor):
    return tensor.detach().numpy().copy()


def _gradient(tensor):
    return tensor.grad.numpy().copy()


def run_stack(case):
    """Return the outputs and all gradients of a stack, with the names of `cases.run_stack`."""
    x = first = _tensor(case["x"], leaf=True)
    layers, states, found = [], [], {}
    for n in range(sum(name.endswith(".W_h") for name in case)):
        lstm = _lstm(case[f"{n}.W_x"], case[f"{n}.W_h"], case[f"{n}.b"])
        h0, c0 = (_tensor(case[f"{n}.{name}"], leaf=True) for name in ("h0", "c0"))
        x, (h, c) = lstm(x, (h0[None], c0[None]))
        found[f"{n}.h_last"], found[f"{n}.c_last"] = _value(h[0]), _value(c[0])
        layers.append(lstm)
        states.append((h0, c0))
    found["h"] = _value(x)
    (x * _tensor(case["dh"])).sum().backward()
    found["dx"] = _gradient(first)
    for n, (lstm, (h0, c0)) in enumerate(zip(layers, states, strict=True)):
        found |= {f"{n}.d{name}": values for name, values in _lstm_arrays(lstm, _gradient).items()}
        found[f"{n}.dh0"], found[f"{n}.dc0"] = _gradient(h0), _gradient(c0)
    return found


class Network(torch.nn.Module):
    """Stacked layers on one-hot tokens, with a linear output."""

    def __init__(self, case):
        super().__init__()
        depth = sum(name.endswith(".W_h") for name in case)
        weights = [[case[f"lstm.{n}.{name}"] for name in ("W_x", "W_h", "b")] for n in range(depth)]
        self.layers = torch.nn.ModuleList(_lstm(*arrays) for arrays in weights)
        H, self.vocab_size = case["output.W"].shape
        self.output = torch.nn.Linear(H, self.vocab_size, dtype=torch.float64)
        with torch.no_grad():
            self.output.weight.copy_(_tensor(case["output.W"].T))
            self.output.bias.copy_(_tensor(case["output.b"]))

    def forward(self, ids, state):
        x, after = torch.nn.functional.one_hot(ids, self.vocab_size).double(), []
        for n, layer in enumerate(self.layers):
            x, last = layer(x, None if state is None else state[n])
            after.append(last)
        return self.output(x), after

    def arrays(self, part):
        found = {}
        for n, layer in enumerate(self.layers):
            found |= {f"lstm.{n}.{name}": values for name, values in _lstm_arrays(layer, part).items()}
        return {**found, "output.W": part(self.output.weight).T, "output.b": part(self.output.bias)}


def _streams(text, batch_size):
    """Return inputs and targets (length, B): contiguous streams side by side."""
    length = (len(text) - 1) // batch_size
    text = torch.tensor(np.asarray(text, np.int64))
    cut = length * batch_size
    return text[:cut].reshape(batch_size, length).T, text[1 : cut + 1].reshape(batch_size, length).T


def _loss(logits, targets):
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def run_first_step(case, *, batch_size, seq_len):
    """Return the logits, loss and gradients of the first window, with the names of `cases.run_first_step`."""
    network = Network(case)
    ids, targets = (stream[:seq_len] for stream in _streams(case["text"], batch_size))
    logits, _ = network(ids, None)
    loss = _loss(logits, targets)
    loss.backward()
    gradients = {f"d{name}": values for name, values in network.arrays(_gradient).items()}
    return {"logits": _value(logits), "loss": _value(loss), **gradients}


def run_training(case, *, steps, batch_size, seq_len, lr, betas, eps, clip):
    """Return the losses, gradient norms and final parameters, with the names of `cases.run_training`."""
    network, losses, norms = Network(case), [], []
    trained = [p for p in network.parameters() if p.requires_grad]
    adam = torch.optim.Adam(trained, lr=lr, betas=betas, eps=eps)
    inputs, targets = _streams(case["text"], batch_size)
    while True:
        state = None  # zeros at the start of each epoch
        for first in range(0, len(inputs), seq_len):
            if len(losses) == steps:
                after = {f"after.{name}": values for name, values in network.arrays(_value).items()}
                return {"losses": np.array(losses), "norms": np.array(norms), **after}
            logits, state = network(inputs[first : first + seq_len], state)
            state = [(h.detach(), c.detach()) for h, c in state]
            loss = _loss(logits, targets[first : first + seq_len])
            adam.zero_grad()
            loss.backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(trained, clip)))
            losses.append(float(loss.detach()))
            adam.step()
