# compose.py: puts a picture together: a place, or a setting with one to three of a thing, or two subjects in a relation.
import numpy as np

from . import places, things
from .canvas import Canvas, Light
from .things import FLIES, HEIGHT, TOP, WIDTH, Pen


def put(c, rng, name, x, y, s, depth=0.0, indoors=False, d=None, **more):
    """Draws a thing with its foot (or what its coordinates begin at) on (x, y), s high."""
    d = d if d is not None else (1 if rng.random() < 0.5 else -1)
    things.THING[name](Pen(c, x, y, s, d, depth, indoors), rng, **more)


def fit(c, name, s, room):
    """A height of at most s, so that the thing is no wider than `room`."""
    return min(s, 0.94 * room / WIDTH[name])


def level(c, rng, name, y):
    """Where a thing's coordinates begin: on the ground, or in the air."""
    return {"bird": rng.uniform(0.26, 0.36), "balloon": rng.uniform(0.54, 0.60), "moon": rng.uniform(0.26, 0.32)}[name] * c.H if name in FLIES else y


def alone(c, rng, a):
    name, n = a["subject"], a["count"] or 1
    if name in places.PLACE:
        return places.PLACE[name](c, rng)
    indoors = a["setting"] == "room" or name == "fish"
    x, y = places.SETTING[a["setting"]](c, rng, avoid=0.5 if n == 1 else None, moon=name == "moon") if name != "fish" else places.deep(c, rng)
    if n == 1:
        x += rng.uniform(-0.08, 0.08) * c.W
    s = HEIGHT[name] * rng.uniform(0.92, 1.06) * min(1.15, 1 + 0.25 * (c.H - 1))
    slot = c.W / n
    d = 1 if rng.random() < 0.5 else -1
    if n > 1 and c.H > 1.2 * slot * n and (name in FLIES or name == "fish"):          # above each other in a high picture
        s = fit(c, name, s * 0.8, c.W * 0.8)
        for i in range(n):
            put(c, rng, name, (0.5 + rng.uniform(-0.14, 0.14)) * c.W, (0.8 if name == "fish" else 0.62) * c.H * (i + 0.7) / n + (s * 0.3 if name == "balloon" else 0), s, indoors=indoors, d=d)
        return None
    s = fit(c, name, s * (1.0, 0.86, 0.72)[n - 1], slot)
    for i in range(n):
        at = x if n == 1 else (i + 0.5 + rng.uniform(-0.06, 0.06)) * slot
        yy = rng.uniform(0.42, 0.56) * c.H if name == "fish" else level(c, rng, name, y)
        if n > 1:
            yy += (0.07, -0.07, 0.05)[i] * (1.6 if name in FLIES or name == "fish" else 0.25)
        if name in ("balloon", "moon") and c.H > 1.2:
            yy -= 0.05
        put(c, rng, name, at, yy, s * rng.uniform(0.95, 1.03), indoors=indoors, d=d)


def beside(c, rng, a):
    first, second, n = a["subject"], a["second"], a["count"] or 1
    _, y = places.SETTING[a["setting"]](c, rng, moon="moon" in (first, second))
    tall = c.H > 1.2
    for name, cx, count in ((first, 0.27, n), (second, 0.74, 1)):
        room = (0.50 if count == 1 else 0.54) * c.W
        s = HEIGHT[name] * (0.86 if name in ("cat", "flower", "horse") else 0.94) * rng.uniform(0.95, 1.05) * (1.1 if tall else 1.0)
        s = fit(c, name, s, room / count)
        for i in range(count):
            x = (cx + rng.uniform(-0.03, 0.03)) * c.W + (i - (count - 1) / 2) * room / count * 0.92
            put(c, rng, name, x, level(c, rng, name, y) + (0.04 * (i % 2) if count > 1 else 0), s, indoors=a["setting"] == "room")


def on_top(c, rng, a):
    first, second = a["subject"], a["second"]
    if second in places.PLACE:
        x, y = places.mountains(c, rng, summit=True) if second == "mountains" else places.PLACE[second](c, rng)
        s = {"train": 0.24, "castle": 0.40, "boat": 0.44, "bird": 0.28, "horse": 0.36, "person": 0.30}.get(first, 0.34)
        put(c, rng, first, x + rng.uniform(-0.04, 0.04), y, fit(c, first, s, c.W), **({"sits": True} if first == "bird" else {}))
        if second == "sea":                           # the hull sinks into a wave
            pts = [(t * c.W, y + 0.035 - 0.03 * np.sin(9 * t * c.W)) for t in np.linspace(-0.1, 1.1, 30)]
            deep = c.light.on((0.11, 0.37, 0.53))
            c.shape(pts + [(1.1 * c.W, y + 0.11), (-0.1 * c.W, y + 0.11)], deep, deep, line=0.012, line_rgb=(0.4, 0.9, 1))
        return
    setting = "shore" if second in ("boat", "lighthouse") else "meadow"
    x, y = places.SETTING[setting](c, rng, avoid=0.5)
    s = fit(c, second, HEIGHT[second] * (1.15 if second == "horse" else 1.0), c.W) * (0.8 if second in ("tree", "lighthouse", "windmill") else 1.0)
    y, d = min(y + 0.03, 0.93 * c.H), 1 if rng.random() < 0.5 else -1
    put(c, rng, second, x, y, s, d=d)
    tx, ty = TOP[second]
    k = {"bird": 0.22, "cat": 0.24, "person": 0.30}[first] * (1.0 if second != "boat" else 0.85)
    put(c, rng, first, x + d * s * tx, y - s * ty, k, **({"sits": True} if first == "bird" else {}))


def behind(c, rng, a):
    far, near = a["subject"], a["second"]
    setting = "shore" if near in ("boat", "lighthouse") else "meadow"
    if far in places.PLACE:
        x, y = places.PLACE[far](c, rng)
        if far == "mountains" or near != "boat":      # a strip of ground (or water) before it
            col = c.light.on((0.45, 0.58, 0.30)) if far != "desert" else c.light.on((0.88, 0.70, 0.44))
            if near == "boat":
                col = c.light.on((0.16, 0.42, 0.58))
            c.ground([(t * c.W, (0.86 + 0.012 * np.sin(7 * t + a["count"] if a["count"] else 7 * t)) * c.H) for t in np.linspace(-0.1, 1.1, 16)], col, (col[0] * 0.7, col[1] * 0.75, col[2] * 0.7))
        s = fit(c, near, HEIGHT[near] * 0.86, c.W * 0.9)
        put(c, rng, near, (0.5 + rng.uniform(-0.12, 0.12)) * c.W, (0.94 if near != "boat" else 0.92) * c.H, s)
        return
    x, y = places.SETTING[setting](c, rng, moon=far == "moon")
    side = 1 if rng.random() < 0.5 else -1
    s = fit(c, near, HEIGHT[near] * (0.86 if far != "moon" else 0.9) * (0.8 if near in ("tree",) and far != "moon" else 1.0), c.W * 0.8)
    if far == "moon":
        put(c, rng, "moon", x - side * 0.05, y - s * 0.80, 0.56)
    else:
        put(c, rng, far, x - side * 0.13 * c.W, y - 0.06, fit(c, far, HEIGHT[far] * 1.08, c.W), depth=0.25)
    put(c, rng, near, x + side * (0.0 if far == "moon" else 0.12) * c.W, min(y + (0.03 if far == "moon" else 0.07), 0.95 * c.H), s)


COMPOSE = {"alone": alone, "left": beside, "on": on_top, "behind": behind}


def draw(attrs, rng, height, width):
    c = Canvas(height, width, Light(attrs["time"], attrs["weather"]))
    COMPOSE[attrs["relation"]](c, rng, attrs)
    return c.arrays()
