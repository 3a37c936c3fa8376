"""Generate text with a typical NumPy script: `python gen_with_numpy.py WEIGHTS LENGTH TEMPERATURE`."""

import sys

import numpy as np

path, length, temperature = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with np.load(path) as file:
    weights = dict(file)
symbols = str(weights["symbols"])
layers = [[weights[f"lstm.{n}.{part}"] for part in ("W_x", "W_h", "b")] for n in range((len(weights) - 3) // 3)]
W, b = weights["output.W"], weights["output.b"]
hidden, cells = ([np.zeros(len(W_h), np.float32) for _, W_h, _ in layers] for _ in range(2))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


rng = np.random.default_rng()
last, drawn = 0, []
for _ in range(length):
    x = None
    for n, (W_x, W_h, bias) in enumerate(layers):
        projected = W_x[last] if n == 0 else x @ W_x
        i, f, g, o = np.split(projected + hidden[n] @ W_h + bias, 4)
        cells[n] = sigmoid(f) * cells[n] + sigmoid(i) * np.tanh(g)
        x = hidden[n] = sigmoid(o) * np.tanh(cells[n])
    logits = x @ W + b
    if temperature:
        sums = np.exp((logits - logits.max()) / temperature).cumsum()
        last = int(np.searchsorted(sums, rng.random() * sums[-1]))
    else:
        last = int(logits.argmax())
    drawn.append(symbols[last])
sys.stdout.write("".join(drawn))
