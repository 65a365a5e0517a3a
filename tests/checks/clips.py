#!/usr/bin/env python3
"""The animated corpus: what its clips promise to those who train and judge on them. Skipped without the training tools' packages."""
import os, pathlib, sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN = ROOT / ".venv/bin/python"
try:
    import cairo, numpy as np, scipy  # noqa: F401
except ImportError:
    if OWN.exists() and "SUMI_CHECK_AGAIN" not in os.environ:
        os.execve(OWN, [OWN, __file__], {**os.environ, "SUMI_CHECK_AGAIN": "1"})
    print("skip clips: tools/requirements.txt is not installed")
    sys.exit(0)
sys.path.insert(0, str(ROOT / "tools"))
from corpus import motion as M

failed = 0


def check(condition, name, detail=""):
    global failed
    failed += not condition
    print(f"ok {name}" if condition else f"not ok {name}: {detail}")


def shift(frames):
    """By how many pixels the middle of a clip's last frames lies to the right of where it was four frames before."""
    a, b = (frames[t].astype(np.float32).mean(2)[30:100] for t in (6, 10))
    return min(range(-14, 15), key=lambda d: np.abs(a[:, 20:108] - b[:, 20 + d:108 + d]).mean())


clips = {}
for i, name in enumerate(M.MOTIONS):
    attrs = M.attributes(4, i, "all")
    clips[name] = M.clip(attrs, 4, i, 64)
    check(M.motion_of(attrs) == name, f"{name}: clips come in turns", M.motion_of(attrs))
    moved = int(np.ptp(clips[name].astype(int), axis=0).max())
    check(moved > 16, f"{name}: something moves", moved)
    if name in M.LOCAL:
        still = M.still_cells(clips[name])
        check(0 < still.sum() < still.size, f"{name}: something stands still", still.mean())
    for lang in M.SAY:
        text, named = M.caption(attrs, np.random.default_rng(1), lang, say=1.0)
        check("motion" in named and any(text.endswith(w) for w in M.SAY[lang][name]), f"{name}: its caption names it ({lang})", text)
check(np.array_equal(M.clip(M.attributes(4, 1, "all"), 4, 1, 64), clips["snow"]), "a clip depends on seed and index only")
day = {"style": "watercolour", "palette": "natural", "time": "day", "weather": "clear"}
right = shift(M.clip({**day, "subject": "forest"}, 4, 9))
left = shift(M.clip({**day, "subject": "easel", "time": None, "weather": None}, 4, 8))
check(right < -3 and left > 3, "the camera pans where its motion says", f"{right} {left}")
sys.exit(failed > 0)
