# draw.py: the corpus of 256 on disk and on contact sheets.
#   python tools/corpus_ink2/draw.py sheet --out sheet.png         one picture for each subject and style; --kind: see KINDS
#   python tools/corpus_ink2/draw.py build --out DIR --count N     pictures.npy (uint8, N x H x W x 3) and codes.npy (N x 8)
# Picture `index` of a `seed` at a size depends on nothing else; which = train leaves out the held-out combinations, held draws only
# those. Any size in multiples of 8, of which the shorter side is 128 or more.
import argparse
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from corpus import build as builder                   # before numpy: it settles the threads
import numpy as np

from corpus_ink2 import attributes as A
from corpus_ink2 import compose, styles


def picture(attrs, seed, index, size=(256, 256), times=1):
    """times: the same picture drawn so many times as wide and high, what repeats with it."""
    rng = A.rng_for(seed, index, 1)
    pic, lines = compose.draw(attrs, rng, *(times * n for n in size))
    return (styles.apply(pic, lines, attrs, rng, times * styles.GRID) * 255 + 0.5).astype(np.uint8)


def _coded(seed, which, size, times, index):
    attrs = A.attributes(seed, index, which)
    return picture(attrs, seed, index, size, times), A.to_codes(attrs)


def build(out, count, seed=1, which="train", size=(256, 256), workers=None, times=1):
    stamp = f"{A.CORPUS_VERSION} {count} {seed} {which} {size[0]}x{size[1]}" + (f" x{times}" if times > 1 else "") + "\n"
    builder.build(out, count, functools.partial(_coded, seed, which, size, times), stamp, which, workers)


def sheet(path, cells, size, columns):
    """cells: list of attribute dictionaries; writes them as one PNG."""
    from PIL import Image
    (h, w), rows = size, (len(cells) + columns - 1) // columns
    canvas = Image.new("RGB", (columns * (w + 4), rows * (h + 4)), (40, 40, 40))
    for i, attrs in enumerate(cells):
        canvas.paste(Image.fromarray(picture(attrs, 77, i, size)), (i % columns * (w + 4) + 2, i // columns * (h + 4) + 2))
    canvas.save(path)


def lot(seed, **fixed):
    """The first picture of the lot that has these attributes."""
    for i in range(100000):
        a = A.attributes(seed, i, "all")
        if all(a[k] == v for k, v in fixed.items()):
            return a
    raise ValueError(f"no picture has {fixed}")


def plain(a, **more):
    """Attributes with others in their place; without a sky there is neither time nor weather."""
    return {**a, **{k: v for k, v in more.items() if a[k] is not None}}


def sheet_cells(kind):
    if kind == "subjects":
        return [plain(lot(i, subject=s, relation="alone", count=1 if s in A.COUNTED else None), style=t, palette="natural", weather="clear")
                for s in A.SUBJECTS for i, t in enumerate(A.STYLES)], 8
    if kind == "relations":
        return [plain(lot(i, relation=r), palette="natural") for r in A.RELATIONS[1:] for i in range(16)], 8
    if kind == "counts":
        return [plain(lot(n, subject=s, relation="alone", count=n), palette="natural", weather="clear") for s in A.COUNTED for n in (1, 2, 3)], 6
    if kind == "hours":
        return [plain(lot(i, relation="alone", time=h, weather=w), style=t, palette="natural") for i, t in enumerate(A.STYLES) for h in A.TIMES for w in A.WEATHERS], 16
    return [plain(lot(i, relation="alone"), style=t, palette=p) for i, t in enumerate(A.STYLES) for p in A.PALETTES], 12


KINDS = ["subjects", "relations", "counts", "hours", "palettes"]


def main():
    p = argparse.ArgumentParser(description="draw the corpus")
    p.add_argument("what", choices=["sheet", "build"])
    p.add_argument("--out", required=True)
    p.add_argument("--kind", default="subjects", choices=KINDS)
    p.add_argument("--count", type=int, default=20000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--height", type=int, default=256)
    p.add_argument("--width", type=int, default=256)
    p.add_argument("--which", default="train", choices=["train", "held", "all"])
    p.add_argument("--workers", type=int)
    a = p.parse_args()
    size = a.height, a.width
    if a.what == "sheet":
        cells, columns = sheet_cells(a.kind)
        sheet(a.out, cells, size, columns)
    else:
        build(a.out, a.count, a.seed, a.which, size, a.workers)


if __name__ == "__main__":
    main()
