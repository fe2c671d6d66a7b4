# The workloads in PyTorch on the CPU: pytorch.py WORKLOAD prints JSON lines as bench/ours.mjs does; the last one is complete.
# pytorch.py --export FOLDER writes the networks as ONNX files, for batches of 1 and 64. Weights and batches are those of
# bench/lib/data.mjs. MNIST_DIR: folder of the MNIST files; TORCH_THREADS: 2 if not given.
import json
import os
import resource
import statistics
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

START = float(os.environ.get("BENCH_T0", time.time() * 1e3))
BUDGET = {k: float(os.environ.get(f"BENCH_{k}_MS", d)) for k, d in (("TRAIN", 4000), ("INFER", 1500), ("OP", 2000))}
torch.set_num_threads(int(os.environ.get("TORCH_THREADS", 2)))
IMAGES = 6400


def now():
    return time.perf_counter() * 1e3


# ---------------------------------------------------------------- weights


def mulberry32(seed, n):
    """Elements 0 to n - 1 of the stream, in [0, 1)."""
    with np.errstate(over="ignore"):
        a = np.uint32(seed & 0xFFFFFFFF) + (np.arange(1, n + 1, dtype=np.uint32) * np.uint32(0x6D2B79F5))
        t = (a ^ (a >> np.uint32(15))) * (a | np.uint32(1))
        t = (t + (t ^ (t >> np.uint32(7))) * (t | np.uint32(61))) ^ t
        return (t ^ (t >> np.uint32(14))).astype(np.float64) / 2**32


def uniform(seed, shape, bound=1.0):
    values = (mulberry32(seed, int(np.prod(shape))) * 2 - 1) * bound
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


class Weights:
    """Hands out initial weights in the order of bench/lib/data.mjs: the n-th tensor has the n-th stream."""

    def __init__(self):
        self.taken = 0

    def take(self, shape, bound):
        seed = 1000 + 7919 * self.taken
        self.taken += 1
        return uniform(seed, shape, bound) if bound else torch.zeros(shape)

    def dense(self, n, units):
        layer = nn.Linear(n, units)
        layer.weight = nn.Parameter(self.take((n, units), n**-0.5).t().contiguous())
        layer.bias = nn.Parameter(self.take((units,), 0))
        return layer

    def conv(self, channels, filters, kernel):
        layer = nn.Conv2d(channels, filters, kernel)
        fan_in = channels * kernel**2
        layer.weight = nn.Parameter(self.take((filters, channels, kernel, kernel), fan_in**-0.5))
        layer.bias = nn.Parameter(self.take((filters,), 0))
        return layer

    def norm(self, width):
        self.taken += 2
        return nn.LayerNorm(width)


# ---------------------------------------------------------------- models


class Lstm(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.rows = nn.LSTM(28, 128, batch_first=True)
        self.rows.weight_ih_l0.data = w.take((28, 512), 128**-0.5).t().contiguous()
        self.rows.weight_hh_l0.data = w.take((128, 512), 128**-0.5).t().contiguous()
        w.take((512,), 0)
        self.rows.bias_ih_l0.data.zero_()
        self.rows.bias_hh_l0.data.zero_()
        self.out = w.dense(128, 10)

    def forward(self, x):
        return self.out(self.rows(x)[0][:, -1])


class Block(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.ln1, self.qkv, self.proj = w.norm(128), w.dense(128, 384), w.dense(128, 128)
        self.ln2, self.fc, self.out = w.norm(128), w.dense(128, 512), w.dense(512, 128)

    def forward(self, x, mask):
        batch, time, width = x.shape
        parts = self.qkv(self.ln1(x)).split(width, -1)
        q, k, v = (p.view(batch, time, 4, 32).transpose(1, 2) for p in parts)
        seen = torch.softmax(q @ k.transpose(-2, -1) * 32**-0.5 + mask, -1)
        x = x + self.proj((seen @ v).transpose(1, 2).reshape(batch, time, width))
        return x + self.out(F.gelu(self.fc(self.ln2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.tok = nn.Embedding(65, 128)
        self.tok.weight = nn.Parameter(w.take((65, 128), 0.05))
        self.pos = nn.Parameter(w.take((64, 128), 0.05))
        self.blocks = nn.ModuleList(Block(w) for _ in range(4))
        self.lnf, self.head = w.norm(128), w.dense(128, 65)
        self.register_buffer("mask", torch.full((64, 64), -1e9).triu(1))

    def forward(self, x):
        h = self.tok(x) + self.pos
        for block in self.blocks:
            h = block(h, self.mask)
        return self.head(self.lnf(h)).flatten(0, 1)


def model(workload):
    w = Weights()
    pool, relu = nn.MaxPool2d(2), nn.ReLU()
    if workload == "mlp":
        return nn.Sequential(nn.Flatten(), w.dense(784, 500), relu, w.dense(500, 10))
    if workload == "lenet":
        convs = [w.conv(1, 6, 5), relu, pool, w.conv(6, 16, 5), relu, pool, nn.Flatten()]
        return nn.Sequential(*convs, w.dense(256, 120), relu, w.dense(120, 84), relu, w.dense(84, 10))
    if workload == "cnn":
        convs = [w.conv(1, 32, 3), relu, w.conv(32, 64, 3), relu, pool, nn.Dropout(0.25), nn.Flatten()]
        return nn.Sequential(*convs, w.dense(9216, 128), relu, nn.Dropout(0.5), w.dense(128, 10))
    return {"lstm": Lstm, "gpt": Gpt}[workload](w)


def optimizer(workload, parameters):
    if workload == "lenet":
        return torch.optim.SGD(parameters, 1e-3, 0.9)
    if workload == "gpt":
        return torch.optim.AdamW(parameters, 1e-3, weight_decay=0.01)
    return torch.optim.Adam(parameters, 1e-3)


def image_shape(workload):
    return (28, 28) if workload in ("mlp", "lstm") else (1, 28, 28)


# ---------------------------------------------------------------- data


def batches(workload):
    """A function from the number of a batch and its size to inputs and labels."""
    if workload == "gpt":
        draws, chars = mulberry32(77, 40_000), mulberry32(78, 40_000)
        text, previous = [], 0
        for i in range(40_000):
            previous = int(chars[i] * 65) if draws[i] < 0.15 else (previous * 7 + 3) % 65
            text.append(previous)
        text = torch.tensor(text)

        def batch(i, size):
            at = [((i * size + j) * 67) % (40_000 - 65) for j in range(size)]
            inputs = torch.stack([text[k : k + 64] for k in at])
            return inputs, torch.stack([text[k + 1 : k + 65] for k in at]).flatten()

        return batch
    folder = os.environ["MNIST_DIR"]
    pixels = np.fromfile(f"{folder}/train-images-idx3-ubyte", np.uint8, IMAGES * 784, offset=16)
    images = torch.from_numpy(pixels.astype(np.float32) / 255).view(IMAGES, *image_shape(workload))
    labels = np.fromfile(f"{folder}/train-labels-idx1-ubyte", np.uint8, IMAGES, offset=8)
    labels = torch.from_numpy(labels.astype(np.int64))

    def batch(i, size):
        k = i % (IMAGES // size) * size
        return images[k : k + size], labels[k : k + size]

    return batch


# ---------------------------------------------------------------- operators


def operator(workload):
    """Operands and a function of them."""
    rows = (4096, 1024)
    if workload == "matmul":
        return [uniform(5, (1024, 1024)), uniform(6, (1024, 1024))], lambda a, b: a @ b
    if workload == "softmax":
        return [uniform(7, rows)], lambda x: torch.softmax(x, -1)
    if workload == "layernorm":
        g, b = uniform(8, (1024,)), uniform(9, (1024,))
        return [uniform(7, rows), g, b], lambda x, g, b: F.layer_norm(x, [1024], g, b)
    if workload == "elementwise":
        # Into a tensor that is there already, as ours: a fresh one would cost its page faults.
        out = torch.empty(rows)
        return [uniform(7, rows), uniform(8, rows)], lambda a, b: torch.add(a, b, out=out)
    return None


# ---------------------------------------------------------------- measuring

RESULT = {}


def report(**more):
    RESULT.update(more, rssMb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    print(json.dumps(RESULT), flush=True)


def time_steps(step, wait, budget):
    start, done = now(), 0
    while done < 3 or (now() - start < budget / 4 and done < 50):
        began = now()
        step()
        wait()
        each, done = now() - began, done + 1
        if each > 5000:
            break
    size = max(1, min(50, int(budget / 6 / each)))
    blocks, start = [], now()
    while not blocks or (now() - start < budget and len(blocks) < 60):
        began = now()
        for _ in range(size):
            step()
        wait()
        blocks.append((now() - began) / size)
    low, high = min(blocks), max(blocks)
    return {"ms": statistics.median(blocks), "min": low, "max": high, "blocks": len(blocks), "stepsPerBlock": size}


def time_calls(call, budget):
    times, start = [], now()
    while len(times) <= 5000:
        began = now()
        call(len(times))
        times.append(now() - began)
        if now() - start > budget and (len(times) > 4 or times[-1] > 3000):
            break
    return statistics.median(times[max(2, len(times) // 5) :] if len(times) > 4 else times[-1:])


def measure_operator(operands, function):
    box = {}

    def op():
        box["y"] = function(*operands)

    with torch.inference_mode():
        stat = time_steps(op, lambda: None, BUDGET["OP"])
    report(opMs=stat["ms"], opStat=stat, check=float(box["y"].flatten()[0]))


def measure_network(workload):
    began = now()
    batch = batches(workload)
    reading = now() - began
    net = model(workload)
    opt = optimizer(workload, net.parameters())
    size = 16 if workload == "gpt" else 64
    state = {"step": 0}

    net.eval()
    with torch.inference_mode():
        check = float(net(batch(0, 1)[0]).abs().mean())
    net.train()

    def step():
        x, y = batch(state["step"], size)
        state["step"] += 1
        opt.zero_grad(set_to_none=True)
        state["loss"] = F.cross_entropy(net(x), y)
        state["loss"].backward()
        opt.step()

    step()
    loss = state["loss"].item()
    report(check=check, loss0=loss, firstStepMs=round(time.time() * 1e3 - START - reading))
    stat = time_steps(step, lambda: state["loss"].item(), BUDGET["TRAIN"])
    report(trainMs=stat["ms"], trainStat=stat)
    net.eval()
    with torch.inference_mode():
        for b in (1, 64):
            inputs = [batch(i, b)[0] for i in range(8)]
            report(**{f"inferMs{b}": time_calls(lambda i: net(inputs[i % 8]).numpy(), BUDGET["INFER"])})


def export(folder):
    os.makedirs(folder, exist_ok=True)
    for workload in ("mlp", "lenet", "cnn", "lstm", "gpt"):
        net = model(workload).eval()
        for b in (1, 64):
            x = torch.zeros(b, 64, dtype=torch.long) if workload == "gpt" else torch.zeros(b, *image_shape(workload))
            path = os.path.join(folder, f"{workload}.b{b}.onnx")
            names = {"input_names": ["x"], "output_names": ["y"]}
            torch.onnx.export(net, x, path, opset_version=17 if workload == "gpt" else 13, **names)


if sys.argv[1] == "--export":
    export(sys.argv[2])
else:
    RESULT["workload"] = sys.argv[1]
    found = operator(sys.argv[1])
    if found:
        measure_operator(*found)
    else:
        measure_network(sys.argv[1])
