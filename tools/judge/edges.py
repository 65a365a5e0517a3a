# edges.py: how wide the edges of pictures are beside those of the corpus, by style; for line styles the bar is 1.3.
#   python tools/judge/edges.py --kind ink-256 --copies                       the autoencoder's copies of OUT/corpus-test
#   python tools/judge/edges.py --kind ink-256 --prompts p.jsonl --pictures DIR
# Across an edge of height a and width w the slopes sum up to a, their squares to a * a / w: the sum of slopes over the sum of their
# squares grows with the width, whatever the edge looks like.
import argparse
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "train"))
import domains

FAINT = 0.04                                          # slopes a pixel (of 1) that are no edge but shade or grain


def width(pictures, faint=FAINT):
    """Of the edges of N x H x W x 3 bytes, in units that only compare."""
    slopes = squares = 0.0
    for p in pictures:
        y = np.asarray(p, np.float32) @ np.array([0.3, 0.59, 0.11], np.float32) / 255
        g = np.hypot(np.diff(y, axis=1)[:-1], np.diff(y, axis=0)[:, :-1])
        g = g[g > faint]
        slopes, squares = slopes + float(g.sum()), squares + float((g * g).sum())
    return slopes / squares if squares else float("inf")


def copies(domain, out, pictures):
    """What the autoencoder makes of them."""
    import torch

    import autoencoder
    import common
    dev = common.device()
    model, _ = autoencoder.restore(out, 32, dev)
    with torch.no_grad():
        return np.concatenate([model.decoder(model.encoder(common.to_tensor(pictures[i:i + 20], dev))).add(1).mul(127.5).round().clamp(0, 255)
                               .byte().permute(0, 2, 3, 1).cpu().numpy() for i in range(0, len(pictures), 20)])


def main():
    p = argparse.ArgumentParser(description="edge widths beside the corpus's")
    domains.add_arguments(p)
    p.add_argument("--copies", action="store_true")
    p.add_argument("--prompts")
    p.add_argument("--pictures")
    p.add_argument("--count", type=int, default=400, help="pictures of the corpus")
    a = p.parse_args()
    domain = domains.from_arguments(a)
    real = np.load(os.path.join(a.out, "corpus-test", "pictures.npy"), mmap_mode="r")[:a.count]
    groups = domain.groups(np.load(os.path.join(a.out, "corpus-test", "codes.npy"))[:a.count])
    if a.copies:
        made, of = copies(domain, a.out, real), groups
    else:
        import score
        rows = [json.loads(line) for line in open(a.prompts, encoding="utf-8")]
        made = score.load(rows, a.pictures, real.shape[1:3])
        of = {s: np.array([r["attrs"].get("style") == s for r in rows]) for s in groups}
    print(json.dumps({s: round(width(made[of[s]]) / width(real[on]), 2) for s, on in groups.items() if on.any() and of[s].any()}, indent=1))


if __name__ == "__main__":
    main()
