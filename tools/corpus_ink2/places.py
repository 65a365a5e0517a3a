# places.py: skies and the places that fill a picture, drawn from far to near in units of the shorter side (0,0 top left). A place
# gives back the point on which something can stand on it, and on which it can stand before it.
import math

import numpy as np

from corpus.canvas import mix, peak_line, rgb, wave_line
from corpus.scenes import _cactus, _ship, cloud, fir

from .canvas import noise


def wide(c, pts):
    """Points across a unit, across this canvas."""
    return [(x * c.W, y) for x, y in pts]


def sky(c, rng, horizon, avoid=None, moon=False):
    """Sky with the sign of the hour: rays at dawn, clouds at noon, a barred sun at sunset, crescent and stars at night. horizon: a
    low sun stands just above; avoid: where it must not stand; moon: a larger one is to come."""
    L = c.light
    c.vertical(0, c.H, [L.sky[0]] * 2)
    c.vertical(0, horizon + 0.02, L.sky)
    dim = {"clear": 1.0, "fog": 0.75, "rain": 0.6, "snow": 0.75}[L.weather]
    x = rng.uniform(0.15, 0.85) * c.W
    if avoid is not None:
        x = avoid * c.W + (1 if avoid < 0.5 else -1) * rng.uniform(0.28, 0.4) * c.W
    if not (moon and L.time == "night"):
        {"dawn": _dawn, "day": _noon, "sunset": _sunset, "night": _night}[L.time](c, rng, x, horizon, dim)
    else:
        _stars(c, rng, horizon, dim)
    if L.weather in ("rain", "snow"):
        grey = mix(L.sky[0], (0.2, 0.22, 0.28) if L.weather == "rain" else (0.75, 0.78, 0.84), 0.5)
        for i in range(round(4 * c.W)):
            cloud(c, rng.uniform(-0.05, 0.2) + 0.25 * i, rng.uniform(0.0, 0.06), rng.uniform(0.13, 0.18), grey, 0.85)
    return x


def _dawn(c, rng, x, horizon, dim):
    y, n = horizon - 0.02, 9
    c.glow(x, y, 0.8 * max(c.W, c.H), (1, 0.93, 0.75), 0.9 * dim)
    for i in range(n):                                # a fan of rays
        a = math.pi * (1 + (i + 0.5) / n)
        pts = [(x, y)] + [(x + 2 * math.cos(a + d), y + 2 * math.sin(a + d)) for d in (-0.07, 0.07)]
        c.shape(pts, (1, 0.97, 0.82), alpha=0.26 * dim + 0.08)
        c.stroke([(x + r * math.cos(a), y + r * math.sin(a)) for r in (0.15, 0.45)], (1, 0.93, 0.7), 0.01, alpha=0.7, line_rgb=(1, 0.8, 0.4))
    c.disc(x, y, 0.10, (1, 0.98, 0.86), line_rgb=(1, 0.85, 0.4))


def _noon(c, rng, x, horizon, dim):
    y = rng.uniform(0.11, 0.17) * c.H
    c.glow(x, y, 0.3, (1, 1, 0.85), 0.9 * dim)
    c.disc(x, y, 0.06, (1, 0.98, 0.70), line_rgb=(1, 0.95, 0.3))
    for i in range(10):
        a = i * math.pi / 5
        c.stroke([(x + r * math.cos(a), y + r * math.sin(a)) for r in (0.085, 0.125)], (1, 0.98, 0.8), 0.014)
    for i in range(2):
        cx = (x + 0.35 * c.W + 0.3 * i * c.W + rng.uniform(-0.05, 0.05)) % c.W
        puffy(c, cx, rng.uniform(0.12, 0.26) * c.H, rng.uniform(0.09, 0.13), mix(c.light.sky[2], (1, 1, 1), 0.8))


def puffy(c, x, y, w, colour):
    """A cloud with an outline."""
    pts = [(-1.2, .32), (-1.25, .05), (-.9, -.1), (-.75, -.4), (-.3, -.42), (-.1, -.75), (.35, -.65), (.5, -.3), (.85, -.35), (1.05, 0), (1.25, .1), (1.2, .32)]
    c.shape([(x + w * a, y + w * b) for a, b in pts], colour, mix(colour, c.light.sky[1], 0.35), smooth=True, line=0.012)


def _sunset(c, rng, x, horizon, dim):
    y, r = horizon - rng.uniform(0.06, 0.11), rng.uniform(0.13, 0.16)
    c.glow(x, y, 0.6 * max(c.W, c.H), (1, 0.62, 0.25), 0.85 * dim)
    c.disc(x, y, r, (1, 0.88, 0.38), bottom=(1, 0.35, 0.2), line_rgb=(1, 0.45, 0.2))
    for k in (-0.3, 0.15, 0.55):                      # bars of cloud before the sun
        h, w = y + k * r, r * rng.uniform(1.1, 1.8)
        c.shape([(x - w, h), (x + w, h - 0.01), (x + w, h + 0.01), (x - w, h + 0.018)], mix(c.light.sky[1], (0.3, 0.1, 0.3), 0.45), line=0)


def _stars(c, rng, horizon, dim):
    across, down = round(6 * c.W), max(2, round(5 * horizon))
    for i in range(across):                           # on a jittered grid
        for j in range(down):
            sx, sy = (i + rng.uniform(0.1, 0.9)) / across * c.W, (j + rng.uniform(0.1, 0.9)) / down * horizon * 0.9
            c.disc(sx, sy, rng.uniform(0.006, 0.011), mix(c.light.sky[0], (1, 1, 0.9), 0.95 * dim), line=0.01, line_rgb=(1, 1, 0.9))


def _night(c, rng, x, horizon, dim):
    _stars(c, rng, horizon, dim)
    y = rng.uniform(0.14, 0.2) * c.H
    c.glow(x, y, 0.3, (1, 0.95, 0.7), 0.5 * dim)
    a = np.linspace(-2.0, 2.0, 22)                    # a crescent, open to the left
    outer = [(x + 0.09 * math.cos(t), y + 0.09 * math.sin(t)) for t in a]
    inner = [(x - 0.04 + 0.08 * math.cos(t), y + 0.083 * math.sin(t)) for t in a[::-1] * 0.9]
    c.shape(outer + inner, (1, 0.96, 0.72), line_rgb=(1, 0.95, 0.5))


def fog(c, *bands):
    if c.light.weather == "fog":
        for y in bands:
            c.band(y - 0.15, y + 0.11, c.light.haze, 0.75)


def firs(c, rng, base, colour, depth, count, height):
    col = c.light.on(colour, depth)
    for i in range(count):
        fir(c, (i + rng.uniform(0.2, 0.8)) / count * c.W, base + rng.uniform(-0.02, 0.03), height * rng.uniform(0.8, 1.25), col)


def meadow(c, rng, avoid=None, moon=False, horizon=None):
    """Hills and grass; something may stand on it at 0.86 of the height."""
    h = (horizon or rng.uniform(0.60, 0.66)) * c.H
    sky(c, rng, h, avoid, moon)
    L, on = c.light, c.light.on
    far = rgb(("6f9f8a", "7f9fb0", "8fae7a")[rng.integers(3)])
    c.ground(wide(c, wave_line(rng, h + 0.02, 0.10, 1.2 * c.W, rough=0.3)), on(far, 0.6), mix(on(far, 0.5), L.haze, 0.3))
    fog(c, h)
    grass = rgb(("7fae4c", "a8b455", "8fae6a", "6fa04a")[rng.integers(4)])
    c.ground(wide(c, wave_line(rng, h + 0.10 * c.H, 0.05, 0.8 * c.W, rough=0.2)), on(mix(grass, (1, 1, 1), 0.15), 0.1), on(mix(grass, (0, 0.15, 0), 0.5)))
    tuft = on(mix(grass, (0, 0.1, 0), 0.45))
    for _ in range(round(5 * c.W)):
        x, y = rng.uniform(0, c.W), rng.uniform(0.9, 0.99) * c.H
        for d in (-0.018, 0, 0.018):
            c.stroke([(x + d * 0.4, y), (x + d, y - 0.035)], tuft, 0.008)
    return 0.5 * c.W, 0.86 * c.H


def water(c, y, near="1c5f86", far="3f9bb5"):
    L, on = c.light, c.light.on
    c.shape([(-.1, y), (c.W + .1, y), (c.W + .1, c.H + .1), (-.1, c.H + .1)], mix(on(rgb(far), 0.4), L.sky[2], 0.3), on(rgb(near)))


def ripples(c, rng, y, count=7):
    col = mix(c.light.on(rgb("1c5f86")), (1, 1, 1), 0.4)
    for i in range(count):
        x, k = rng.uniform(0, c.W), (i + rng.uniform(0.2, 0.8)) / count
        yy = y + 0.03 + (c.H - y - 0.05) * k
        w = 0.03 + 0.05 * k
        c.stroke([(x - w, yy), (x - w / 2, yy - 0.008), (x, yy), (x + w / 2, yy - 0.008), (x + w, yy)], col, 0.009, smooth=True, line_rgb=(0.4, 0.9, 1))


def shore(c, rng, avoid=None, moon=False, horizon=None):
    """Calm water to the horizon; something may swim on it at 0.74 of the height."""
    h = (horizon or rng.uniform(0.52, 0.58)) * c.H
    x = sky(c, rng, h, avoid, moon)
    water(c, h)
    if not moon:
        for i in range(4):                            # the light's road on the water
            w = 0.05 + 0.03 * i
            c.stroke([(x - w, h + 0.04 + 0.08 * i), (x + w, h + 0.04 + 0.08 * i)], mix(c.light.sky[2], (1, 1, 0.9), 0.5), 0.02, alpha=0.8, line=False)
    fog(c, h + 0.04)
    ripples(c, rng, h)
    return 0.5 * c.W, 0.74 * c.H


def room(c, rng, avoid=None, moon=False):
    """A wall and a floor (or a table); something may stand on it at 0.84 of the height."""
    wall = rgb(("d9cfb8", "a9c0c4", "d8b8a4", "b4bfa0", "c8b4cc")[rng.integers(5)])
    c.vertical(0, c.H, [mix(wall, (1, 1, 1), 0.3), wall])
    y = rng.uniform(0.74, 0.78) * c.H
    wood = rgb(("a87a4e", "8a5a3c", "b89468")[rng.integers(3)])
    c.shape([(-.1, y), (c.W + .1, y), (c.W + .1, c.H + .1), (-.1, c.H + .1)], wood, mix(wood, (0, 0, 0), 0.3))
    for k in (0.35, 0.7):
        c.stroke([(-.1, y + (c.H - y) * k), (c.W + .1, y + (c.H - y) * k)], mix(wood, (0, 0, 0), 0.25), 0.006)
    return 0.5 * c.W, 0.88 * c.H


def deep(c, rng, avoid=None, moon=False):
    """Under water: rays of light from above, weeds and sand; something may swim in its middle."""
    top, low = (rgb(v) for v in (("7fd8e0", "0f4f86"), ("8fe0c8", "0f5a6a"), ("9fc8f0", "1f3f8a"))[rng.integers(3)])
    c.vertical(0, c.H, [top, low])
    for _ in range(round(4 * c.W)):
        x, w = rng.uniform(0, c.W), rng.uniform(0.04, 0.08)
        c.shape([(x, 0), (x + w, 0), (x + w - 0.25, c.H), (x - w - 0.35, c.H)], (1, 1, 0.9), alpha=0.13)
    sand = rgb(("e0c890", "cfc0a0")[rng.integers(2)])
    c.ground(wide(c, wave_line(rng, 0.93 * c.H, 0.05, 1.5 * c.W, rough=0.2)), mix(sand, low, 0.25), mix(sand, low, 0.5))
    for i in range(round(6 * c.W)):
        x, h = (i + rng.uniform(0.1, 0.9)) / 6, rng.uniform(0.14, 0.3)
        if 0.28 < x / c.W < 0.72:
            h *= 0.6
        pts = [(x + 0.03 * math.sin(k * 1.6 + i), c.H * 0.95 - h * k / 5) for k in range(6)]
        c.stroke(pts, mix(rgb(("2f8a4a", "4a9a3a", "a03a5a")[rng.integers(3)]), low, 0.15), 0.022, smooth=True, line_rgb=(0.3, 1, 0.4))
    for _ in range(round(6 * c.W)):
        c.disc(rng.uniform(0, c.W), rng.uniform(0.05, 0.7) * c.H, rng.uniform(0.01, 0.02), mix(top, (1, 1, 1), 0.6), line=0.01, line_rgb=(0.7, 1, 1))
    return 0.5 * c.W, 0.5 * c.H


def mountains(c, rng, summit=False):
    sky(c, rng, 0.42 * c.H)
    L, on = c.light, c.light.on
    rock = rgb(("5b6f9c", "6b6f80", "4f7a86", "7a6a70")[rng.integers(4)])
    for base, height, peaks, depth in ((0.60, 0.26, 3, 0.75), (0.74, 0.38, 2, 0.4)) + (() if summit else ((0.90, 0.30, 3, 0.05),)):
        pts = wide(c, peak_line(rng, base * c.H, height * rng.uniform(0.85, 1.1), max(2, round(peaks * c.W))))
        top = on(rock, depth)
        c.ground(pts, top, mix(top, L.haze, 0.3 if L.weather != "fog" else 0.7))
        if depth < 0.7:
            _caps(c, pts, on((0.97, 0.98, 1), depth * 0.5), base * c.H)
        fog(c, base * c.H)
    x, y = 0.5 * c.W, 0.52 * c.H
    if summit:                                        # one broad hill of rock in front, flat enough on top
        pts = [(-0.1, 0.98 * c.H), (x - 0.40, 0.84 * c.H), (x - 0.22, 0.66 * c.H), (x - 0.14, y), (x + 0.14, y), (x + 0.24, 0.68 * c.H), (x + 0.42, 0.86 * c.H), (c.W + 0.1, 0.97 * c.H)]
        c.ground(pts, on(mix(rock, rgb("7d8a4e"), 0.4)), mix(on(rock), (0, 0, 0), 0.25))
        c.shape([(x + 0.02, y + 0.02), (x + 0.14, y), (x + 0.24, 0.68 * c.H), (x + 0.30, c.H), (x + 0.08, c.H)], mix(on(rock), (0, 0, 0), 0.4), line=0, alpha=0.45)
    firs(c, rng, 0.99 * c.H, rgb("2f5a44"), 0.0, round(6 * c.W), 0.13)
    return x, y + 0.015


def _caps(c, pts, white, base):
    """Snow on the summits of a ridge."""
    for (x0, y0), (x1, y1), (x2, y2) in zip(pts, pts[1:], pts[2:]):
        if y1 < y0 and y1 < y2 and base - y1 > 0.12:
            k = 0.42
            a, b = (x1 + (x0 - x1) * k * 1.6, y1 + (y0 - y1) * k * 1.6), (x1 + (x2 - x1) * k * 1.6, y1 + (y2 - y1) * k * 1.6)
            c.shape([(x1, y1), b, ((x1 + b[0]) / 2, (y1 + b[1]) / 2 + 0.015), (x1, y1 + (a[1] + b[1] - 2 * y1) * 0.45), ((x1 + a[0]) / 2, (y1 + a[1]) / 2 + 0.015), a], white, line=0.01)


def sea(c, rng):
    """A rolling sea with crests of foam, and no boat."""
    h = rng.uniform(0.42, 0.48) * c.H
    sky(c, rng, h)
    L, on = c.light, c.light.on
    deep_ = on(rgb(("1c5f86", "1f6f80", "1f4f86")[rng.integers(3)]))
    c.shape([(-.1, h), (c.W + .1, h), (c.W + .1, c.H + .1), (-.1, c.H + .1)], mix(on(rgb("3f9bb5"), 0.5), L.sky[2], 0.3), deep_)
    fog(c, h + 0.04)
    for i in range(5):
        y, a = h + (0.07 + 0.125 * i * (0.8 + 0.06 * i)) * c.H, 0.028 + 0.014 * i
        n = max(2, round((6 - i) * c.W))
        ph, pts = rng.random(), []
        for k in range(n * 4 + 5):                    # pointed crests between round troughs
            t = (k / 4 + ph) % 1
            pts.append(((k / 4 - 0.5) / n * c.W, y - a * (1 - math.sin(math.pi * t)) * 1.5))
        c.ground(pts, mix(on(rgb("5ab8c4"), 0.1), deep_, i / 5), mix(deep_, (0, 0, 0), 0.1 * i), line=0.016, line_rgb=(0.4, 0.9, 1))
        c.stroke([(x, yy + 0.012) for x, yy in pts], mix(deep_, on((0.97, 1, 1)), 0.85), 0.010 + 0.003 * i, line=False)
        fog(c, *([y + 0.05] if i in (1, 3) else []))
    return 0.5 * c.W, h + 0.24 * c.H


def forest(c, rng):
    h = 0.60 * c.H
    sky(c, rng, 0.32 * c.H)
    L, on = c.light, c.light.on
    ground = on(rgb("6f8f4a"))
    c.ground(wide(c, wave_line(rng, 0.70 * c.H, 0.04, 1)), mix(ground, L.haze, 0.4), ground)
    green = rgb(("2f6b45", "3f7a3a", "28606a")[rng.integers(3)])
    firs(c, rng, 0.69 * c.H, green, 0.6, round(9 * c.W), 0.34)
    fog(c, h + 0.05)
    px, path = rng.uniform(0.4, 0.6) * c.W, on(rgb("d9b98a"))
    c.shape([(px - 0.02, 0.69 * c.H), (px + 0.02, 0.69 * c.H), (px + 0.10, 0.83 * c.H), (px + 0.26, 1.02 * c.H), (px - 0.22, 1.02 * c.H), (px - 0.03, 0.83 * c.H)],
            mix(path, L.haze, 0.3), path)
    for side in (-1, 1):
        for k, (dx, y, s) in enumerate(((0.17, 0.77, 0.36), (0.30, 0.84, 0.50), (0.43, 0.95, 0.66), (0.70, 0.93, 0.56))):
            col = on(green, max(0.0, 0.3 - 0.12 * k))
            fir(c, px + side * (dx + rng.uniform(-0.02, 0.02)), (y + rng.uniform(-0.02, 0.02)) * c.H, s * rng.uniform(0.9, 1.1), col)
    fog(c, 0.84 * c.H)
    return px, 0.9 * c.H


def city(c, rng):
    h = 0.76 * c.H
    sky(c, rng, 0.34 * c.H)
    L, on = c.light, c.light.on
    dark = L.time in ("night", "sunset")
    for depth, n, lo, hi in ((0.6, 8, 0.26, 0.46), (0.08, 5, 0.24, 0.56)):
        x = -0.03
        while x < c.W:
            w, top = rng.uniform(0.8, 1.25) / n, h - rng.uniform(lo, hi)
            wall = on(rgb(("6a7896", "8a7f88", "56708a", "96705a")[rng.integers(4)]), depth)
            c.shape([(x, top), (x + w * 0.9, top), (x + w * 0.9, h), (x, h)], wall, mix(wall, L.haze, 0.25))
            if depth < 0.5:
                if rng.random() < 0.35:
                    c.shape([(x, top), (x + w * 0.9, top), (x + w * 0.45, top - 0.09)], wall)
                elif rng.random() < 0.4:
                    c.stroke([(x + w * 0.45, top), (x + w * 0.45, top - 0.1)], wall, 0.014)
                _windows(c, rng, x, top, w * 0.9, h, rgb("ffd76a") if dark else mix(wall, (0.85, 0.95, 1), 0.55), dark)
            x += w
        fog(c, h - 0.1)
    blue = on(rgb("3a6f94"))
    c.shape([(-.1, h), (c.W + .1, h), (c.W + .1, c.H + .1), (-.1, c.H + .1)], mix(blue, L.sky[2], 0.35), blue, line_rgb=(0.3, 0.8, 1))
    for i in range(round(6 * c.W)):                   # reflections
        x = (i + rng.uniform(0.2, 0.8)) / 6
        col = rgb("ffd98a") if dark else mix(blue, (1, 1, 1), 0.35)
        c.stroke([(x, h + 0.04), (x, h + rng.uniform(0.08, 0.16))], col, 0.018, alpha=0.7, line=dark, line_rgb=(1, 0.75, 0.3))
    return 0.5 * c.W, 0.9 * c.H


def _windows(c, rng, x, top, w, bottom, colour, lit):
    for i in range(3):
        for j in range(max(2, int((bottom - top) / 0.06)) - 1):
            if rng.random() < 0.7:
                cx, cy = x + w * (i + 0.75) / 3.5, top + 0.045 + 0.06 * j
                c.shape([(cx - 0.012, cy - 0.014), (cx + 0.012, cy - 0.014), (cx + 0.012, cy + 0.014), (cx - 0.012, cy + 0.014)],
                        colour, line=0.008 if lit else 0, line_rgb=(1, 0.85, 0.35))


def desert(c, rng, cactus=True):
    cx = rng.choice([rng.uniform(0.15, 0.3), rng.uniform(0.7, 0.85)])
    sky(c, rng, 0.58 * c.H, avoid=cx)
    on = c.light.on
    sand = rgb(("e8b870", "dc9a62", "e6c690")[rng.integers(3)])
    for base, height, depth, bumps in ((0.62, 0.10, 0.5, 1.3), (0.77, 0.14, 0.25, 0.9), (0.95, 0.16, 0.0, 0.7)):
        base *= c.H
        pts = wide(c, wave_line(rng, base, height, bumps * c.W, rough=0.22))
        lit = on(mix(sand, (1, 1, 1), 0.12), depth)
        c.ground(pts, lit, on(mix(sand, rgb("8a4a3a"), 0.5), depth))
        i = int(np.argmin([p[1] for p in pts[6:-16]])) + 6
        c.shape([pts[i]] + pts[i + 1:i + 14] + [(pts[i][0] + 0.1 * c.W, base + 0.12)], on(mix(sand, rgb("7a4030"), 0.55), depth), lit, line=0)
        fog(c, base + 0.03)
    _cactus(c, rng, cx * c.W, rng.uniform(0.90, 0.95) * c.H, rng.uniform(0.32, 0.40))
    _cactus(c, rng, (1 - cx) * c.W + rng.uniform(-0.06, 0.06), 0.74 * c.H, rng.uniform(0.13, 0.17))
    return 0.5 * c.W, 0.9 * c.H


def waterfall(c, rng):
    sky(c, rng, 0.3 * c.H)
    L, on = c.light, c.light.on
    rock = rgb(("6f6a62", "5f6a78", "7a6454")[rng.integers(3)])
    far = on(rock, 0.55)
    c.ground(wide(c, peak_line(rng, 0.5 * c.H, 0.26, max(2, round(2 * c.W)))), far, mix(far, L.haze, 0.4))
    x, w, top, pool = rng.uniform(0.44, 0.56) * c.W, rng.uniform(0.11, 0.14), rng.uniform(0.22, 0.27) * c.H, 0.76 * c.H
    white, blue = on(rgb("f4fbff")), on(rgb("8fcbe6"))
    c.shape([(x - w, top), (x + w, top), (x + w * 1.2, pool + 0.03), (x - w * 1.2, pool + 0.03)], white, mix(blue, white, 0.3), line_rgb=(0.4, 0.9, 1))
    for k in (-0.65, -0.25, 0.15, 0.55):
        c.stroke([(x + w * k, top + rng.uniform(0.02, 0.1)), (x + w * k * 1.15, pool - rng.uniform(0.03, 0.12))], blue, 0.016, line_rgb=(0.4, 0.9, 1))
    green = on(rgb("5f8f4a"))
    for s in (-1, 1):                                 # cliffs on both sides, in steps
        e = -0.1 if s < 0 else c.W + 0.1
        pts = [(x + s * w * 0.9, top - 0.02), (x + s * w * 1.05, 0.45 * c.H), (x + s * w * 0.95, 0.6 * c.H), (x + s * w * 1.35, pool + 0.02), (e, pool + 0.12), (e, top - rng.uniform(0.0, 0.08)),
               (x + s * (w + 0.12), top - 0.05)]
        c.shape(pts, mix(on(rock), (1, 1, 1), 0.15), mix(on(rock), (0, 0, 0), 0.35))
        c.shape([pts[0], pts[-1], pts[-2], (e, pts[-2][1] + 0.06), (x + s * (w + 0.1), top + 0.02)], green, line=0.012)
        for _ in range(4):
            rx, ry = x + s * (w + rng.uniform(0.08, 0.3)), rng.uniform(0.4, 0.7) * c.H
            c.stroke([(rx, ry), (rx + 0.03, ry + 0.05), (rx + 0.01, ry + 0.1)], mix(on(rock), (0, 0, 0), 0.45), 0.010)
        for k in (0.17, 0.29):
            fir(c, x + s * (w + k + rng.uniform(-0.02, 0.02)), top - 0.02, rng.uniform(0.15, 0.2), on(rgb("2f5a44")))
    fog(c, 0.5 * c.H)
    c.shape([(-.1, pool), (c.W + .1, pool), (c.W + .1, c.H + .1), (-.1, c.H + .1)], mix(blue, on(rgb("2f7a9a")), 0.5), on(rgb("1f5f80")), line_rgb=(0.4, 0.9, 1))
    for k in np.linspace(-1.5, 1.5, 8):               # foam
        c.disc(x + w * k, pool + rng.uniform(-0.005, 0.02), rng.uniform(0.03, 0.045), white, line=0.008, line_rgb=(0.8, 1, 1))
    ripples(c, rng, pool + 0.04, 5)
    for s in (-1, 1):
        rx = x + s * rng.uniform(0.26, 0.36)
        c.disc(rx, 0.93 * c.H, rng.uniform(0.06, 0.09), mix(on(rock), (1, 1, 1), 0.1), squash=0.6, bottom=mix(on(rock), (0, 0, 0), 0.4))
    return 0.5 * c.W, 0.96 * c.H


def bridge(c, rng):
    """A bridge of stone arches from side to side over a river; something may stand on it."""
    h = 0.56 * c.H
    sky(c, rng, 0.40 * c.H)
    L, on = c.light, c.light.on
    hills = rgb(("6f9f8a", "7f9fb0", "6a8f6a")[rng.integers(3)])
    c.ground(wide(c, wave_line(rng, h, 0.12, 1.3 * c.W, rough=0.35)), on(hills, 0.6), mix(on(hills, 0.5), L.haze, 0.3))
    fog(c, h)
    river = 0.74 * c.H
    water(c, river)
    ripples(c, rng, river + 0.03, 8)
    stone = on(rgb(("b8a48a", "a8a4a0", "a87a5e")[rng.integers(3)]))
    deck, rise = rng.uniform(0.50, 0.53) * c.H, rng.uniform(0.0, 0.04)
    n = max(2, round(rng.uniform(2.2, 3.2) * c.W))
    step, foot = c.W / n, 0.84 * c.H
    curve = lambda x: deck - rise * math.sin(math.pi * min(1, max(0, x / c.W)))
    pts = [(x, curve(x)) for x in np.linspace(-0.1, c.W + 0.1, 24)]
    r, k = step * 0.36, min(1.25, (foot - deck - 0.09) / (step * 0.36))
    for i in range(n, 0, -1):                         # from right to left along the lower edge, an arch for each
        cx = (i - 0.5) * step
        spring = curve(cx) + 0.08 + r * k
        pts += [(cx + r, foot), (cx + r, max(spring, deck))] + [(cx + r * math.cos(a), spring - r * k * math.sin(a)) for a in np.linspace(0.15, math.pi - 0.15, 12)] + [(cx - r, foot)]
        pts += [(cx - step / 2 - (0.1 if i == 1 else 0), foot)]
    pts.insert(24, (c.W + 0.1, foot))
    c.shape(pts, mix(stone, (1, 1, 1), 0.15), mix(stone, (0, 0, 0), 0.3), line=0.02, line_rgb=(1, 0.75, 0.4))
    c.stroke([(x, curve(x) + 0.035) for x in np.linspace(-0.1, c.W + 0.1, 12)], mix(stone, (0, 0, 0), 0.4), 0.010)
    for i in range(round(9 * c.W)):                   # a row of stones above the arches
        x = (i + 0.5) / 9
        c.stroke([(x, curve(x) + 0.008), (x, curve(x) + 0.030)], mix(stone, (0, 0, 0), 0.4), 0.007)
    fog(c, river)
    return 0.5 * c.W, curve(0.5 * c.W)


def spaceport(c, rng):
    sets = (("b03a8c", "2f6fc4", "f08a5a"), ("2fa08c", "5a3ab0", "e86a9a"), ("c4503a", "3a4ab8", "f0c45a"))
    img = np.zeros((c.height, c.width, 3), np.float32) + np.array(rgb("0b0a24"), np.float32)
    for hue in sets[rng.integers(3)]:
        k = np.clip(noise(rng, (c.height, c.width), 3, 2) * 1.7 - 0.75, 0, 1)[..., None] * 0.85
        img = img * (1 - k) + np.array(rgb(hue), np.float32) * k
    c.paint(img)
    for i in range(round(5 * c.W)):
        for j in range(round(5 * c.H)):
            c.disc((i + rng.uniform(0.1, 0.9)) / 5, (j + rng.uniform(0.1, 0.9)) / 5, rng.uniform(0.005, 0.01), (1, 1, 0.95), line=0.01)
    d = 1 if rng.random() < 0.5 else -1
    x, y, r = 0.5 * c.W + d * rng.uniform(0.17, 0.22), rng.uniform(0.42, 0.5) * c.H, rng.uniform(0.23, 0.27)
    hull, dark = rgb("b8c0d0"), rgb("545c74")
    c.stroke([(x, y - r * 1.55), (x, y + r * 1.55)], dark, 0.05)
    a = np.linspace(0, 2 * math.pi, 40)
    c.shape([(x + r * math.cos(t), y + 0.42 * r * math.sin(t)) for t in a], hull, dark, line_rgb=(0.4, 0.9, 1))
    c.shape([(x + r * 0.68 * math.cos(t), y + 0.25 * r * math.sin(t)) for t in a], rgb("171a38"), line_rgb=(0.4, 0.9, 1))
    c.shape([(x - 0.06, y - r * 0.9), (x + 0.06, y - r * 0.9), (x + 0.075, y + r * 0.9), (x - 0.075, y + r * 0.9)], hull, dark, line_rgb=(0.5, 0.9, 1))
    c.disc(x, y - r * 0.95, 0.085, mix(hull, (1, 1, 1), 0.4), squash=0.75, bottom=dark, line_rgb=(0.5, 0.9, 1))
    for k in (-0.6, -0.2, 0.2, 0.6):
        c.disc(x, y + r * k, 0.018, rgb("ffd76a"), line=0.01, line_rgb=(1, 0.8, 0.3))
    arm = y + r * 0.62
    c.stroke([(x, arm), (x - d * r * 1.25, arm)], dark, 0.03)
    _ship(c, rng, x - d * rng.uniform(0.36, 0.44), arm + rng.uniform(0.14, 0.2), d)
    return x, y


PLACE = {"mountains": mountains, "sea": sea, "forest": forest, "city": city, "desert": desert, "spaceport": spaceport,
         "waterfall": waterfall, "bridge": bridge}
SETTING = {"meadow": meadow, "shore": shore, "room": room, "deep": deep}
