# terrain.py: heights of a landscape, as a field of size x size numbers in 0..1, and what grows or flows on it. Water stands below
# SEA; rivers are carved so that they run downhill. All lengths are shares of the field's side.
import numpy as np

SEA = 0.25                                            # heights up to here are under water; dry landforms stay above


def noise(rng, size, begin, octaves, gain=0.5, ridged=False):
    """Sum of smooth lattices: `begin` cells a side in the first octave, twice as many in each further, down to three places a cell
    (the autoencoder keeps nothing finer). About 0..1."""
    out, weight, total, last = np.zeros((size, size), np.float32), 1.0, 0.0, 1.0
    for k in range(octaves):
        cells = int(begin * 2 ** k)
        if 3 * cells > size:
            break
        layer = lattice(rng, size, cells)
        if ridged:                                    # Musgrave's ridged multifractal: sharp crests, detail only upon them
            layer = (1 - np.abs(2 * layer - 1)) ** 2 * last
            last = np.clip(layer * 1.6, 0, 1)
        out += weight * layer
        total += weight
        weight *= gain
    return out / total


def lattice(rng, size, cells):
    """Perlin's gradient noise of so many cells a side, turned by a random angle so that no direction shows; about 0..1."""
    n = int(1.5 * cells) + 4
    turn = np.exp(2j * np.pi * rng.random((n, n))).astype(np.complex64)      # a gradient for each corner
    a = (np.arange(size, dtype=np.float32) / size - 0.5) * cells
    at = (a[None] + 1j * a[:, None]) * np.exp(2j * np.pi * rng.random()) + complex(*(n / 2 - 0.5 + rng.random(2)))
    x, y = at.real.astype(np.float32), at.imag.astype(np.float32)
    i, k = x.astype(int), y.astype(int)
    fx, fy = x - i, y - k
    sx, sy = (f * f * f * (f * (f * 6 - 15) + 10) for f in (fx, fy))

    def corner(dy, dx):
        g = turn[k + dy, i + dx]
        return g.real * (fx - dx) + g.imag * (fy - dy)
    top, low = (corner(d, 0) * (1 - sx) + corner(d, 1) * sx for d in (0, 1))
    return np.clip(0.5 + 0.75 * (top * (1 - sy) + low * sy), 0, 1)


def grid(size):
    a = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.meshgrid(a, a, indexing="ij")


def erode(h, rounds=12, talus=0.012):
    """Thermal erosion: what is steeper than the talus slides down to the four neighbours (Musgrave, Kolb, Mace 1989)."""
    for _ in range(rounds):
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            d = h - np.roll(h, step, axis)
            edge = [slice(None), slice(None)]
            edge[axis] = 0 if step == 1 else -1
            d[tuple(edge)] = 0                        # nothing slides over the border
            moved = np.clip(d - talus, 0, None) * 0.2
            h = h - moved + np.roll(moved, -step, axis)
    return h


def warp(rng, y, x, amount, cells=3):
    n = len(y)
    return y + amount * (noise(rng, n, cells, 3) - 0.5), x + amount * (noise(rng, n, cells, 3) - 0.5)


def rescale(h, lo, hi):
    h = (h - h.min()) / max(float(h.max() - h.min()), 1e-6)
    return lo + (hi - lo) * h


def mountains(rng, size):
    h = erode(noise(rng, size, rng.uniform(2, 3.5), 6, 0.5, ridged=True) + 0.25 * noise(rng, size, 2, 3))
    return rescale(h, 0.3, rng.uniform(0.85, 1.0)), {}


def lake(rng, size):
    y, x = warp(rng, *grid(size), 0.3)
    cy, cx, r = rng.uniform(0.38, 0.62), rng.uniform(0.38, 0.62), rng.uniform(0.22, 0.32)
    d = np.hypot((y - cy) * rng.uniform(0.8, 1.25), x - cx)
    bowl = 1 / (1 + np.exp(-(d - r) / 0.05))
    h = SEA - 0.12 + bowl * (0.17 + 0.6 * rescale(erode(noise(rng, size, 3, 6, 0.5, ridged=True)), 0, 1)) \
        + 0.02 * noise(rng, size, 8, 3)
    return np.clip(h, 0.05, 1), {}


def dunes(rng, size):
    y, x = warp(rng, *grid(size), rng.uniform(0.1, 0.2))
    a, n = rng.uniform(0, np.pi), rng.uniform(3.5, 6)
    p = ((y * np.sin(a) + x * np.cos(a)) * n + rng.random()) % 1
    crest = np.where(p < 0.7, p / 0.7, (1 - p) / 0.3) ** 1.2       # a long windward side, a short slip face
    height = 0.4 + 0.6 * noise(rng, size, 3, 2)
    return rescale(erode(crest * height * 0.3 + 0.2 * noise(rng, size, 2, 2), 3, 0.02), 0.3, rng.uniform(0.6, 0.8)), {"crest": crest}


def coast(rng, size):
    y, x = grid(size)
    a = rng.uniform(0, 2 * np.pi)
    d = (y - 0.5) * np.sin(a) + (x - 0.5) * np.cos(a) + rng.uniform(-0.12, 0.12) + 0.4 * (noise(rng, size, 2, 5) - 0.5)
    land = np.clip(d, 0, None)
    h = SEA + 0.28 * np.tanh(3 * d) + land * 0.9 * noise(rng, size, 4, 5, ridged=True)
    return np.clip(h, 0.03, 1), {}


def islands(rng, size):
    y, x = grid(size)
    h = np.full((size, size), -1.0, np.float32)
    for _ in range(int(rng.integers(3, 7))):
        cy, cx, r = rng.uniform(0.15, 0.85), rng.uniform(0.15, 0.85), rng.uniform(0.12, 0.24)
        h = np.maximum(h, 1 - np.hypot(y - cy, x - cx) / r)
    h = h * 0.35 + 0.6 * (noise(rng, size, 4, 5) - 0.5)
    h = np.where(h > 0, h * (0.7 + 0.9 * noise(rng, size, 4, 4, ridged=True)), h * 0.3)
    return np.clip(SEA + h * 0.75, 0.03, 1), {}


def course(rng, size, bends=0.16):
    """A winding line from border to border: (distance of each place from it, how far along it that place is in 0..1)."""
    y, x = grid(size)
    t = np.linspace(0, 1, size, dtype=np.float32)
    wind = sum(rng.normal() * bends / k * np.sin(2 * np.pi * k * t * 0.9 + rng.uniform(0, 6.3)) for k in (1, 2, 3))
    turn = rng.integers(4)
    line = 0.5 + rng.uniform(-0.1, 0.1) + wind
    slope = np.gradient(line, 1 / size)
    d = np.abs(x - line[:, None]) / np.sqrt(1 + slope[:, None] ** 2)
    return np.rot90(d, turn), np.rot90(y, turn)


def canyon(rng, size):
    d, along = course(rng, size, 0.2)
    d = d + 0.05 * (noise(rng, size, 6, 4) - 0.5)
    w = rng.uniform(0.16, 0.26)
    wall = np.clip((d - 0.025) / w, 0, 1)
    steps = rng.integers(3, 5)
    terraces = (np.floor(wall * steps) + np.clip((wall * steps % 1) * 2, 0, 1)) / steps
    tall, rough = rng.uniform(0.45, 0.6), noise(rng, size, 3, 4)
    h = 0.29 + 0.06 * (1 - along) + terraces * tall + 0.06 * rough * np.clip(4 * wall, 0, 1)   # no bumps on the floor
    return np.clip(h, SEA + 0.02, 1), {"layers": wall, "river": (d < 0.02) & (wall <= 0)}


def volcano(rng, size):
    y, x = warp(rng, *grid(size), 0.06, 4)
    cy, cx = rng.uniform(0.4, 0.6, 2)
    d, a = np.hypot(y - cy, x - cx), np.arctan2(y - cy, x - cx)
    mouth = rng.uniform(0.06, 0.1)
    cone = np.exp(-d * rng.uniform(3.0, 4.0)) * 0.85
    gullies = 0.04 * np.sin(a * rng.integers(9, 16) + 6 * noise(rng, size, 3, 3)) * np.clip(d * 4, 0, 1) * np.exp(-d * 3)
    rim = np.exp(-mouth * 3.5) * 0.85
    h = np.where(d < mouth, rim - (mouth - d) * 3.2, cone) + gullies + 0.12 * noise(rng, size, 5, 5)
    flows = np.zeros((size, size), bool)
    for _ in range(int(rng.integers(2, 5))):
        dir_, wide = rng.uniform(-np.pi, np.pi), rng.uniform(0.018, 0.03)
        off = np.angle(np.exp(1j * (a - dir_ - 0.8 * (noise(rng, size, 4, 3) - 0.5))))
        flows |= (np.abs(off) * d < wide) & (np.cos(off) > 0) & (d < rng.uniform(0.25, 0.5))
    return rescale(h, 0.3, 1.0), {"lava": flows | (d < mouth * 0.7)}


def valley(rng, size):
    d, along = course(rng, size)
    hills = noise(rng, size, 3, 6, 0.5)
    rise = np.tanh(np.clip(d - 0.03, 0, None) * rng.uniform(3.5, 6))
    h = SEA + 0.04 + 0.1 * (1 - along) + rise * (0.14 + 0.45 * hills) + 0.015 * noise(rng, size, 12, 3) * np.clip(d * 20, 0, 1)
    wide = rng.uniform(0.022, 0.034) * (0.7 + 0.6 * along)
    river = d < wide
    return np.clip(np.where(river, h - 0.02, h), SEA + 0.01, 1), {"river": river}


def fields(rng, size):
    h = rescale(noise(rng, size, 2, 4, 0.35), 0.32, rng.uniform(0.42, 0.52))
    y, x = warp(rng, *grid(size), 0.06)
    n = int(rng.integers(14, 26))
    py, px, a = rng.random(n), rng.random(n), rng.uniform(0, np.pi)
    u, v = np.abs((y[..., None] - py) * np.cos(a) + (x[..., None] - px) * np.sin(a)), np.abs((x[..., None] - px) * np.cos(a) - (y[..., None] - py) * np.sin(a))
    near = np.sort(np.maximum(u, v), -1)[..., :2]
    plot = np.maximum(u, v).argmin(-1)
    woods = noise(rng, size, 4, 4) > rng.uniform(0.56, 0.62)
    return h + 0.03 * woods * noise(rng, size, 16, 1), {"plot": rng.random(n)[plot], "hedge": near[..., 1] - near[..., 0] < 0.02, "woods": woods}


def craters(rng, size):
    y, x = grid(size)
    h = 0.2 * noise(rng, size, 3, 6)
    for r in np.sort(0.055 + 0.15 * rng.random(int(rng.integers(8, 17))) ** 2)[::-1]:
        d = np.hypot(y - rng.uniform(-0.05, 1.05), x - rng.uniform(-0.05, 1.05)) / r
        h = h + r * (np.where(d < 1, 1.6 * d * d - 1.3, 0.3 * np.exp(-((d - 1) / 0.4) ** 2)))
    return rescale(h, 0.3, rng.uniform(0.65, 0.85)), {}


MAKERS = {f.__name__: f for f in (mountains, lake, dunes, coast, islands, canyon, volcano, valley, fields, craters)}
