#!/usr/bin/env python3
"""The corpus of 256: what its pictures and captions promise to those who train and judge on them. Skipped without the training tools'
packages."""
import os, pathlib, sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN = ROOT / ".venv/bin/python"
try:
    import cairo, numpy as np, scipy  # noqa: F401
except ImportError:
    if OWN.exists() and "SUMI_CHECK_AGAIN" not in os.environ:
        os.execve(OWN, [OWN, __file__], {**os.environ, "SUMI_CHECK_AGAIN": "1"})
    print("skip pictures: tools/requirements.txt is not installed")
    sys.exit(0)
sys.path.insert(0, str(ROOT / "tools"))
from corpus_ink2 import attributes as A
from corpus_ink2 import captions as C
from corpus_ink2 import draw, things

failed = 0


def check(condition, name, detail=""):
    global failed
    failed += not condition
    print(f"ok {name}" if condition else f"not ok {name}: {detail}")


def larger(style):
    """A picture drawn four times as large, in small again, beside itself: the PSNR."""
    attrs = draw.lot(3, relation="alone", style=style)
    small, large = draw.picture(attrs, 9, 1, (128, 128)), draw.picture(attrs, 9, 1, (128, 128), times=4)
    again = large.reshape(128, 4, 128, 4, 3).astype(np.float32).mean((1, 3))
    return 10 * np.log10(255 ** 2 / ((again - small) ** 2).mean()), large


def of(style, **more):
    """A picture in natural colours under a clear sky by day."""
    return draw.picture(draw.plain(draw.lot(3, relation="alone", **more), style=style, palette="natural", weather="clear", time="day"), 3, 1)


def colourful(picture):
    return float(np.ptp(picture[:-48].astype(int), axis=2).mean())


check(len(A.SUBJECTS) == 24 and len(A.STYLES) == 8, "24 subjects, eight styles", f"{len(A.SUBJECTS)} {len(A.STYLES)}")
lots = [A.attributes(4, i, "all") for i in range(1500)]
told = {k: {a[k] for a in lots} - {None} for k in A.CLASSES}
can = {**A.CLASSES, "second": {"none"} | {b for some in A.PAIRS.values() for _, b in some}}
check(all(told[k] == set(v) for k, v in can.items()), "every value of every attribute is drawn", told)
check(all(A.from_codes(A.to_codes(a)) == {k: a[k] for k in A.CLASSES} for a in lots), "codes say all that is judged")
train, held = ([A.attributes(4, i, w) for i in range(300)] for w in ("train", "held"))
check(not any(map(A.held_out_by, train)) and all(map(A.held_out_by, held)), "training sees no held-out combination")
share = sum(bool(A.held_out_by(a)) for a in lots) / len(lots)
check(0.15 < share < 0.45, "what is held out is a part of all", share)

for size in ((192, 192), (320, 320), (192, 288), (288, 192), (192, 352)):
    a = draw.lot(5, relation="left")
    one, two = (draw.picture(a, 5, 2, size) for _ in range(2))
    check(one.shape == (*size, 3) and np.array_equal(one, two) and one.std() > 20, f"{size[0]}x{size[1]}: drawn, and the same again", one.shape)

pixels = of("pixel", subject="castle").reshape(32, 8, 32, 8, 3)
check((np.ptp(pixels.astype(int), axis=(1, 3)) == 0).all(), "pixel art is one colour in each latent's square")
near = {s: larger(s) for s in ("pixel", "pencil", "glass", "neon")}
check(all(psnr > 24 for psnr, _ in near.values()), "drawn four times as large it is the same picture", {s: round(float(p), 1) for s, (p, _) in near.items()})
check((np.ptp(near["pixel"][1].reshape(16, 32, 16, 32, 3).astype(int), axis=(1, 3)) == 0).all(), "its squares are four times as large too")
wash, paint = of("ink", subject="mountains"), of("watercolour", subject="mountains")
red = lambda p: int(((p[..., 0] > 150) & (p[..., 1] < 70) & (p[..., 2] < 70)).sum())
check(red(wash) > 200 and red(paint) == 0, "ink wash has a red seal, watercolour has none", f"{red(wash)} {red(paint)}")
check(colourful(paint) > 2 * colourful(wash) and colourful(wash) < 25, "watercolour has colours, ink wash has none", f"{colourful(paint)} {colourful(wash)}")
check(not any(a["style"] in A.GREY and a["palette"] == "mono" for a in lots), "neither of them in black and white")

missing = [n for t in A.SUBJECTS for lang in ("en", "ru") for n in [t] if n not in (C.EN if lang == "en" else C.RU) or n not in C.ALONE[lang]]
check(not missing, "every subject has words in both languages", missing)
pairs = [(r, a, b) for r, some in A.PAIRS.items() for a, b in some]
check(all(b in C.ON[lang] for r, _, b in pairs if r == "on" for lang in C.ON), "whatever something is on can be said")
check(all(b in things.TOP or b in A.PLACES for r, _, b in pairs if r == "on"), "whatever something is on has a place for it")
said = {"en": set(), "ru": set()}
for lang in said:
    for i in range(60):
        text, named = C.caption({**lots[0], "subject": "cat", "second": "tree", "relation": "left", "count": 2, "style": "oil", "time": "day", "weather": "clear",
                                 "palette": "natural"}, np.random.default_rng(i), lang, keep=0.0)
        said[lang].add(text)
        check(named == {"subject", "second", "relation", "count"}, f"what a pair's caption names ({lang})", named) if i == 0 else None
check({"two cats to the left of a tree", "a tree right of two kittens"} <= said["en"], "left may be told from the right (en)", said["en"])
check({"две кошки слева от дерева", "дерево справа от двух котов"} <= said["ru"], "numerals and cases agree (ru)", said["ru"])
adjectives = {C._russian(np.random.default_rng(i), "cat", n, 0, "акварельн") for i in range(20) for n in (1, 2)}
check(adjectives == {"акварельная кошка", "акварельный кот", "две акварельные кошки", "два акварельных кота"}, "adjectives agree (ru)", adjectives)
sys.exit(failed > 0)
