# motion.py: judges of clips: which motion, and how much flickers that should stand still.
#   python tools/judge/motion.py train --out DIR                   on DIR/judge-corpus, goes on from DIR/judge/last.pt
#   python tools/judge/motion.py test --out DIR                    on DIR/corpus-test: another seed, all combinations
#   python tools/judge/motion.py prompts --count 60 --to p.jsonl   half of them combinations that training never saw
#   python tools/judge/motion.py render --prompts p.jsonl --clips FOLDER     through the C core; --pack, --steps, --sumi
#   python tools/judge/motion.py sheet --prompts p.jsonl --clips FOLDER --to sheet.webp     the first clip of each motion, five in a row
#   python tools/judge/motion.py score --out DIR --prompts p.jsonl --clips FOLDER [--json result.json]
# The judge sees how each frame differs from the clip's mean and
# nothing else: it cannot read "snow" from flakes that hang in the air. Its class "still" has clips that do not move, or only flicker
# at random. Flicker is the mean absolute difference of successive frames, in levels of 255, over squares of 8 x 8 pixels that
# should stand still: those that never change in 95 % of the corpus clips of the same motion and subject. A prompt's clip without
# such squares (camera, light, neon, and layouts that vary too much) is measured on the quietest tenth of its own squares.
import argparse
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train"))
import common                                         # before torch: it settles how threads wait
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from corpus import attributes as A
from corpus import motion as M

CLASSES = M.MOTIONS + ["still"]
PROMPT_SEED = 9101                                    # no corpus uses it
SIDE = 64
MIRROR = torch.tensor([CLASSES.index(M.MIRRORED.get(m, m)) for m in CLASSES])


class Judge(nn.Module):
    """Frames as channels, beside their differences: a clip is a stack of grey pictures."""

    def __init__(self, width=48):
        super().__init__()
        layers, last = [], 2 * M.FRAMES
        for k, c in enumerate((width, 2 * width, 2 * width)):
            layers += [nn.Conv2d(last, c, 3 if k else 5, stride=1 if k else 2, padding=1 if k else 2, bias=False), nn.BatchNorm2d(c),
                       nn.ReLU(), nn.MaxPool2d(2)]
            last = c
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(3 * last, len(CLASSES)))

    def forward(self, x):
        h = self.body(x)
        return self.head(torch.cat([h.mean((2, 3)), h.amax((2, 3)), h.std((2, 3))], 1))


def grey(clips):
    """N x frames x H x W x 3 bytes as N x frames x SIDE x SIDE."""
    y = torch.from_numpy(np.array(clips)).float().div_(255) @ torch.tensor([0.3, 0.59, 0.11])
    return F.interpolate(y, size=(SIDE, SIDE), mode="area")


def seen_by_judge(y):
    """Differences from the mean of each pixel, and from frame to frame, in a range that nets like."""
    steps = F.pad(y[:, 1:] - y[:, :-1], (0, 0, 0, 0, 1, 0))
    return 6 * torch.cat([y - y.mean(1, keepdim=True), steps], 1)


def unmoved(y, g):
    """Clips that do not move: one frame all the time, some with flicker of random strength, fine or in patches."""
    n, f = y.shape[:2]
    cells = (4, 8, 16, 64)[int(torch.randint(4, (1,), generator=g))]
    noise = torch.randn((n, f, cells, cells), generator=g) * torch.rand((n, 1, 1, 1), generator=g) ** 2 * 0.06
    which = torch.randint(f, (1,), generator=g)
    return y[:, which].expand(-1, f, -1, -1) + F.interpolate(noise, size=y.shape[2:], mode="bilinear")


def batch_of(y, labels, seen, size):
    g = torch.Generator().manual_seed(seen)
    which = torch.randint(len(y), (size,), generator=g)
    x, t = y[which], labels[which]
    still = max(2, size // len(CLASSES))
    x, t = torch.cat([x[still:], unmoved(x[:still], g)]), torch.cat([t[still:], torch.full((still,), len(CLASSES) - 1)])
    if torch.rand(1, generator=g) < 0.5:
        x, t = x.flip(3), MIRROR[t]
    x = x * (0.7 + 0.5 * torch.rand((size, 1, 1, 1), generator=g))
    x = x + torch.randn(x.shape, generator=g) * 0.01 * torch.rand((size, 1, 1, 1), generator=g)
    return seen_by_judge(x), t


def load_corpus(folder, limit=None):
    clips = np.load(os.path.join(folder, "pictures.npy"), mmap_mode="r")
    n = min(limit or len(clips), len(clips))
    return clips[:n], np.load(os.path.join(folder, "codes.npy"))[:n]


def still_maps(clips, codes):
    """For each motion and subject that has at least five clips: squares that stand still in 95 % of them."""
    out, found = {}, {}
    for frames, code in zip(clips, codes):
        found.setdefault((M.MOTIONS[code[-1]], A.SUBJECTS[code[0]]), []).append(M.still_cells(frames))
    for key, cells in found.items():
        if key[0] in M.LOCAL and len(cells) >= 5:
            out[key] = np.mean(cells, 0) >= 0.95
    return out


def train(out, samples, count, lr=2e-3, batch=44, limit=None):
    """count: clips of the judges' own corpus, all combinations; limit: use only the first so many of them."""
    corpus, path = os.path.join(out, "judge-corpus"), os.path.join(out, "judge", "last.pt")
    M.build(corpus, count, 3, "all")
    clips, codes = load_corpus(corpus, limit)
    y = torch.cat([grey(clips[i:i + 50]) for i in range(0, len(clips), 50)])
    labels = torch.from_numpy(codes[:, -1].astype(np.int64))
    net, seen, state = Judge(), 0, common.load(path)
    opt = torch.optim.AdamW(net.parameters(), lr, weight_decay=0.02)
    if state:
        net.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        seen = state["seen"]
    maps = still_maps(clips, codes)
    log = common.Log(os.path.join(out, "judge", "log.jsonl"), "motion judge")

    def keep():
        common.save(path, {"model": net.state_dict(), "opt": opt.state_dict(), "seen": seen, "still": maps})
    net.train()
    while seen < samples:
        x, t = batch_of(y, labels, seen, batch)
        loss = F.cross_entropy(net(x), t, label_smoothing=0.02)
        opt.param_groups[0]["lr"] = lr * common.schedule(seen / samples, seen, 1500, tail=0.6)
        opt.zero_grad()
        loss.backward()
        opt.step()
        seen += batch
        log.add(batch, loss=loss.item())
        if seen % (batch * 25) == 0:
            log.flush(seen)
            keep()
    keep()


def restore(out):
    net, state = Judge(), common.load(os.path.join(out, "judge", "last.pt"))
    if not state:
        raise SystemExit(f"{out} has no judge/last.pt: train first")
    net.load_state_dict(state["model"])
    return net.eval(), state["still"]


@torch.no_grad()
def motions(net, clips):
    """Names of the motions that the judge sees."""
    return [CLASSES[k] for i in range(0, len(clips), 20) for k in net(seen_by_judge(grey(clips[i:i + 20]))).argmax(1).tolist()]


def flicker(frames, still=None):
    """Levels of 255 by which what stands still changes from frame to frame. still: which squares do; None: the quietest tenth."""
    d = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean((0, 3))
    n = 16
    cells = d.reshape(n, d.shape[0] // n, n, d.shape[1] // n).mean((1, 3))
    if still is not None and still.sum() >= 8:
        return float(cells[still].mean())
    return float(np.sort(cells.ravel())[:cells.size // 10].mean())


def test(out):
    clips, codes = load_corpus(os.path.join(out, "corpus-test"))
    net, maps = restore(out)
    said, table = motions(net, clips), {}
    for i, name in enumerate(M.MOTIONS):
        on = [s for s, c in zip(said, codes[:, -1]) if c == i]
        wrong = {s: on.count(s) for s in sorted(set(on)) if s != name}
        table[name] = {"accuracy": round(100 * on.count(name) / max(1, len(on)), 1), "of": len(on), "wrong": wrong}
    right = np.mean([M.MOTIONS[c] == s for s, c in zip(said, codes[:, -1])])
    frozen = motions(net, np.repeat(clips[:, :1], M.FRAMES, 1))
    still = [flicker(f, maps.get((M.MOTIONS[c[-1]], A.SUBJECTS[c[0]]))) for f, c in zip(clips, codes) if M.MOTIONS[c[-1]] in M.LOCAL]
    table["all"] = {"accuracy": round(100 * float(right), 2), "frozen clips called still": round(100 * frozen.count("still") / len(frozen), 1),
                    "flicker of corpus clips": round(float(np.mean(still)), 3)}
    print(json.dumps(table, indent=1))


def prompts(count, path):
    with open(path, "w", encoding="utf-8") as f:
        for i in range(count):
            kind, lang = "held" if i % 2 else "seen", "en" if (i // 2) % 2 else "ru"
            attrs = M.attributes(PROMPT_SEED, i // 4, "held" if kind == "held" else "train")
            text, _ = M.caption(attrs, A.rng_for(PROMPT_SEED, i, 3), lang, keep=1.0, say=1.0)
            f.write(json.dumps({"file": f"{i:04d}.webp", "prompt": text, "lang": lang, "kind": kind, "motion": M.motion_of(attrs),
                                "subject": attrs["subject"], "seed": 1000 + i // 4}, ensure_ascii=False) + "\n")


def render(rows, folder, sumi, pack, steps):
    os.makedirs(folder, exist_ok=True)
    for r in rows:
        path = os.path.join(folder, r["file"])
        if not os.path.exists(path):
            subprocess.run([sumi, "render", "--modality", "video", "--pack", pack, r["prompt"], "-o", path, "--frames", str(M.FRAMES),
                            "--steps", str(steps), "--seed", str(r["seed"])], check=True, stdout=subprocess.DEVNULL)


def read_clip(path):
    """The frames of an animated picture, FRAMES x 128 x 128 x 3; a shorter clip is an error, of a longer one the beginning counts."""
    from PIL import Image, ImageSequence
    with Image.open(path) as img:
        frames = [np.asarray(f.convert("RGB").resize((128, 128))) for f in ImageSequence.Iterator(img)]
    if len(frames) < M.FRAMES:
        raise SystemExit(f"{path}: {len(frames)} frames, the judge wants {M.FRAMES}")
    return np.stack(frames[:M.FRAMES])


def sheet(rows, folder, path, columns=5):
    first = {}
    for r in rows:
        first.setdefault(r["motion"], r)
    clips = [read_clip(os.path.join(folder, first[m]["file"])) for m in M.MOTIONS if m in first]
    lines = [np.concatenate(clips[i:i + columns], 2) for i in range(0, len(clips) - len(clips) % columns, columns)]
    common.save_clips(path, np.concatenate(lines, 1)[None] / 255.0)


def score(out, rows, folder):
    net, maps = restore(out)
    clips = np.stack([read_clip(os.path.join(folder, r["file"])) for r in rows])
    tally, levels = {}, {}
    for r, said, frames in zip(rows, motions(net, clips), clips):
        for key in ("all", r["kind"], r["lang"], r["motion"], f"said {said}"):
            t = tally.setdefault(key, [0, 0])
            t[0] += said == r["motion"]
            t[1] += 1
        known = maps.get((r["motion"], r["subject"]))
        how = "in still regions" if known is not None and known.sum() >= 8 else "in the quietest tenth"
        levels.setdefault(how, []).append(flicker(frames, known))
    return {"motion": {k: {"right": round(100 * a / b, 1), "of": b} for k, (a, b) in sorted(tally.items())},
            "flicker": {k: {"levels of 255": round(float(np.mean(v)), 2), "of": len(v)} for k, v in levels.items()}}


def main():
    p = argparse.ArgumentParser(description="judges of motion")
    p.add_argument("what", choices=["train", "test", "prompts", "render", "sheet", "score"])
    p.add_argument("--out", default="build/train/ink-motion")
    p.add_argument("--samples", type=int, default=40000)
    p.add_argument("--clips-in-corpus", type=int, default=3000, help="train: clips of the judge's own corpus")
    p.add_argument("--limit", type=int, help="train: use only the first so many of them")
    p.add_argument("--count", type=int, default=60, help="prompts")
    p.add_argument("--to")
    p.add_argument("--prompts")
    p.add_argument("--clips", help="folder of the clips that the prompts name")
    p.add_argument("--sumi", default="build/bin/sumi")
    p.add_argument("--pack", default="models/ink-motion")
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--json")
    a = p.parse_args()
    if a.what == "prompts":
        prompts(a.count, a.to or p.error("prompts wants --to"))
        return
    common.setup(a.threads)
    if a.what in ("train", "test"):
        train(a.out, a.samples, a.clips_in_corpus, limit=a.limit) if a.what == "train" else test(a.out)
        return
    with open(a.prompts, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    if a.what == "render":
        render(rows, a.clips, a.sumi, a.pack, a.steps)
        return
    if a.what == "sheet":
        sheet(rows, a.clips, a.to or p.error("sheet wants --to"))
        return
    text = json.dumps(score(a.out, rows, a.clips), indent=1)
    print(text)
    if a.json:
        with open(a.json, "w") as f:
            f.write(text + "\n")


if __name__ == "__main__":
    main()
