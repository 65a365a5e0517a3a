# things.py: what stands, flies or swims in a place. Each is drawn in coordinates of its own: (0, 0) where it stands, y upwards, one
# high; a Pen brings them onto the canvas. TOP: where something sits on it.
import math

import numpy as np

from corpus.canvas import mix, rgb


class Pen:
    """Draws in a thing's own coordinates: at (x, y) of the canvas, s units high, mirrored where d is -1; depth fades it."""

    def __init__(self, c, x, y, s, d=1, depth=0.0, indoors=False):
        self.c, self.x, self.y, self.s, self.d, self.depth = c, x, y, s, d, depth
        self.line = 0.020 if s > 0.3 else 0.015
        self.lit = (lambda v: v) if indoors else (lambda v: c.light.on(v, depth))

    def at(self, px, py):
        return self.x + self.d * self.s * px, self.y - self.s * py

    def hue(self, *hexes, rng=None):
        return self.lit(rgb(hexes[rng.integers(len(hexes))] if rng is not None else hexes[0]))

    def shape(self, pts, top, bottom=None, line=1.0, smooth=False, line_rgb=None):
        if smooth:                                    # closed curves need their beginning again
            pts = list(pts) + [pts[0]]
        self.c.shape([self.at(*p) for p in pts], top, bottom or mix(top, (0, 0, 0), 0.18), line=self.line * line, smooth=smooth, line_rgb=line_rgb)

    def stroke(self, pts, colour, width, smooth=False, line=True, line_rgb=None):
        self.c.stroke([self.at(*p) for p in pts], colour, width * self.s, smooth=smooth, line=line, line_rgb=line_rgb)

    def disc(self, px, py, r, colour, squash=1.0, line=1.0, bottom=None, line_rgb=None):
        x, y = self.at(px, py)
        self.c.disc(x, y, r * self.s, colour, squash=squash, line=self.line * line, bottom=bottom, line_rgb=line_rgb)

    def box(self, x0, y0, x1, y1, top, bottom=None, line=1.0, line_rgb=None):
        self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], top, bottom, line, line_rgb=line_rgb)


def dark(c, k=0.3):
    return mix(c, (0, 0, 0), k)


def light(c, k=0.3):
    return mix(c, (1, 1, 1), k)


def cat(p, rng):
    """It sits and looks at us."""
    fur = p.hue("d98a3a", "8a8a92", "45403e", "efe6d8", "8a5a38", rng=rng)
    belly, inner = light(fur, 0.45), p.hue("e8a0a0")
    p.stroke([(0.22, 0.06), (0.5, 0.04), (0.60, 0.22), (0.50, 0.42), (0.54, 0.5)], fur, 0.11, smooth=True)
    p.shape([(-0.30, 0.0), (-0.34, 0.2), (-0.24, 0.45), (-0.14, 0.62), (0.14, 0.62), (0.24, 0.45), (0.34, 0.2), (0.30, 0.0)], fur, smooth=False)
    p.shape([(-0.10, 0.08), (-0.13, 0.34), (0, 0.52), (0.13, 0.34), (0.10, 0.08)], belly, line=0, smooth=True)
    for s in (-1, 1):
        p.shape([(s * 0.24, 0.78), (s * 0.23, 1.06), (s * 0.05, 0.92)], fur)
        p.shape([(s * 0.20, 0.82), (s * 0.195, 0.97), (s * 0.09, 0.90)], inner, line=0)
    p.disc(0, 0.74, 0.235, fur, squash=0.88)
    for k in (-0.08, 0, 0.08):                        # stripes on the brow
        p.stroke([(k, 0.92), (k * 0.8, 0.85)], dark(fur, 0.4), 0.03)
    for s in (-1, 1):
        p.disc(s * 0.095, 0.77, 0.055, p.hue("d8e860", "e8c040", rng=rng), line=0.6)
        p.disc(s * 0.095, 0.77, 0.024, (0.05, 0.05, 0.06), squash=1.9, line=0)
        for y in (0.66, 0.62):
            p.stroke([(s * 0.08, 0.66), (s * 0.34, y + 0.03)], light(fur, 0.6) if sum(fur) < 1.2 else dark(fur, 0.5), 0.014)
        p.disc(s * 0.11, 0.035, 0.075, belly, squash=0.6, line=0.8)
    p.shape([(-0.035, 0.69), (0.035, 0.69), (0, 0.645)], p.hue("d07078"), line=0.5)
    p.stroke([(-0.06, 0.61), (0, 0.635), (0.06, 0.61)], dark(fur, 0.6), 0.016)


def bird(p, rng, sits=False):
    """A bird flying with raised wings, or sitting with folded ones; one wide when it flies."""
    col = p.hue("f2f4f6", "c83a34", "3a6fc0", "e0b030", "40464e", rng=rng)
    beak, eye = p.hue("f0a020"), (0.05, 0.05, 0.06)
    if sits:
        for k in (-0.06, 0.06):
            p.stroke([(k, 0.16), (k, 0.0)], beak, 0.035)
        p.shape([(-0.30, 0.30), (-0.66, 0.10), (-0.62, 0.30)], dark(col, 0.25))
        p.shape([(-0.42, 0.26), (-0.2, 0.10), (0.12, 0.12), (0.32, 0.34), (0.36, 0.60), (0.30, 0.62), (0.1, 0.56), (-0.2, 0.48)], col, smooth=True)
        p.disc(0.26, 0.72, 0.19, col)
        p.shape([(0.42, 0.78), (0.64, 0.70), (0.42, 0.65)], beak)
        p.shape([(0.12, 0.46), (-0.06, 0.20), (-0.46, 0.20), (-0.2, 0.44)], dark(col, 0.3), smooth=True)
        p.disc(0.31, 0.76, 0.04, eye, line=0)
        return
    p.shape([(-0.02, 0.06), (-0.16, 0.42), (-0.34, 0.62), (-0.30, 0.24), (-0.22, 0.04)], dark(col, 0.3))
    p.shape([(-0.30, 0.02), (-0.58, 0.12), (-0.54, -0.02), (-0.58, -0.12), (-0.28, -0.06)], dark(col, 0.2))
    p.shape([(-0.36, 0.0), (-0.2, -0.14), (0.1, -0.15), (0.34, -0.04), (0.40, 0.08), (0.2, 0.12), (-0.1, 0.12)], col, smooth=True)
    p.disc(0.34, 0.07, 0.12, col)
    p.shape([(0.44, 0.11), (0.60, 0.05), (0.44, 0.02)], beak)
    p.shape([(0.16, 0.06), (0.14, 0.36), (-0.06, 0.66), (-0.10, 0.34), (-0.16, 0.04)], light(col, 0.2) if sum(col) < 2.4 else dark(col, 0.12))
    for k in (0.0, 0.06):
        p.stroke([(0.10 - k, 0.12), (0.04 - k, 0.40)], dark(col, 0.35), 0.018)
    p.disc(0.38, 0.10, 0.026, eye, line=0)


def fish(p, rng):
    """Seen from the side, one long, its middle at (0, 0)."""
    col, fin = p.hue("f08030", "e8c030", "d04848", "b058c0", "e8e4e0", rng=rng), p.hue("f0b040", "e86a3a", "5ac0d0", rng=rng)
    p.shape([(-0.30, 0.0), (-0.58, 0.26), (-0.50, 0.0), (-0.58, -0.26)], fin)
    p.shape([(-0.14, 0.18), (-0.04, 0.38), (0.18, 0.30), (0.22, 0.16)], fin)
    p.shape([(-0.06, -0.2), (-0.08, -0.36), (0.12, -0.22)], fin)
    t = np.linspace(0, 2 * math.pi, 36)
    body = [(0.42 * math.cos(a) + 0.03, (0.25 - 0.05 * math.cos(a)) * math.sin(a)) for a in t]
    p.shape(body, light(col, 0.15), dark(col, 0.12))
    for x, h in ((-0.12, 0.235), (0.08, 0.245)):      # bands
        p.shape([(x, h), (x + 0.09, h), (x + 0.11, 0), (x + 0.09, -h + 0.01), (x, -h + 0.01), (x + 0.03, 0)], light(col, 0.75) if sum(col) < 2.2 else p.hue("3a4a8a"), line=0.5)
    p.shape([(0.10, 0.02), (-0.08, 0.06), (-0.06, -0.12)], fin, line=0.8)
    p.disc(0.29, 0.07, 0.055, (1, 1, 1), line=0.7)
    p.disc(0.30, 0.07, 0.026, (0.05, 0.05, 0.06), line=0)
    p.stroke([(0.44, -0.05), (0.36, -0.07)], dark(col, 0.5), 0.022)


def horse(p, rng):
    """Seen from the side, walking to the right; about 1.2 long."""
    coat = p.hue("8a4f2a", "5a3a28", "b88a58", "d8d2c8", "4a4448", rng=rng)
    mane = dark(coat, 0.55) if sum(coat) > 0.9 else light(coat, 0.25)
    step = rng.uniform(0.02, 0.06)
    for x, k, far in ((-0.30, -step, True), (0.24, step, True), (-0.40, step * 1.6, False), (0.34, -step, False)):
        leg = dark(coat, 0.3) if far else coat
        p.shape([(x - 0.06, 0.46), (x + 0.07, 0.46), (x + 0.035 + k, 0.24), (x + 0.04 + k, 0.04), (x - 0.03 + k, 0.04), (x - 0.03 + k * 0.7, 0.24)], leg)
        p.shape([(x - 0.04 + k, 0.05), (x + 0.05 + k, 0.05), (x + 0.06 + k, 0.0), (x - 0.045 + k, 0.0)], dark(mane, 0.3), line=0.6)
    p.shape([(-0.44, 0.64), (-0.60, 0.56), (-0.64, 0.22), (-0.56, 0.2), (-0.52, 0.42), (-0.42, 0.54)], mane, smooth=False)
    p.shape([(-0.46, 0.44), (-0.50, 0.58), (-0.38, 0.70), (-0.1, 0.66), (0.18, 0.68), (0.34, 0.90), (0.46, 1.0), (0.50, 1.0), (0.54, 0.95), (0.76, 0.79), (0.74, 0.71), (0.66, 0.70),
             (0.54, 0.77), (0.46, 0.56), (0.38, 0.42), (0.1, 0.38), (-0.2, 0.38)], coat)
    p.shape([(0.44, 0.98), (0.47, 1.1), (0.53, 0.98)], coat, line=0.8)
    p.shape([(0.44, 1.02), (0.36, 0.95), (0.14, 0.68), (0.20, 0.62), (0.34, 0.76), (0.46, 0.92)], mane)
    p.disc(0.565, 0.895, 0.022, (0.05, 0.05, 0.06), line=0)
    p.stroke([(0.70, 0.735), (0.73, 0.75)], dark(coat, 0.6), 0.022)


def person(p, rng):
    """A walker in a long coat with a hat."""
    coat, hat = p.hue("c0392f", "2f5f9f", "e0b038", "4a8a58", "7a4a8a", rng=rng), p.hue("3a2f2a", "6a3a2a", "2a3a5a", rng=rng)
    skin, leg = p.hue("e8b898", "b87a54", "f0cbb0", rng=rng), p.hue("2f3440")
    for k in (-0.10, 0.10):
        p.shape([(k * 0.5 - 0.045, 0.34), (k * 0.5 + 0.05, 0.34), (k + 0.05, 0.03), (k + 0.12, 0.0), (k - 0.05, 0.0)], leg)
    p.shape([(-0.13, 0.72), (0.13, 0.72), (0.22, 0.26), (-0.22, 0.26)], coat, dark(coat, 0.25))
    for s, k in ((-1, 0.30), (1, 0.27)):
        p.shape([(s * 0.10, 0.71), (s * 0.16, 0.68), (s * k, 0.42), (s * (k - 0.07), 0.39)], dark(coat, 0.12))
        p.disc(s * (k - 0.03), 0.395, 0.035, skin, line=0.6)
    p.stroke([(-0.185, 0.42), (0.185, 0.42)], dark(coat, 0.5), 0.04)
    p.disc(0, 0.815, 0.105, skin)
    p.shape([(-0.12, 0.72), (0.12, 0.72), (0.13, 0.78), (-0.13, 0.78)], light(coat, 0.6), line=0.8)
    p.shape([(-0.19, 0.86), (0.19, 0.86), (0.10, 0.90), (0.09, 1.0), (-0.09, 1.0), (-0.10, 0.90)], hat)


def boat(p, rng):
    """A sailing boat."""
    sail = p.hue("f8f2e2", "e8584a", "f2b544", "5aa0d0", rng=rng)
    p.shape([(0.02, 1.0), (0.50, 0.22), (0.02, 0.22)], sail, line_rgb=(1, 0.8, 0.5))
    p.shape([(-0.03, 0.88), (-0.36, 0.22), (-0.03, 0.22)], light(sail, 0.35), line_rgb=(1, 0.8, 0.5))
    for y in (0.42, 0.62):
        p.stroke([(0.03, y), (0.02 + 0.48 * (1 - y) / 0.78 * 0.95, y)], dark(sail, 0.25), 0.018)
    p.stroke([(-0.005, 0.15), (-0.005, 1.04)], p.hue("5a3a28"), 0.03)
    p.shape([(-0.005, 1.06), (-0.16, 1.02), (-0.005, 0.97)], p.hue("d8392f"), line=0.7)
    hull = p.hue("8a4a2a", "2f4f7a", "a83a30", rng=rng)
    p.shape([(-0.46, 0.20), (0.54, 0.20), (0.36, -0.04), (-0.34, -0.04)], hull, dark(hull, 0.4))
    p.stroke([(-0.41, 0.135), (0.49, 0.135)], light(hull, 0.6), 0.03)


def castle(p, rng):
    wall = p.hue("b8b0a4", "a8a0a8", "c8a888", rng=rng)
    roof = p.hue("b8443a", "3f5f9f", "5a4a7a", rng=rng)
    def tower(x, w, y, cone):
        p.box(x - w, 0, x + w, y, wall, dark(wall, 0.28))
        if cone:
            p.shape([(x - w * 1.35, y), (x + w * 1.35, y), (x, y + w * 3.0)], light(roof, 0.1), dark(roof, 0.2))
            p.stroke([(x, y + w * 3.0), (x, y + w * 3.0 + 0.08)], dark(wall, 0.6), 0.014)
            p.shape([(x, y + w * 3 + 0.09), (x + 0.11, y + w * 3 + 0.06), (x, y + w * 3 + 0.03)], p.hue("e8c030"), line=0.6)
        else:
            teeth(x - w * 1.15, x + w * 1.15, y, 3)
    def teeth(x0, x1, y, n):
        pts, k = [(x0, y)], (x1 - x0) / (2 * n - 1)
        for i in range(2 * n - 1):
            h = y + (0.09 if i % 2 == 0 else 0.045)
            pts += [(x0 + k * i, h), (x0 + k * (i + 1), h)]
        p.shape(pts + [(x1, y)], wall)
    slit = p.hue("ffd76a") if p.c.light.time in ("night", "sunset") else dark(wall, 0.65)
    tower(0.0, 0.14, 0.66, rng.random() < 0.7)
    p.box(-0.42, 0, 0.42, 0.38, light(wall, 0.1), dark(wall, 0.25))
    teeth(-0.42, 0.42, 0.38, 5)
    for s in (-1, 1):
        tower(s * 0.42, 0.115, 0.56, True)
        p.box(s * 0.42 - 0.025, 0.32, s * 0.42 + 0.025, 0.44, slit, line=0.7)
    p.box(-0.03, 0.50, 0.03, 0.61, slit, line=0.7)
    p.shape([(-0.11, 0), (-0.11, 0.16), (-0.07, 0.235), (0, 0.26), (0.07, 0.235), (0.11, 0.16), (0.11, 0)], p.hue("4a3022"), p.hue("2f1e16"))
    for x in (-0.23, 0.23):
        p.box(x - 0.025, 0.2, x + 0.025, 0.29, slit, line=0.7)


def train(p, rng):
    """A steam engine and a coach on rails, one high and about 2.2 long, going to the right."""
    body, coach = p.hue("2f4f3f", "3a3a48", "8a2f2a", rng=rng), p.hue("a83a30", "2f5f8f", "4a7a4a", "c89038", rng=rng)
    black, brass = p.hue("2a2a30"), p.hue("e0b040")
    p.stroke([(-1.3, 0.0), (1.15, 0.0)], p.hue("6a5a50"), 0.05)
    for k, (dx, r) in enumerate(((0.62, 0.12), (0.48, 0.16), (0.26, 0.19), (0.02, 0.22))):   # smoke drawn back
        p.disc(0.66 - 0.30 * k, 1.08 + 0.10 * k, r, p.lit(rgb("e8e8ec")), line=0.8, squash=0.85)
    p.box(-1.16, 0.16, -0.24, 0.72, light(coach, 0.1), dark(coach, 0.2))
    p.shape([(-1.22, 0.72), (-0.18, 0.72), (-0.26, 0.82), (-1.14, 0.82)], dark(coach, 0.5))
    pane = p.hue("ffe08a") if p.c.light.time in ("night", "sunset") else p.hue("cfe6f0")
    for x in (-1.04, -0.76, -0.48):
        p.box(x, 0.42, x + 0.18, 0.62, pane, line=0.8)
    p.stroke([(-0.24, 0.2), (-0.1, 0.2)], black, 0.06)
    p.box(-0.10, 0.16, 0.26, 0.84, body)
    p.shape([(-0.16, 0.84), (0.32, 0.84), (0.28, 0.92), (-0.12, 0.92)], dark(body, 0.5))
    p.box(-0.02, 0.54, 0.18, 0.76, pane, line=0.8)
    p.box(0.26, 0.24, 0.90, 0.60, light(body, 0.15), dark(body, 0.3))
    p.box(0.88, 0.22, 0.95, 0.62, black)
    p.shape([(0.64, 0.60), (0.80, 0.60), (0.85, 0.92), (0.59, 0.92)], black)
    p.disc(0.42, 0.62, 0.07, brass, line=0.8)
    for x in (0.40, 0.56):
        p.stroke([(x, 0.25), (x, 0.59)], brass, 0.025)
    p.shape([(0.92, 0.2), (1.10, 0.02), (0.86, 0.02)], p.hue("b83a30"))
    for x, r in ((-1.02, 0.10), (-0.78, 0.10), (-0.48, 0.10), (-0.30, 0.10), (0.08, 0.16), (0.44, 0.14), (0.74, 0.14)):
        p.disc(x, r, r, p.hue("b8332c"), bottom=black)
        p.disc(x, r, r * 0.35, brass, line=0.6)


def flower(p, rng):
    """One large bloom on its stem: a daisy, a tulip or a poppy."""
    stem = p.hue("3f8f3f", "5a8a30", rng=rng)
    lean = rng.uniform(-0.08, 0.08)
    p.stroke([(0, 0), (lean * 0.3, 0.35), (lean, 0.72)], stem, 0.045, smooth=True, line_rgb=(0.3, 1, 0.4))
    for s, y in ((-1, 0.16), (1, 0.26)):
        p.shape([(0.01 * s, y - 0.06), (s * 0.14, y + 0.02), (s * 0.27, y + 0.20), (s * 0.08, y + 0.12)], stem, line_rgb=(0.3, 1, 0.4))
    col, x, y = p.hue("f4f2ee", "e04858", "f0b830", "c060b8", "f08040", "6a7ad8", rng=rng), lean, 0.78
    if rng.random() < 0.35:                           # a tulip
        p.shape([(x - 0.18, y + 0.20), (x - 0.19, y), (x - 0.10, y - 0.13), (x + 0.10, y - 0.13), (x + 0.19, y), (x + 0.18, y + 0.20), (x + 0.09, y + 0.07), (x, y + 0.22), (x - 0.09, y + 0.07)],
                light(col, 0.15), dark(col, 0.2))
        p.stroke([(x - 0.03, y - 0.1), (x - 0.08, y + 0.04)], dark(col, 0.3), 0.02)
        p.stroke([(x + 0.03, y - 0.1), (x + 0.08, y + 0.04)], dark(col, 0.3), 0.02)
        return
    n, turn = 8, rng.uniform(0, 1)
    for i in range(n):
        a = 2 * math.pi * (i + turn) / n
        tip, side = 0.235, 0.36
        p.shape([(x + r * math.cos(a + da), y + r * math.sin(a + da)) for r, da in
                 ((0.05, 0), (0.15, -side), (0.21, -side * 0.72), (tip, 0), (0.21, side * 0.72), (0.15, side))], light(col, 0.15), dark(col, 0.08), line=0.85)
    p.disc(x, y, 0.085, p.hue("e8b020" if sum(col) > 2.2 else "5a3020"), line=0.9)


def moon(p, rng):
    """Full and large, its middle at (0, 0), half a unit in radius."""
    x, y = p.at(0, 0)
    p.c.glow(x, y, p.s * 0.95, (1, 0.95, 0.72), 0.55)
    col = rgb(("fff2c0", "f4f0e4", "ffdf9a")[rng.integers(3)])
    p.disc(0, 0, 0.5, col, bottom=mix(col, (0.75, 0.62, 0.4), 0.3), line_rgb=(1, 0.95, 0.5))
    for cx, cy, r in ((-0.18, 0.16, 0.11), (0.14, 0.24, 0.07), (0.20, -0.10, 0.13), (-0.12, -0.22, 0.09), (-0.32, -0.06, 0.05), (0.02, 0.02, 0.05)):
        p.disc(cx, cy, r, mix(col, (0.62, 0.55, 0.42), 0.42), line=0.6)


def windmill(p, rng):
    wall = p.hue("f0e6d4", "c89068", "b8a898", rng=rng)
    p.shape([(-0.20, 0), (0.20, 0), (0.125, 0.62), (-0.125, 0.62)], wall, dark(wall, 0.25))
    p.shape([(-0.155, 0.61), (0.155, 0.61), (0.10, 0.76), (0, 0.80), (-0.10, 0.76)], p.hue("7a3a2a", "3f4f6f", rng=rng))
    p.shape([(-0.06, 0), (-0.06, 0.13), (0, 0.17), (0.06, 0.13), (0.06, 0)], p.hue("4a3022"), line=0.8)
    for y in (0.28, 0.46):
        p.box(-0.035, y, 0.035, y + 0.075, p.hue("ffd76a") if p.c.light.time in ("night", "sunset") else dark(wall, 0.6), line=0.7)
    turn, hub, cloth, wood = rng.uniform(0.15, 1.4), (0, 0.66), p.hue("fbf6ea", "e8d8b8", rng=rng), p.hue("4a3424")
    for i in range(4):
        a = turn + i * math.pi / 2
        u, v = (math.cos(a), math.sin(a)), (-math.sin(a), math.cos(a))
        pos = lambda r, k: (hub[0] + u[0] * r + v[0] * k, hub[1] + u[1] * r + v[1] * k)
        p.shape([pos(0.12, 0.01), pos(0.44, 0.01), pos(0.44, 0.12), pos(0.12, 0.10)], cloth, line=0.9)
        p.stroke([pos(0, 0), pos(0.46, 0)], wood, 0.028)
        for r in (0.22, 0.33):
            p.stroke([pos(r, 0), pos(r, 0.11)], wood, 0.014)
    p.disc(*hub, 0.04, wood, line=0.8)


def balloon(p, rng):
    """A hot-air balloon, its basket's floor at (0, 0)."""
    a, b = (p.hue(*h) for h in ((("d8392f", "f4e8d0"), ("2f6fc0", "f4d048"), ("e88a2a", "8a3a8a"), ("3a9a6a", "f0e6d0"))[rng.integers(4)][k:k + 1] for k in (0, 1)))
    def half(k):                                      # the gore line at k (-1 to 1), from top to throat
        return [(k * w, y) for w, y in ((0.0, 1.0), (0.20, 0.965), (0.315, 0.86), (0.345, 0.72), (0.30, 0.54), (0.20, 0.38), (0.085, 0.26))]
    for i in range(5):
        k0, k1 = -1 + 0.4 * i, -0.6 + 0.4 * i
        p.shape(half(k0) + half(k1)[::-1], a if i % 2 == 0 else b, dark(a if i % 2 == 0 else b, 0.2), line=0.8)
    for s in (-1, 1):
        p.stroke([(s * 0.08, 0.26), (s * 0.065, 0.12)], p.hue("4a3424"), 0.014)
    p.shape([(-0.075, 0.13), (0.075, 0.13), (0.06, 0.0), (-0.06, 0.0)], p.hue("9a6a3a"))
    p.stroke([(-0.07, 0.10), (0.07, 0.10)], p.hue("5a3a20"), 0.02)


def lighthouse(p, rng):
    white, red = p.hue("fbf6ee"), p.hue("d8392f", "2f4f8f", rng=rng)
    rock = p.hue("6d5a4e", "5f6470", rng=rng)
    x, y = p.at(0, 0.86)
    lit = p.c.light.time in ("night", "sunset") or p.c.light.weather == "fog"
    for s in (-1, 1):                                 # two beams of the lamp
        p.c.shape([(x, y), (x + s * 1.1, y - 0.15), (x + s * 1.1, y + 0.11)], (1, 0.95, 0.65), alpha=0.42 if lit else 0.2)
    p.shape([(-0.46, -0.12), (-0.36, 0.04), (-0.2, 0.06), (-0.13, 0.12), (0.14, 0.12), (0.24, 0.04), (0.38, 0.02), (0.48, -0.12)], light(rock, 0.1), dark(rock, 0.4))
    for i in range(5):
        a, b = i / 5, (i + 1) / 5
        wa, wb, ya, yb = 0.135 * (1 - 0.35 * a), 0.135 * (1 - 0.35 * b), 0.1 + 0.68 * a, 0.1 + 0.68 * b
        col = red if i % 2 == 0 else white
        p.shape([(-wa, ya), (wa, ya), (wb, yb), (-wb, yb)], col, line_rgb=(1, 0.35, 0.3) if i % 2 == 0 else (0.9, 0.95, 1))
    p.box(-0.12, 0.78, 0.12, 0.81, dark(white, 0.5))
    p.box(-0.07, 0.81, 0.07, 0.91, (1, 0.93, 0.55))
    p.stroke([(0, 0.81), (0, 0.91)], dark(red, 0.4), 0.015)
    p.shape([(-0.10, 0.91), (0.10, 0.91), (0, 1.0)], red)
    p.box(-0.03, 0.1, 0.03, 0.2, dark(white, 0.6), line=0.7)


def tree(p, rng):
    trunk, leaf = p.hue("5a3a28"), p.hue("4f8f3c", "e58fb0", "d9822e", "b8433a", "6fa040", rng=rng)
    p.shape([(-0.10, 0), (-0.05, 0.10), (-0.04, 0.38), (-0.18, 0.58), (-0.13, 0.60), (0, 0.46), (0.14, 0.60), (0.18, 0.56), (0.05, 0.36), (0.055, 0.10), (0.11, 0)], trunk, line_rgb=(1, 0.6, 0.3))
    for dx, y, r in ((-0.22, 0.56, 0.20), (0.22, 0.55, 0.20), (-0.14, 0.74, 0.19), (0.15, 0.75, 0.19), (0.0, 0.62, 0.22), (0.0, 0.83, 0.18)):
        p.disc(dx + rng.uniform(-0.02, 0.02), y + rng.uniform(-0.02, 0.02), r, light(leaf, 0.2), squash=0.9, bottom=dark(leaf, 0.25))


def easel(p, rng):
    """A painting of an apple on an easel."""
    wood, shade = p.hue("8a5a30"), p.hue("5f3a1c")
    for s in (-1, 1):
        p.shape([(s * 0.05, 1.0), (s * 0.09, 1.0), (s * 0.33, 0.0), (s * 0.27, 0.0)], wood, shade)
    p.box(-0.03, 0.86, 0.03, 1.04, wood)
    back = p.hue("f4ecd8", "cfe0e8", "f2dcc0", rng=rng)
    p.box(-0.32, 0.32, 0.32, 0.92, back, light(back, 0.3), line_rgb=(0.9, 0.95, 1))
    p.box(-0.36, 0.27, 0.36, 0.32, wood, shade)
    col, r, ax, ay = p.hue("cf2f2a", "d8402f", "6fae3a", rng=rng), 0.17, rng.uniform(-0.03, 0.03), 0.58
    pts = [(ax + r * 1.05 * math.cos(k) * (1 - 0.08 * math.sin(k)), ay + r * math.sin(k) - 0.28 * r * math.exp(-8 * math.cos(k) ** 2) * (1 if math.sin(k) > 0 else -0.4))
           for k in np.linspace(0, 2 * math.pi, 40)]
    p.shape(pts, light(col, 0.2), dark(col, 0.3), line_rgb=light(col, 0.1))
    p.stroke([(ax, ay + r * 0.72), (ax + 0.03, ay + r * 1.25)], p.hue("4a2f1a"), 0.024)
    p.shape([(ax + 0.03, ay + r), (ax + 0.09, ay + r * 1.32), (ax + 0.16, ay + r * 1.1), (ax + 0.09, ay + r * 0.92)], p.hue("5fa83a"), line=0.7, line_rgb=(0.4, 1, 0.4))
    x, y = p.at(ax - r * 0.4, ay + r * 0.3)
    p.c.glow(x, y, r * 0.5 * p.s, (1, 1, 1), 0.7)


def inkglass(p, rng):
    """A glass of water in which ink spreads."""
    water, wt, wb, level, floor = p.hue("b4dce8"), 0.33, 0.26, 0.66, 0.0
    col = p.hue("1a1a3a", "2a1450", "101018", "5a1030", rng=rng)
    p.shape([(-wt, 0.84), (wt, 0.84), (wb, 0), (-wb, 0)], p.hue("e8f0f2"), line_rgb=(0.6, 0.95, 1))
    wl = wb + (wt - wb) * level / 0.84
    p.shape([(-wl + .02, level), (wl - .02, level), (wb - .02, 0.03), (-wb + .02, 0.03)], light(water, 0.3), water, line=0.8, line_rgb=(0.3, 0.7, 1))
    ix, end = rng.uniform(-0.05, 0.05), rng.uniform(0.18, 0.30)
    for i in range(3):                                # the plume: a stem and three pairs of curls, wider below
        k = (i + 1) / 3
        y, s = level + (end - level) * k, 0.05 + 0.08 * k
        for sgn in (-1, 1):
            p.disc(ix + sgn * s * rng.uniform(0.7, 1.05), y + rng.uniform(-0.02, 0.02), 0.045 + 0.035 * k, mix(col, water, 0.30), bottom=col, squash=0.85, line=0.7,
                   line_rgb=(0.75, 0.4, 1))
    p.shape([(ix - 0.035, level), (ix + 0.035, level), (ix + 0.06, end), (ix, end - 0.06), (ix - 0.06, end)], col, line=0)
    p.disc(ix, 0.95, 0.042, col, line_rgb=(0.75, 0.4, 1))
    p.shape([(ix - 0.037, 0.96), (ix, 1.05), (ix + 0.037, 0.96)], col, line=0)
    x, y = p.at(-wt + 0.08, 0.7)
    p.c.shape([p.at(-wt + 0.06, 0.78), p.at(-wt + 0.10, 0.78), p.at(-wb + 0.08, 0.12), p.at(-wb + 0.05, 0.12)], (1, 1, 1), alpha=0.45)


THING = {"lighthouse": lighthouse, "tree": tree, "easel": easel, "inkglass": inkglass, "cat": cat, "bird": bird, "fish": fish,
         "horse": horse, "person": person, "boat": boat, "castle": castle, "train": train, "flower": flower, "moon": moon,
         "windmill": windmill, "balloon": balloon}
# How high a thing is alone, in units, and how wide for its height.
HEIGHT = {"lighthouse": 0.72, "tree": 0.66, "easel": 0.86, "inkglass": 0.74, "cat": 0.52, "bird": 0.46, "fish": 0.58, "horse": 0.50,
          "person": 0.40, "boat": 0.50, "castle": 0.58, "train": 0.34, "flower": 0.66, "moon": 0.40, "windmill": 0.66, "balloon": 0.54}
WIDTH = {"lighthouse": 0.7, "tree": 0.85, "easel": 0.75, "inkglass": 0.7, "cat": 0.95, "bird": 1.25, "fish": 1.1, "horse": 1.4,
         "person": 0.6, "boat": 1.0, "castle": 1.15, "train": 2.4, "flower": 0.56, "moon": 1.0, "windmill": 0.9, "balloon": 0.72}
# Where something sits on it: x, y of its own coordinates.
TOP = {"tree": (0, 0.97), "castle": (-0.23, 0.44), "boat": (-0.2, 0.20), "lighthouse": (0, 0.99), "windmill": (0, 0.79),
       "horse": (-0.08, 0.66), "train": (-0.72, 0.82)}
FLIES = ("bird", "balloon", "moon")
