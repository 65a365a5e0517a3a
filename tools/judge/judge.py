# judge.py: small classifiers for the attributes of a corpus: subject, time, weather, style and palette of pictures; mood and
# instruments of music.
#   python tools/judge/judge.py train --kind KIND                  on OUT/corpus-judge, goes on from OUT/judge/last.pt
#   python tools/judge/judge.py test --kind KIND                   accuracy on OUT/corpus-test (another seed, all combinations)
import argparse
import json
import os
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train"))
import common
import domains


class Judge(nn.Module):
    """One network for one attribute or a few that are seen by the same features."""

    def __init__(self, classes, size, channels=3, width=24):
        super().__init__()
        layers, last = [], channels
        for k, c in enumerate((width, 2 * width, 4 * width, 4 * width)):
            layers += [nn.Conv2d(last, c, 3, padding=1, stride=1 if k else 2, bias=False), nn.BatchNorm2d(c), nn.ReLU(), nn.MaxPool2d(2)]
            last = c
        self.classes = {k: len(v) for k, v in classes.items()}
        self.body = nn.Sequential(*layers)
        flat = last * (size[0] // 32) * (size[1] // 32)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(flat, sum(self.classes.values())))

    def forward(self, x):
        return dict(zip(self.classes, self.head(self.body(x)).split(list(self.classes.values()), 1)))


class Judges(nn.Module):
    """Answers of all attributes, in the order of the domain's classes. Pictures are brought to the domain's size first, but for judges
    that look at crops of that size: one from anywhere in training, the mean of the four corners' answers later."""

    def __init__(self, domain):
        super().__init__()
        self.size, self.crops = domain.judge_size, domain.judge_crops
        self.each = nn.ModuleDict({k: Judge(v, self.size, domain.channels, domain.judge_widths.get(k, 24)) for k, v in domain.judges.items()})

    def places(self, x):
        (h, w), (down, right) = self.size, (x.shape[2] - self.size[0], x.shape[3] - self.size[1])
        at = [(int(torch.randint(down + 1, ())), int(torch.randint(right + 1, ())))] if self.training else [(y, z) for y in (0, down) for z in (0, right)]
        return [x[:, :, y:y + h, z:z + w] for y, z in at]

    def forward(self, x):
        small, out = F.interpolate(x, size=self.size, mode="area"), {}
        for name, j in self.each.items():
            if name not in self.crops:
                out.update(j(small))
                continue
            said = [j(part) for part in self.places(x)]
            out.update({k: sum(s[k] for s in said) / len(said) for k in said[0]})
        return out


def softened(x, rng):
    """Half of the pictures a little out of focus, up to what an autoencoder does to them: sharpness is no attribute."""
    if rng.random() < 0.5:
        return x
    k = torch.tensor([1.0, 2.0, 1.0], device=x.device).outer(torch.tensor([1.0, 2.0, 1.0], device=x.device)) / 16
    k = k.expand(x.shape[1], 1, 3, 3)
    for _ in range(int(rng.integers(1, 4))):
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), k, groups=x.shape[1])
    return x


def train(domain, out, samples, batch=64, lr=2e-3, threads=2, count=20000):
    dev = common.device()
    common.setup(threads)
    path = os.path.join(out, "judge", "last.pt")
    # Judges must know every combination, also those that the painter never sees: they have a corpus of their own.
    corpus = os.path.join(out, "corpus-judge")
    domain.build(corpus, count, 3, "all")
    pictures = np.load(os.path.join(corpus, "pictures.npy"), mmap_mode="r")
    codes = domain.judged(np.load(os.path.join(corpus, "codes.npy")))
    net, seen, state = Judges(domain).to(dev), 0, common.load(path)
    opt = torch.optim.AdamW(net.parameters(), lr, weight_decay=0.01)
    if state:
        net.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        seen = state["seen"]
    log = common.Log(os.path.join(out, "judge", "log.jsonl"), "judge")
    while seen < samples:
        rng = np.random.default_rng([23, seen])
        which = np.sort(rng.integers(len(pictures), size=batch))
        x = common.to_tensor(pictures[which], dev)
        if domain.mirror and rng.random() < 0.5:
            x = x.flip(3)
        if domain.roll:
            x = x.roll(int(rng.integers(x.shape[3] // 8)) * 8, 3)
        x = softened(x, rng)
        x = x + 0.05 * rng.random() * torch.randn_like(x)
        y = torch.from_numpy(codes[which].astype(np.int64)).to(dev)
        with common.amp(dev):
            answers = net(x)
        loss = sum(F.cross_entropy(answers[k].float(), torch.where(y[:, i] == 255, -100, y[:, i]), label_smoothing=0.02)
                   for i, k in enumerate(domain.A.CLASSES))
        opt.param_groups[0]["lr"] = lr * common.schedule(seen / samples, seen, 2000, tail=0.6)
        opt.zero_grad()
        loss.backward()
        opt.step()
        seen += batch
        log.add(batch, loss=loss.item())
        if seen % (batch * 50) == 0:
            log.flush(seen)
            common.save(path, {"model": net.state_dict(), "opt": opt.state_dict(), "seen": seen})
    common.save(path, {"model": net.state_dict(), "opt": opt.state_dict(), "seen": seen})


def restore(domain, out, dev):
    net = Judges(domain).to(dev)
    net.load_state_dict(common.load(os.path.join(out, "judge", "last.pt"))["model"])
    return net.eval()


@torch.no_grad()
def answers(net, pictures, dev):
    """Class numbers, one column for each attribute in the order of the domain's CLASSES. pictures: N x H x W x C uint8."""
    rows = [torch.stack([v.argmax(1) for v in net(common.to_tensor(pictures[i:i + 100], dev)).values()], 1).cpu().numpy()
            for i in range(0, len(pictures), 100)]
    return np.concatenate(rows)


def test(domain, out):
    dev = common.device()
    pictures = np.load(os.path.join(out, "corpus-test", "pictures.npy"), mmap_mode="r")
    codes = domain.judged(np.load(os.path.join(out, "corpus-test", "codes.npy")))
    said = answers(restore(domain, out, dev), pictures, dev)
    table = {}
    for i, (k, names) in enumerate(domain.A.CLASSES.items()):
        on = codes[:, i] != 255
        right = said[on, i] == codes[on, i]
        wrong = {}
        for a, b in zip(codes[on, i][~right], said[on, i][~right]):
            key = f"{names[a]} as {names[b]}"
            wrong[key] = wrong.get(key, 0) + 1
        table[k] = {"accuracy": round(100 * float(right.mean()), 2), "of": int(on.sum()),
                    "wrong": dict(sorted(wrong.items(), key=lambda p: -p[1])[:5])}
    print(json.dumps(table, indent=1))
    return table


def main():
    p = argparse.ArgumentParser(description="train or test the judges")
    p.add_argument("what", choices=["train", "test"])
    domains.add_arguments(p)
    p.add_argument("--samples", type=int, default=150000)
    p.add_argument("--count", type=int, default=20000, help="pictures of the judges' own corpus")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    domain = domains.from_arguments(a)
    common.setup(a.threads)
    if a.what == "train":
        train(domain, a.out, a.samples, threads=a.threads, count=a.count)
    else:
        test(domain, a.out)


if __name__ == "__main__":
    main()
