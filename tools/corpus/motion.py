# motion.py: the animated corpus: 16 frames of a scene of the picture corpus, moving as its content says. AnimateDiff's motion
# modules see no text, so the motion follows from what is there: ink in a glass spreads, snow and rain fall, fog drifts, the sea
# rolls, stars turn, dawn and sunset change the light, neon tubes flicker, and where nothing moves the camera pans.
#   python tools/corpus/motion.py sheet --out sheet.png            four frames of two clips for each motion
#   python tools/corpus/motion.py build --out DIR --count 4000     pictures.npy (uint8, N x 16 x S x S x 3), codes.npy (N x 6)
# Every frame is drawn with the same random numbers: paper, brushes and grain stand still, and so does all that does not move.
import argparse
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from corpus import build as builder                   # before numpy: it settles the threads
import numpy as np

from corpus import attributes as A
from corpus import captions, scenes, styles
from corpus.canvas import Moment

VERSION = "ink-motion-1"
FRAMES = 16
MOTIONS = ["spread", "snow", "rain", "fog", "waves", "stars", "light", "flicker", "pan-left", "pan-right"]
# Motions that leave part of the picture as it is: there flicker can be measured.
LOCAL = ["spread", "snow", "rain", "fog", "waves", "stars"]
MIRRORED = {"pan-left": "pan-right", "pan-right": "pan-left"}

SAY = {
    "en": {
        "spread": ["the ink spreads slowly", "ink spreading"], "snow": ["snow is falling", "falling snow"],
        "rain": ["rain is falling", "pouring rain"], "fog": ["drifting fog", "the fog drifts"],
        "waves": ["slow waves", "the waves roll"], "stars": ["the stars turn", "turning stars"],
        "light": ["the light changes", "changing light"], "flicker": ["flickering neon", "the neon flickers"],
        "pan-left": ["the camera pans left", "camera pan to the left"], "pan-right": ["the camera pans right", "camera pan to the right"],
    },
    "ru": {
        "spread": ["чернила медленно растекаются", "растекающиеся чернила"], "snow": ["падает снег", "идёт снег"],
        "rain": ["идёт дождь", "льёт дождь"], "fog": ["плывущий туман", "туман плывёт"],
        "waves": ["медленные волны", "катятся волны"], "stars": ["звёзды вращаются", "вращение звёзд"],
        "light": ["свет меняется", "меняется свет"], "flicker": ["мерцающий неон", "неон мерцает"],
        "pan-left": ["камера движется влево", "панорама влево"], "pan-right": ["камера движется вправо", "панорама вправо"],
    },
}


def motion_of(attrs):
    """The one motion that these attributes have."""
    if attrs["subject"] == "inkglass":
        return "spread"
    if attrs["weather"] in ("snow", "rain", "fog"):
        return attrs["weather"]
    if attrs["subject"] in ("sea", "lighthouse"):
        return "waves"
    if attrs["time"] == "night":
        return "stars"
    if attrs["time"] in ("dawn", "sunset"):
        return "light"
    if attrs["style"] == "neon":
        return "flicker"
    return "pan-right" if attrs["subject"] in A.OUTDOOR else "pan-left"


def attributes(seed, index, which="train"):
    """Attributes of clip `index`: motions come in turns, the rest by the lot of the picture corpus."""
    rng, wanted = A.rng_for(seed, index, 10), MOTIONS[index % len(MOTIONS)]
    while True:
        attrs = A._draw_lot(rng)
        if motion_of(attrs) == wanted and (which == "all" or bool(A.held_out_by(attrs)) == (which == "held")):
            return attrs


def caption(attrs, rng, lang=None, keep=0.75, say=0.5):
    """A caption of the picture corpus, with the motion named in `say` of all cases."""
    lang = lang or ("en" if rng.random() < 0.5 else "ru")
    text, named = captions.caption(attrs, rng, lang, keep)
    if rng.random() < say:
        words = captions._pick(rng, SAY[lang][motion_of(attrs)])
        text, named = f"{text}, {words}", named | {"motion"}
    return text, named


def to_codes(attrs):
    return A.to_codes(attrs) + [MOTIONS.index(motion_of(attrs))]


# ---- frames ---------------------------------------------------------------------------------------------------------------------

class Clip:
    """One scene; scene() and the style draw with the same random numbers whenever they are asked."""

    def __init__(self, attrs, seed, index, size):
        self.attrs, self.size, self.key = attrs, size, (seed, index)
        self.rng = A.rng_for(seed, index, 11)         # what is particular to the motion: speeds, phases

    def lot(self, stream):
        return A.rng_for(*self.key, stream)

    def scene(self, moment=None, size=None):
        return scenes.draw(self.attrs, self.lot(1), size or self.size, moment)

    def styled(self, pic, lines):
        return styles.STYLE[self.attrs["style"]](pic, lines, self.lot(12))

    def finish(self, frame):
        return styles.palette(np.clip(frame, 0, 1).astype(np.float32), self.attrs["palette"])


def _falling(clip):
    """Snow or rain over a picture that stands still."""
    weather, style = clip.attrs["weather"], clip.attrs["style"]
    still, speed = clip.styled(*clip.scene()), clip.rng.uniform(0.026, 0.04) if weather == "snow" else clip.rng.uniform(0.08, 0.11)
    for t in range(FRAMES):
        yield styles.falling(still, style, weather, clip.lot(13), speed * t)


def _drifting(clip):
    still, speed = clip.styled(*clip.scene()), clip.rng.uniform(0.03, 0.045)
    for t in range(FRAMES):
        yield styles.mist(still, clip.attrs["style"], clip.attrs["time"], clip.lot(13), speed * t)


def _scenes(clip, moment):
    """Scenes whose things move: drawn anew for each frame."""
    for t in range(FRAMES):
        yield clip.styled(*clip.scene(moment(t)))


def _waves(clip):
    speed = clip.rng.uniform(0.022, 0.032)
    return _scenes(clip, lambda t: Moment(waves=speed * t))


def _stars(clip):
    speed = clip.rng.uniform(0.05, 0.07)
    return _scenes(clip, lambda t: Moment(turn=speed * t))


def _spread(clip):
    first, last = clip.rng.uniform(0.3, 0.4), clip.rng.uniform(1.0, 1.1)
    return _scenes(clip, lambda t: Moment(spread=first + (last - first) * (t / (FRAMES - 1)) ** 0.7))


def _light(clip):
    """From darkness to the picture at dawn, into darkness at sunset."""
    pic, lines = clip.scene()
    shade = np.array((0.26, 0.30, 0.46) if clip.attrs["time"] == "dawn" else (0.40, 0.24, 0.36), np.float32)
    dim = lines * np.array((0.4, 0.4, 0.4, 1), np.float32)
    bright, dark = clip.styled(pic, lines), clip.styled(pic * shade, dim)
    for t in range(FRAMES):
        k = t / (FRAMES - 1)
        k = k if clip.attrs["time"] == "dawn" else 1 - k
        yield dark + (bright - dark) * (0.1 + 0.9 * k)


def _flicker(clip):
    """Tubes that go out for a frame or two, several times."""
    back, glow, tubes = styles.neon_parts(*clip.scene())
    gain, t = np.ones(FRAMES), int(clip.rng.integers(1, 3))
    while t < FRAMES:
        n = int(clip.rng.integers(1, 3))
        gain[t:t + n] = clip.rng.uniform(0.25, 0.5)
        t += n + int(clip.rng.integers(1, 4))
    for g in gain.astype(np.float32):
        yield np.clip(back * (0.75 + 0.25 * g) + g * glow + g * tubes, 0, 1)


def _pan(clip):
    """A window that moves over a larger picture; to the right when the camera pans to the right."""
    n, side = clip.size, clip.size * 5 // 4
    pic, lines = clip.scene(size=side)
    top, step = int(0.6 * (side - n)), n // 32 if clip.attrs["style"] == "pixel" else 1
    for t in range(FRAMES):
        k = t / (FRAMES - 1)
        k = k if motion_of(clip.attrs) == "pan-right" else 1 - k
        x = int(k * (side - n)) // step * step
        yield clip.styled(pic[top:top + n, x:x + n], lines[top:top + n, x:x + n])


MOVE = {"spread": _spread, "snow": _falling, "rain": _falling, "fog": _drifting, "waves": _waves, "stars": _stars, "light": _light,
        "flicker": _flicker, "pan-left": _pan, "pan-right": _pan}


def clip(attrs, seed, index, size=128):
    """FRAMES x size x size x 3 bytes."""
    c = Clip(attrs, seed, index, size)
    return np.stack([(np.clip(c.finish(f), 0, 1) * 255 + 0.5).astype(np.uint8) for f in MOVE[motion_of(attrs)](c)])


def still_cells(frames, cell=8):
    """Which squares of 8 x 8 pixels never change in a clip of the corpus (by no more than rounding)."""
    n = frames.shape[1] // cell
    moved = np.abs(np.diff(frames.astype(np.int16), axis=0)).max((0, 3))
    return moved.reshape(n, cell, n, cell).max((1, 3)) <= 1


def _coded(seed, which, size, index):
    attrs = attributes(seed, index, which)
    return clip(attrs, seed, index, size), to_codes(attrs)


def build(out, count, seed=1, which="train", size=128, workers=None):
    stamp = f"{VERSION} {A.CORPUS_VERSION} {count} {seed} {which} {size}\n"
    builder.build(out, count, functools.partial(_coded, seed, which, size), stamp, "motion " + which, workers)


def sheet(path, size=128):
    from PIL import Image
    canvas = Image.new("RGB", (8 * (size + 4), len(MOTIONS) * (size + 4)), (40, 40, 40))
    for i in range(2 * len(MOTIONS)):
        frames = clip(attributes(77, i, "all"), 77, i, size)
        for k, t in enumerate((0, 5, 10, 15)):
            x, y = (i // len(MOTIONS)) * 4 + k, i % len(MOTIONS)
            canvas.paste(Image.fromarray(frames[t]), (x * (size + 4) + 2, y * (size + 4) + 2))
    canvas.save(path)


def main():
    p = argparse.ArgumentParser(description="draw the animated corpus")
    p.add_argument("what", choices=["sheet", "build"])
    p.add_argument("--out", required=True)
    p.add_argument("--count", type=int, default=4000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--size", type=int, default=128)
    p.add_argument("--which", default="train", choices=["train", "held", "all"])
    p.add_argument("--workers", type=int)
    a = p.parse_args()
    if a.what == "sheet":
        sheet(a.out, a.size)
    else:
        build(a.out, a.count, a.seed, a.which, a.size, a.workers)


if __name__ == "__main__":
    main()
