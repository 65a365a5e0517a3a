# draw.py: the corpus of landscapes on disk and on contact sheets: four channels, colour from above and height.
#   python tools/corpus_world/draw.py sheet --out sheet.png        one landscape for each landform and hour, its heights below it
#   python tools/corpus_world/draw.py build --out DIR --count N    pictures.npy (uint8, N x S x S x 4) and codes.npy (N x 5)
# Landscape `index` of a `seed` depends on nothing else; which = train leaves out the held-out combinations, held draws only those.
import argparse
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from corpus import build as builder                   # before numpy: it settles the threads
import numpy as np

from corpus_world import attributes as A
from corpus_world import colour, terrain


def landscape(attrs, seed, index, size=128):
    rng = A.rng_for(seed, index, 1)
    h, extra = terrain.MAKERS[attrs["kind"]](rng, size)
    rgb = colour.paint(h, extra, attrs, rng)
    return (np.concatenate([rgb, h[..., None]], -1) * 255 + 0.5).astype(np.uint8)


def _coded(seed, which, size, index):
    attrs = A.attributes(seed, index, which)
    return landscape(attrs, seed, index, size), A.to_codes(attrs)


def build(out, count, seed=1, which="train", size=128, workers=None):
    stamp = f"{A.CORPUS_VERSION} {count} {seed} {which} {size}\n"
    builder.build(out, count, functools.partial(_coded, seed, which, size), stamp, which, workers)


def sheet(path, size=128):
    from PIL import Image
    rng = np.random.default_rng(5)
    canvas = Image.new("RGB", (len(A.KINDS) * (size + 4), len(A.HOURS) * (size + 4) * 2), (40, 40, 40))
    for i, kind in enumerate(A.KINDS):
        for k, hour in enumerate(A.HOURS):
            attrs = {"kind": kind, "hour": hour, "palette": "natural", "weather": None if kind in A.AIRLESS else A.WEATHERS[k % 3],
                     "season": A.SEASONS[int(rng.integers(4))] if kind in A.SEASONAL else None}
            if i % 3 == k % 3:
                attrs["palette"] = A.PALETTES[int(rng.integers(5))]
            p = landscape(attrs, 77, i * 4 + k, size)
            for row, part in ((2 * k, p[..., :3]), (2 * k + 1, p[..., 3])):
                canvas.paste(Image.fromarray(part).convert("RGB"), (i * (size + 4) + 2, row * (size + 4) + 2))
    canvas.save(path)


def main():
    p = argparse.ArgumentParser(description="draw the corpus of landscapes")
    p.add_argument("what", choices=["sheet", "build"])
    p.add_argument("--out", required=True)
    p.add_argument("--count", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--which", default="train", choices=["train", "held", "all"])
    p.add_argument("--size", type=int, default=128)
    a = p.parse_args()
    if a.what == "sheet":
        sheet(a.out, a.size)
    else:
        build(a.out, a.count, a.seed, a.which, a.size)


if __name__ == "__main__":
    main()
