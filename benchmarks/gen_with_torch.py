"""Generate text with a typical PyTorch script: `python gen_with_torch.py WEIGHTS LENGTH TEMPERATURE`."""

import sys

import torch

path, length, temperature = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
file = torch.load(path)
symbols, weights = file["symbols"], file["weights"]
hidden_size = weights["lstm.weight_hh_l0"].shape[1]
layers = sum(name.startswith("lstm.weight_hh") for name in weights)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(len(symbols), hidden_size, layers)
        self.output = torch.nn.Linear(hidden_size, len(symbols))


net = Net()
net.load_state_dict(weights)
one_hot = torch.eye(len(symbols))
last, state, drawn = 0, None, []
with torch.inference_mode():
    for _ in range(length):
        h, state = net.lstm(one_hot[last][None, None], state)
        logits = net.output(h[0, 0])
        if temperature:
            last = torch.multinomial(torch.softmax(logits / temperature, 0), 1).item()
        else:
            last = logits.argmax().item()
        drawn.append(symbols[last])
sys.stdout.write("".join(drawn))
