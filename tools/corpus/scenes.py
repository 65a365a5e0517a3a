# scenes.py: draws each subject on a canvas: sky and sun, then layers from far to near. Everything is placed by lot, in unit
# coordinates (0,0 top left).
import math

import numpy as np

from .canvas import Canvas, Light, mix, noise, peak_line, rgb, wave_line


def sky(c, rng, horizon=0.6, sun_y=None, avoid=None):
    """Sky with the sign of the hour: rays at dawn, clouds at noon, a barred sun at sunset, moon and stars at night.
    sun_y: how high a low sun stands (behind tall things); avoid: where across the picture it must not stand."""
    L = c.light
    c.vertical(0, 1, [L.sky[0]] * 2)
    c.vertical(0, horizon + 0.02, L.sky)
    dim = {"clear": 1.0, "fog": 0.75, "rain": 0.6, "snow": 0.75}[L.weather]
    x = rng.uniform(0.2, 0.8)
    if avoid is not None:
        x = avoid + (1 if avoid < 0.5 else -1) * rng.uniform(0.24, 0.36)
    horizon = sun_y or horizon
    {"dawn": _dawn, "day": _noon, "sunset": _sunset, "night": _night}[L.time](c, rng, x, horizon, dim)
    if L.weather in ("rain", "snow"):
        grey = mix(L.sky[0], (0.2, 0.22, 0.28) if L.weather == "rain" else (0.75, 0.78, 0.84), 0.5)
        for i in range(4):
            cloud(c, rng.uniform(-0.05, 0.2) + 0.25 * i, rng.uniform(0.0, 0.08), rng.uniform(0.16, 0.22), grey, 0.85)
    return x


def cloud(c, x, y, w, colour, alpha=0.9):
    for dx, dy, r in ((-0.6, 0.05, 0.5), (0, -0.12, 0.7), (0.6, 0.03, 0.55), (0.1, 0.1, 0.6)):
        c.c.save()
        c.c.translate(x + dx * w, y + dy * w)
        c.c.scale(1, 0.6)
        c.glow(0, 0, r * w * 1.5, colour, alpha)
        c.c.restore()


def _dawn(c, rng, x, horizon, dim):
    y = horizon - 0.03
    c.glow(x, y, 0.75, (1, 0.93, 0.75), 0.9 * dim)
    for i in range(7):                                # a fan of rays
        a = math.pi * (1 + (i + 0.5) / 7)
        pts = [(x, y)] + [(x + 1.2 * math.cos(a + d), y + 1.2 * math.sin(a + d)) for d in (-0.09, 0.09)]
        c.shape(pts, (1, 0.97, 0.82), alpha=0.30 * dim + 0.08)
        c.stroke([(x + 0.2 * math.cos(a), y + 0.2 * math.sin(a)), (x + 0.55 * math.cos(a), y + 0.55 * math.sin(a))],
                 (1, 0.9, 0.6), 0.0, alpha=0.8, line_rgb=(1, 0.8, 0.4))
    c.disc(x, y, 0.12, (1, 0.98, 0.86), line_rgb=(1, 0.85, 0.4))


def _noon(c, rng, x, horizon, dim):
    y = rng.uniform(0.13, 0.2)
    c.glow(x, y, 0.35, (1, 1, 0.85), 0.9 * dim)
    c.disc(x, y, 0.075, (1, 0.98, 0.75), line_rgb=(1, 0.95, 0.3))
    for i in range(8):
        a = i * math.pi / 4
        c.stroke([(x + r * math.cos(a), y + r * math.sin(a)) for r in (0.105, 0.145)], (1, 0.98, 0.8), 0.018)
    for i in range(2):
        cloud(c, (x + 0.35 + 0.35 * i + rng.uniform(-0.05, 0.05)) % 1.0, rng.uniform(0.12, 0.3), 0.13, (1, 1, 1), 0.9)


def _sunset(c, rng, x, horizon, dim):
    y, r = horizon - rng.uniform(0.08, 0.14), 0.17
    c.glow(x, y, 0.65, (1, 0.62, 0.25), 0.85 * dim)
    c.disc(x, y, r, (1, 0.85, 0.35), bottom=(1, 0.35, 0.2), line_rgb=(1, 0.45, 0.2))
    for k in (-0.25, 0.2, 0.6):                       # bars of cloud before the sun
        h = y + k * r
        w = r * rng.uniform(1.1, 1.7)
        c.shape([(x - w, h), (x + w, h - 0.012), (x + w, h + 0.012), (x - w, h + 0.022)], mix(c.light.sky[1], (0.3, 0.1, 0.3), 0.45),
                line=0)


def _turned(x, y, px, py, angle):
    if not angle:
        return x, y
    dx, dy, co, si = x - px, y - py, math.cos(angle), math.sin(angle)
    return px + dx * co - dy * si, py + dx * si + dy * co


def _night(c, rng, x, horizon, dim):
    for i in range(5):                                # stars on a jittered grid
        for j in range(3):
            sx, sy = (i + rng.uniform(0.15, 0.85)) / 5, (j + rng.uniform(0.15, 0.85)) / 3 * horizon * 0.8
            r = rng.uniform(0.010, 0.016)
            sx, sy = _turned(sx, sy, 0.5, horizon * 0.5, c.moment.turn)
            c.disc(sx, sy, r, mix(c.light.sky[0], (1, 1, 0.9), 0.95 * dim), line=0.012, line_rgb=(1, 1, 0.9))
    y = rng.uniform(0.16, 0.24)
    c.glow(x, y, 0.34, (1, 0.95, 0.7), 0.5 * dim)
    a = np.linspace(-2.0, 2.0, 22)                    # a crescent, open to the left
    outer = [(x + 0.11 * math.cos(t), y + 0.11 * math.sin(t)) for t in a]
    inner = [(x - 0.05 + 0.098 * math.cos(t), y + 0.102 * math.sin(t)) for t in a[::-1] * 0.9]
    c.shape(outer + inner, (1, 0.96, 0.72), line_rgb=(1, 0.95, 0.5))


def fog(c, rng, bands):
    if c.light.weather == "fog":
        for y in bands:
            c.band(y - 0.17, y + 0.13, c.light.haze, 0.78)


def to_ground(pts, y=1.05):
    return pts + [(pts[-1][0], y), (pts[0][0], y)]


def mountains(c, rng):
    sky(c, rng, 0.66, sun_y=0.40)
    L, on = c.light, c.light.on
    rock = rgb(("5b6f9c", "6b6f80", "4f7a86")[rng.integers(3)])
    specs = ((0.62, 0.28, 3, 0.75), (0.74, 0.38, 2, 0.4), (0.88, 0.30, 3, 0.05))
    for base, height, peaks, depth in specs:
        pts = peak_line(rng, base, height * rng.uniform(0.85, 1.1), peaks)
        top = on(rock, depth)
        c.shape(to_ground(pts), top, mix(top, L.haze, 0.35 if L.weather != "fog" else 0.75))
        fog(c, rng, [base])
    _firs(c, rng, 0.98, rgb("2f5a44"), 0.0, 5, 0.17)


def _firs(c, rng, base, colour, depth, count, height):
    col = c.light.on(colour, depth)
    for i in range(count):
        x = (i + rng.uniform(0.2, 0.8)) / count
        fir(c, x, base + rng.uniform(-0.02, 0.03), height * rng.uniform(0.8, 1.25), col)


def fir(c, x, y, h, col):
    w = h * 0.30
    pts = [(x, y - h)]
    for k in (0.4, 0.7, 1.0):
        pts += [(x + w * k, y - h + h * k), (x + w * k * 0.55, y - h + h * k)]
    pts = pts + [(2 * x - px, py) for px, py in pts[::-1]]
    c.shape(pts, mix(col, (1, 1, 1), 0.1), mix(col, (0, 0, 0), 0.2), line=0.014)


def sea(c, rng):
    h = rng.uniform(0.46, 0.54)
    bx = rng.uniform(0.3, 0.7)
    sx = sky(c, rng, h, avoid=bx)
    L, on = c.light, c.light.on
    deep = on(rgb("1c5f86"))
    c.shape([(-.1, h), (1.1, h), (1.1, 1.1), (-.1, 1.1)], mix(on(rgb("3f9bb5"), 0.5), L.sky[2], 0.3), deep)
    for i in range(4):                                # the light's road on the water
        y = h + 0.05 + 0.1 * i
        w = 0.05 + 0.035 * i
        c.stroke([(sx - w, y), (sx + w, y)], mix(L.sky[2], (1, 1, 0.9), 0.5), 0.028, alpha=0.8, line=False)
    fog(c, rng, [h + 0.04, h + 0.2])
    sailboat(c, bx, h + rng.uniform(0.14, 0.22) + c.moment.bob(0.0), rng.uniform(0.34, 0.42), rng)
    for i in range(3):
        y = h + 0.24 + 0.11 * i + c.moment.bob(0.3 * i)
        pts = wave_line(rng, y, 0.035, 2.5 - 0.4 * i, rough=0.3, travel=c.moment.waves * (0.6 + 0.2 * i))
        c.shape(to_ground(pts), mix(on(rgb("4aa7b8"), 0.15), deep, i / 3), deep, line=0.014, line_rgb=(0.4, 0.9, 1))
    fog(c, rng, [0.95])


def sailboat(c, x, y, h, rng):
    on = c.light.on
    d = 1 if rng.random() < 0.5 else -1
    sail = on(rgb(("f6f0e0", "e8584a", "f2b544")[rng.integers(3)]))
    c.shape([(x, y - h), (x + d * h * 0.48, y - h * 0.14), (x, y - h * 0.14)], sail, line_rgb=(1, 0.8, 0.5))
    c.shape([(x - d * h * 0.05, y - h * 0.85), (x - d * h * 0.34, y - h * 0.14), (x - d * h * 0.05, y - h * 0.14)],
            mix(sail, (1, 1, 1), 0.25), line_rgb=(1, 0.8, 0.5))
    c.shape([(x - h * 0.42, y - h * 0.1), (x + h * 0.5, y - h * 0.1), (x + h * 0.34, y + h * 0.1), (x - h * 0.32, y + h * 0.1)],
            on(rgb("7a3f24")), on(rgb("4a2416")))


def forest(c, rng):
    sky(c, rng, 0.62, sun_y=0.34)
    L, on = c.light, c.light.on
    ground = on(rgb("6f8f4a"))
    c.shape(to_ground(wave_line(rng, 0.72, 0.04, 1)), mix(ground, L.haze, 0.4), ground)
    green = rgb(("2f6b45", "3f7a3a", "28606a")[rng.integers(3)])
    _firs(c, rng, 0.70, green, 0.65, 8, 0.32)
    fog(c, rng, [0.66])
    px = rng.uniform(0.35, 0.65)
    path = on(rgb("d9b98a"))
    c.shape([(px - 0.02, 0.70), (px + 0.02, 0.70), (px + 0.10, 0.83), (px + 0.24, 1.02), (px - 0.24, 1.02), (px - 0.03, 0.83)],
            mix(path, L.haze, 0.3), path, smooth=False)
    for side in (-1, 1):
        for k, (dx, y, h) in enumerate(((0.20, 0.80, 0.44), (0.36, 0.92, 0.62))):
            col = on(green, 0.28 * (1 - k))
            fir(c, px + side * (dx + rng.uniform(-0.03, 0.03)), y + rng.uniform(-0.02, 0.02), h * rng.uniform(0.9, 1.1), col)
    fog(c, rng, [0.84])


def city(c, rng):
    h = 0.74
    sky(c, rng, 0.62, sun_y=0.30)
    L, on = c.light, c.light.on
    dark = L.time in ("night", "sunset")
    for depth, n, lo, hi in ((0.6, 6, 0.22, 0.40), (0.08, 4, 0.24, 0.50)):
        x = -0.03
        while x < 1.0:
            w = rng.uniform(0.8, 1.25) / n
            top = h - rng.uniform(lo, hi)
            base = rgb(("6a7896", "8a7f88", "56708a")[rng.integers(3)])
            wall = on(base, depth)
            c.shape([(x, top), (x + w * 0.9, top), (x + w * 0.9, h), (x, h)], wall, mix(wall, L.haze, 0.25))
            if depth < 0.5:
                _tower_top(c, rng, x + w * 0.45, top, w, wall)
                _windows(c, rng, x, top, w * 0.9, h, rgb("ffd76a") if dark else mix(wall, (0.85, 0.95, 1), 0.5), dark)
            x += w
        fog(c, rng, [h - 0.1])
    water = on(rgb("3a6f94"))
    c.shape([(-.1, h), (1.1, h), (1.1, 1.1), (-.1, 1.1)], mix(water, L.sky[2], 0.35), water, line_rgb=(0.3, 0.8, 1))
    for i in range(5):                                # reflections: broad vertical smears
        x = (i + rng.uniform(0.2, 0.8)) / 5
        col = rgb("ffd98a") if dark else mix(water, (1, 1, 1), 0.35)
        c.stroke([(x, h + 0.05), (x, h + rng.uniform(0.1, 0.2))], col, 0.03, alpha=0.6, line=dark, line_rgb=(1, 0.75, 0.3))
    fog(c, rng, [0.9])


def _tower_top(c, rng, x, top, w, wall):
    if rng.random() < 0.35:
        c.shape([(x - w * 0.3, top), (x + w * 0.3, top), (x, top - 0.09)], wall)
    elif rng.random() < 0.3:
        c.stroke([(x, top), (x, top - 0.1)], wall, 0.02)


def _windows(c, rng, x, top, w, bottom, colour, lit):
    cols = 2
    rows = max(2, int((bottom - top) / 0.085))
    for i in range(cols):
        for j in range(rows - 1):
            if rng.random() < 0.75:
                cx, cy = x + w * (i + 0.5) / cols, top + 0.055 + 0.085 * j
                c.shape([(cx - 0.017, cy - 0.02), (cx + 0.017, cy - 0.02), (cx + 0.017, cy + 0.02), (cx - 0.017, cy + 0.02)],
                        colour, line=0.010 if lit else 0, line_rgb=(1, 0.85, 0.35))


def desert(c, rng):
    cx = rng.uniform(0.2, 0.8)
    sky(c, rng, 0.6, avoid=cx)
    L, on = c.light, c.light.on
    sand = rgb(("e8b870", "dc9a62", "e6c690")[rng.integers(3)])
    for base, height, depth, bumps in ((0.64, 0.10, 0.5, 1.3), (0.78, 0.14, 0.25, 0.9), (0.95, 0.16, 0.0, 0.7)):
        pts = wave_line(rng, base, height, bumps, rough=0.22)
        lit = on(mix(sand, (1, 1, 1), 0.12), depth)
        c.shape(to_ground(pts), lit, on(mix(sand, rgb("8a4a3a"), 0.5), depth))
        i = int(np.argmin([p[1] for p in pts[6:-6]])) + 6
        top, shade = pts[i], on(mix(sand, rgb("7a4030"), 0.55), depth)
        c.shape([top] + pts[i + 1:i + 14] + [(top[0] + 0.1, base + 0.12)], shade, lit, line=0)
        fog(c, rng, [base + 0.03])
    _cactus(c, rng, cx, rng.uniform(0.90, 0.95), rng.uniform(0.38, 0.46))


def _cactus(c, rng, x, y, h):
    col = c.light.on(rgb("3f7d48"))
    w = h * 0.19
    arm = h * 0.30
    for s, k in ((-1, rng.uniform(0.45, 0.6)), (1, rng.uniform(0.35, 0.55))):
        ay = y - h * k
        c.stroke([(x, ay), (x + s * arm, ay), (x + s * arm, ay - h * 0.26)], mix(col, (0, 0, 0), 0.1), w * 0.8, line=False)
        c.shape([(x + s * arm * a, ay + b * h) for a, b in ((0.2, 0.07), (1.25, 0.07), (1.25, -0.26), (0.8, -0.26), (0.8, -0.06), (0.2, -0.06))],
                col, line=0.016)
    c.shape([(x - w / 2, y), (x - w / 2, y - h * 0.93), (x, y - h), (x + w / 2, y - h * 0.93), (x + w / 2, y)], mix(col, (1, 1, 1), 0.12), col)


def lighthouse(c, rng):
    h = 0.62
    side = 1 if rng.random() < 0.5 else -1
    x = 0.5 + side * rng.uniform(0.12, 0.22)
    sky(c, rng, h, avoid=x)
    L, on = c.light, c.light.on
    deep = on(rgb("1f5f88"))
    c.shape([(-.1, h), (1.1, h), (1.1, 1.1), (-.1, 1.1)], mix(on(rgb("3f93b5"), 0.5), L.sky[2], 0.3), deep)
    fog(c, rng, [h + 0.05])
    y, th, w = rng.uniform(0.66, 0.70), rng.uniform(0.46, 0.52), 0.085
    edge = x - side * 0.26
    far = 1.1 if side > 0 else -0.1
    lamp = y - th
    for s in (-1, 1):                                 # two beams of the lamp
        c.shape([(x, lamp), (x + s * 0.9, lamp - 0.13), (x + s * 0.9, lamp + 0.09)], (1, 0.95, 0.65),
                alpha=0.42 if L.time in ("night", "sunset") or L.weather == "fog" else 0.25)
    cliff = on(rgb("6d5a4e"))
    c.shape([(edge, 1.1), (edge + side * 0.04, 0.86), (edge + side * 0.09, y + 0.06), (x, y - 0.01), (far, y + 0.04), (far, 1.1)],
            mix(cliff, on(rgb("7d9a4e")), 0.6), cliff)
    white, red = on(rgb("fbf6ee")), on(rgb("d8392f"))
    for i in range(5):                                # striped tower, narrowing upwards
        a, b = i / 5, (i + 1) / 5
        wa, wb = w * (1 - 0.4 * a), w * (1 - 0.4 * b)
        ya, yb = y - th * 0.9 * a, y - th * 0.9 * b
        col = red if i % 2 == 0 else white
        c.shape([(x - wa, ya), (x + wa, ya), (x + wb, yb), (x - wb, yb)], col, line_rgb=(1, 0.35, 0.3) if i % 2 == 0 else (0.9, 0.95, 1))
    c.shape([(x - 0.05, y - th * 0.9), (x + 0.05, y - th * 0.9), (x + 0.05, lamp - 0.03), (x - 0.05, lamp - 0.03)], (1, 0.93, 0.55))
    c.shape([(x - 0.07, lamp - 0.03), (x + 0.07, lamp - 0.03), (x, lamp - 0.1)], red)
    for i in range(2):
        pts = wave_line(rng, 0.86 + 0.1 * i + c.moment.bob(0.3 * i), 0.03, 2.2, rough=0.3, travel=c.moment.waves * (0.7 + 0.3 * i))
        c.shape(to_ground(pts), mix(on(rgb("4aa0bb"), 0.1), deep, 0.4 * i), deep, line=0.014, line_rgb=(0.4, 0.9, 1))
    fog(c, rng, [0.88])


def tree(c, rng):
    x = rng.uniform(0.3, 0.7)
    sky(c, rng, 0.66, avoid=x)
    L, on = c.light, c.light.on
    c.shape(to_ground(wave_line(rng, 0.72, 0.08, 1.2)), on(rgb("7f9f8a"), 0.6))
    fog(c, rng, [0.7])
    grass = rgb(("7fae4c", "a8b455", "8fae6a")[rng.integers(3)])
    hill = [(t, 0.80 + 0.55 * (t - x) ** 2 + 0.0) for t in np.linspace(-0.1, 1.1, 30)]
    c.shape(to_ground(hill), on(mix(grass, (1, 1, 1), 0.12)), on(mix(grass, (0, 0.15, 0), 0.45)))
    trunk = on(rgb("5a3a28"))
    c.shape([(x - 0.05, 0.84), (x - 0.022, 0.6), (x - 0.10, 0.46), (x, 0.55), (x + 0.09, 0.44), (x + 0.028, 0.6), (x + 0.055, 0.84)], trunk,
            line_rgb=(1, 0.6, 0.3))
    leaf = rgb(("4f8f3c", "e58fb0", "d9822e", "b8433a")[rng.integers(4)])
    r = rng.uniform(0.13, 0.15)
    blobs = ((-0.14, 0.43, 1.0), (0.14, 0.42, 1.0), (-0.02, 0.30, 1.15), (0.0, 0.44, 1.0))
    for k, (dx, y, s) in enumerate(blobs):
        col = on(leaf)
        c.disc(x + dx + rng.uniform(-0.02, 0.02), y + rng.uniform(-0.02, 0.02), r * s, mix(col, (1, 1, 0.9), 0.22), squash=0.86,
               bottom=mix(col, (0, 0, 0), 0.25))
    fog(c, rng, [0.86])


def spaceport(c, rng):
    n = c.size
    hues = [rgb(h) for h in (("b03a8c", "2f6fc4", "f08a5a"), ("2fa08c", "5a3ab0", "e86a9a"), ("c4503a", "3a4ab8", "f0c45a"))[rng.integers(3)]]
    img = np.zeros((n, n, 3), np.float32) + np.array(rgb("0b0a24"), np.float32)
    for i, hue in enumerate(hues):
        k = np.clip(noise(rng, n, 3, 2) * 1.7 - 0.75, 0, 1)[..., None] * 0.85
        img = img * (1 - k) + np.array(hue, np.float32) * k
    buf = np.ndarray((n, n, 4), np.uint8, c.colour.get_data())
    buf[..., 2::-1] = (np.clip(img, 0, 1) * 255).astype(np.uint8)
    c.colour.mark_dirty()
    for i in range(4):
        for j in range(4):
            c.disc((i + rng.uniform(0.1, 0.9)) / 4, (j + rng.uniform(0.1, 0.9)) / 4, rng.uniform(0.008, 0.014), (1, 1, 0.95), line=0.01)
    d = 1 if rng.random() < 0.5 else -1
    x, y, r = 0.5 + d * rng.uniform(0.17, 0.24), rng.uniform(0.42, 0.52), rng.uniform(0.23, 0.27)
    hull, dark = rgb("b8c0d0"), rgb("545c74")
    c.stroke([(x, y - r * 1.55), (x, y + r * 1.55)], dark, 0.05)
    a = np.linspace(0, 2 * math.pi, 40)
    ring = [(x + r * math.cos(t), y + 0.42 * r * math.sin(t)) for t in a]
    hole = [(x + r * 0.68 * math.cos(t), y + 0.25 * r * math.sin(t)) for t in a]
    c.shape(ring, hull, dark, line_rgb=(0.4, 0.9, 1))
    c.shape(hole, rgb("171a38"), line_rgb=(0.4, 0.9, 1))
    c.shape([(x - 0.06, y - r * 0.9), (x + 0.06, y - r * 0.9), (x + 0.075, y + r * 0.9), (x - 0.075, y + r * 0.9)], hull, dark,
            line_rgb=(0.5, 0.9, 1))
    c.disc(x, y - r * 0.95, 0.085, mix(hull, (1, 1, 1), 0.4), squash=0.75, bottom=dark, line_rgb=(0.5, 0.9, 1))
    for k in (-0.45, 0.0, 0.45):
        c.disc(x, y + r * k, 0.022, rgb("ffd76a"), line=0.01, line_rgb=(1, 0.8, 0.3))
    arm = y + r * 0.62
    c.stroke([(x, arm), (x - d * r * 1.25, arm)], dark, 0.035)
    _ship(c, rng, x - d * rng.uniform(0.36, 0.44), arm + rng.uniform(0.12, 0.2), d)


def _ship(c, rng, x, y, d):
    s = rng.uniform(0.15, 0.18)
    c.glow(x - d * s * 1.2, y, 0.16, (0.4, 0.85, 1), 0.95, lines=True)
    c.shape([(x - d * s * 0.75, y - s * 0.62), (x + d * s * 0.1, y - s * 0.2), (x + d * s * 0.1, y + s * 0.2), (x - d * s * 0.75, y + s * 0.62)],
            rgb("d85a3a"), rgb("8a2f28"))
    c.shape([(x + d * s * 1.1, y), (x + d * s * 0.3, y - s * 0.28), (x - d * s * 0.95, y - s * 0.24), (x - d * s * 0.95, y + s * 0.24),
             (x + d * s * 0.3, y + s * 0.28)], rgb("eef2f8"), rgb("8a94ac"), line_rgb=(1, 0.6, 0.4))
    c.disc(x + d * s * 0.38, y - s * 0.04, s * 0.15, rgb("2f8fd0"), line=0.01)


def easel(c, rng):
    wall = rgb(("d9cfb8", "a9c0c4", "d8b8a4", "b4bfa0")[rng.integers(4)])
    c.vertical(0, 1, [mix(wall, (1, 1, 1), 0.25), wall])
    fy = rng.uniform(0.76, 0.82)
    c.shape([(-.1, fy), (1.1, fy), (1.1, 1.1), (-.1, 1.1)], rgb("a87a4e"), rgb("7a5232"))
    x = rng.uniform(0.44, 0.56)
    wood, shade = rgb("8a5a30"), rgb("5f3a1c")
    for s in (-1, 1):
        c.shape([(x + s * 0.05, 0.06), (x + s * 0.09, 0.06), (x + s * 0.31, 0.97), (x + s * 0.26, 0.97)], wood, shade)
    c.shape([(x - 0.03, 0.03), (x + 0.03, 0.03), (x + 0.03, 0.2), (x - 0.03, 0.2)], wood)
    w, top, bottom = rng.uniform(0.27, 0.31), 0.14, 0.70
    back = rgb(("f4ecd8", "cfe0e8", "f2dcc0")[rng.integers(3)])
    c.shape([(x - w, top), (x + w, top), (x + w, bottom), (x - w, bottom)], mix(back, (1, 1, 1), 0.4), back, line_rgb=(0.9, 0.95, 1))
    c.shape([(x - w - 0.03, bottom), (x + w + 0.03, bottom), (x + w + 0.03, bottom + 0.05), (x - w - 0.03, bottom + 0.05)], wood, shade)
    ax, ay, r = x + rng.uniform(-0.03, 0.03), rng.uniform(0.43, 0.47), rng.uniform(0.15, 0.175)
    col = rgb(("cf2f2a", "d8402f", "6fae3a")[rng.integers(3)])
    t = np.linspace(0, 2 * math.pi, 48)
    pts = [(ax + r * 1.05 * math.cos(k) * (1 - 0.08 * math.sin(k)), ay - r * math.sin(k) + 0.28 * r * math.exp(-8 * math.cos(k) ** 2) * (1 if math.sin(k) > 0 else -0.4))
           for k in t]
    c.shape(pts, mix(col, (1, 0.9, 0.6), 0.25), mix(col, (0.2, 0, 0), 0.35), line_rgb=mix(col, (1, 1, 1), 0.1))
    c.stroke([(ax, ay - r * 0.72), (ax + 0.03, ay - r * 1.2)], rgb("4a2f1a"), 0.022)
    c.shape([(ax + 0.03, ay - r * 1.0), (ax + 0.09, ay - r * 1.32), (ax + 0.15, ay - r * 1.1), (ax + 0.09, ay - r * 0.92)], rgb("5fa83a"),
            smooth=False, line=0.012, line_rgb=(0.4, 1, 0.4))
    c.glow(ax - r * 0.4, ay - r * 0.3, r * 0.5, (1, 1, 1), 0.7)


def inkglass(c, rng):
    wall = rgb(("e9e2d4", "cfdce6", "e8d6cc", "d6e2d0")[rng.integers(4)])
    c.vertical(0, 1, [mix(wall, (1, 1, 1), 0.35), mix(wall, (0.5, 0.5, 0.6), 0.15)])
    ty = rng.uniform(0.80, 0.84)
    c.shape([(-.1, ty), (1.1, ty), (1.1, 1.1), (-.1, 1.1)], rgb("b08a64"), rgb("8a6444"))
    x, wt, wb = rng.uniform(0.44, 0.56), rng.uniform(0.27, 0.31), 0.22
    top, bottom, level = 0.20, 0.92, rng.uniform(0.34, 0.38)
    wl = wt + (wb - wt) * (level - top) / (bottom - top)
    c.shape([(x - wt, top), (x + wt, top), (x + wb, bottom), (x - wb, bottom)], mix(wall, (1, 1, 1), 0.5), line_rgb=(0.6, 0.95, 1), line=0.022)
    water = rgb("b4dce8")
    c.shape([(x - wl + .015, level), (x + wl - .015, level), (x + wb - .02, bottom - .025), (x - wb + .02, bottom - .025)], mix(water, (1, 1, 1), 0.3),
            water, line_rgb=(0.3, 0.7, 1))
    col = rgb(("1a1a3a", "2a1450", "101018", "5a1030")[rng.integers(4)])
    ix, end = x + rng.uniform(-0.05, 0.05), rng.uniform(0.62, 0.74)
    wide = c.moment.spread
    if wide != 1.0:
        end = level + (end - level) * min(1.0, 1.1 * wide)
    for i in range(3):                                # the plume: a stem and three pairs of curls, wider below
        k = (i + 1) / 3
        y = level + (end - level) * k
        s = 0.05 + 0.065 * k
        for sgn in (-1, 1):
            c.disc(ix + sgn * s * rng.uniform(0.7, 1.1) * wide, y + rng.uniform(-0.02, 0.02), (0.04 + 0.03 * k) * wide, mix(col, water, 0.30), bottom=col,
                   squash=0.85, line=0.014, line_rgb=(0.75, 0.4, 1))
    c.shape([(ix - 0.035, level), (ix + 0.035, level), (ix + 0.06, end), (ix, end + 0.06), (ix - 0.06, end)], col, line=0)
    c.disc(ix, 0.11, 0.038, col, line_rgb=(0.75, 0.4, 1))
    c.shape([(ix - 0.033, 0.10), (ix, 0.025), (ix + 0.033, 0.10)], col, line=0)
    c.shape([(x - wt + 0.04, top + 0.05), (x - wt + 0.075, top + 0.05), (x - wb + 0.06, bottom - 0.1), (x - wb + 0.035, bottom - 0.1)], (1, 1, 1), alpha=0.45)


SCENE = {"mountains": mountains, "sea": sea, "forest": forest, "city": city, "desert": desert, "lighthouse": lighthouse,
         "tree": tree, "spaceport": spaceport, "easel": easel, "inkglass": inkglass}


def draw(attrs, rng, size, moment=None):
    c = Canvas(size, Light(attrs["time"], attrs["weather"]), moment)
    SCENE[attrs["subject"]](c, rng)
    c.colour.flush()
    c.lines.flush()
    return c.arrays()
