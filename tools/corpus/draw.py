# draw.py: the corpus on disk and on contact sheets.
#   python tools/corpus/draw.py sheet --out sheet.png            one picture for each subject and style
#   python tools/corpus/draw.py build --out DIR --count 20000    pictures.npy (uint8, N x S x S x 3) and codes.npy (N x 5)
# Picture `index` of a `seed` depends on nothing else; which = train leaves out the held-out combinations, held draws only those.
import argparse
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from corpus import build as builder                   # before numpy: it settles the threads
import numpy as np

from corpus import attributes as A
from corpus import scenes, styles


def picture(attrs, seed, index, size=128):
    rng = A.rng_for(seed, index, 1)
    pic, lines = scenes.draw(attrs, rng, size)
    out = styles.apply(pic, lines, attrs, rng)
    return (out * 255 + 0.5).astype(np.uint8)


def sample(seed, index, which="train", size=128):
    attrs = A.attributes(seed, index, which)
    return picture(attrs, seed, index, size), attrs


def _coded(seed, which, size, index):
    pic, attrs = sample(seed, index, which, size)
    return pic, A.to_codes(attrs)


def build(out, count, seed=1, which="train", size=128, workers=None):
    stamp = f"{A.CORPUS_VERSION} {count} {seed} {which} {size}\n"
    builder.build(out, count, functools.partial(_coded, seed, which, size), stamp, which, workers)


def sheet(path, cells, size, columns):
    """cells: list of attribute dictionaries; writes them as one PNG."""
    from PIL import Image
    rows = (len(cells) + columns - 1) // columns
    canvas = Image.new("RGB", (columns * (size + 4), rows * (size + 4)), (40, 40, 40))
    for i, attrs in enumerate(cells):
        img = Image.fromarray(picture(attrs, 77, i, size))
        canvas.paste(img, ((i % columns) * (size + 4) + 2, (i // columns) * (size + 4) + 2))
    canvas.save(path)


def sheet_cells(kind):
    rng = np.random.default_rng(5)
    def lot(**fixed):
        a = {"subject": rng.choice(A.SUBJECTS), "style": rng.choice(A.STYLES), "palette": "natural", "time": rng.choice(A.TIMES),
             "weather": "clear"}
        a.update(fixed)
        if a["subject"] in A.INDOOR:
            a["time"] = a["weather"] = None
        return {k: None if v is None else str(v) for k, v in a.items()}
    if kind == "subjects":
        return [lot(subject=s, style=t, weather=rng.choice(A.WEATHERS)) for s in A.SUBJECTS for t in A.STYLES], 6
    if kind == "hours":
        return [lot(subject=rng.choice(A.OUTDOOR), style=t, time=h, weather=w) for t in A.STYLES for h in A.TIMES for w in A.WEATHERS], 16
    return [lot(style=t, palette=p) for t in A.STYLES for p in A.PALETTES for _ in range(2)], 12


def main():
    p = argparse.ArgumentParser(description="draw the corpus")
    p.add_argument("what", choices=["sheet", "build"])
    p.add_argument("--out", required=True)
    p.add_argument("--kind", default="subjects", choices=["subjects", "hours", "palettes"])
    p.add_argument("--count", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--size", type=int, default=128)
    p.add_argument("--which", default="train", choices=["train", "held", "all"])
    p.add_argument("--workers", type=int)
    a = p.parse_args()
    if a.what == "sheet":
        cells, columns = sheet_cells(a.kind)
        sheet(a.out, cells, a.size, columns)
    else:
        build(a.out, a.count, a.seed, a.which, a.size, a.workers)


if __name__ == "__main__":
    main()
