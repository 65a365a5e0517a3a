# styles.py: turns a picture and its outlines into one of eight styles, then weather in the air, then a palette. What repeats lies on
# the grid of the latents (8 pixels), so that it looks the same in each: squares of pixel art, hatching, carved lines.
import cairo
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from corpus.canvas import rgb
from corpus.styles import MIST, PAPER, luma, palette

from .canvas import noise

GRID = 8                                              # pixels of a latent, each way


def blur(a, sigma):
    """A wide blur is made on a smaller picture."""
    h, w = a.shape[:2]
    if sigma >= 4 and h % 4 == 0 and w % 4 == 0:
        small = a.reshape(h // 4, 4, w // 4, 4, -1).mean((1, 3))
        small = gaussian_filter(small, (sigma / 4, sigma / 4, 0), truncate=2.5)
        big = small.repeat(4, 0).repeat(4, 1).reshape(a.shape)
        return gaussian_filter(big, (1.7, 1.7, 0)[:a.ndim], truncate=2)
    return gaussian_filter(a, (sigma, sigma, 0)[:a.ndim], truncate=2.5)


def warp(a, rng, amount, cells):
    """The lines of an unsteady hand."""
    h, w = a.shape
    dx, dy = ((noise(rng, (h, w), cells) - 0.5) * 2 * amount for _ in range(2))
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    return map_coordinates(a, (yy + dy, xx + dx), order=1, mode="nearest")


def margin(rng, shape, width, rough):
    """1 inside the painted area, 0 on the paper's bare edge."""
    h, w = shape
    u = min(h, w)
    d = np.minimum.outer(np.minimum(np.arange(h), h - 1 - np.arange(h)), np.minimum(np.arange(w), w - 1 - np.arange(w))).astype(np.float32) / u
    return np.clip((d + (noise(rng, shape, 7, 2) - 0.5) * rough - width) * u / 3.5, 0, 1)


def vivid(pic, k):
    y = luma(pic)[..., None]
    return np.clip(y + (pic - y) * k, 0, 1)


def watercolour(pic, ln, rng, grid):
    """Bright thin washes on white paper, darker where a wash ends, no black."""
    u = min(pic.shape[:2]) / 256
    soft = blur(pic, 1.3 * u)
    wash = noise(rng, pic.shape[:2], 5, 2)[..., None] - 0.5
    pic = vivid(soft * 0.80 + 0.20, 1.75)
    pic = pic + (1 - pic) * np.clip(wash, -0.35, 0.5) * 0.6
    edge = np.clip(blur(ln[..., 3], 1.0 * u) * 1.2, 0, 1)[..., None]
    pic = pic * (1 - 0.50 * edge * (1 - vivid(soft, 2.2) * 0.9))
    inside = margin(rng, pic.shape[:2], 0.045, 0.07)[..., None]
    pic = pic * (1 - 0.25 * np.clip(inside * (1 - inside) * 4, 0, 1))
    return PAPER * (1 - inside) + pic * inside


def ink(pic, ln, rng, grid):
    """Black brush lines, thick and thin, a few grey washes, much bare paper, and the painter's red seal."""
    h, w = pic.shape[:2]
    u = min(h, w) / 256
    y = blur(luma(pic), 2.2 * u)
    y = np.clip((y - y.min()) / (np.ptp(y) + 1e-3), 0, 1)
    y = np.clip((np.minimum(y * 1.9, 1) - 0.05) / 0.9, 0, 1) ** 0.9 + (noise(rng, (h, w), 4, 2) - 0.5) * 0.12
    press = 0.8 + 1.4 * noise(rng, (h, w), 5)
    edge = np.clip(warp(np.clip(blur(ln[..., 3], 0.9 * u) * press, 0, 1), rng, 2.5 * u, 8) * 1.7 - 0.3, 0, 1)
    tone = (0.30 + 0.70 * np.clip(y, 0, 1)) * (1 - 0.88 * edge)
    inside = margin(rng, (h, w), 0.02, 0.10)
    tone = tone * inside + (1 - inside)
    dark, paper = (np.array(rgb(v), np.float32) for v in ("17171c", "f3ecdc"))
    return dark + (paper - dark) * tone[..., None]


def seal(pic, rng, grid):
    """Red whatever the palette is; on the grid of the latents."""
    h, w = pic.shape[:2]
    s = max(grid, round(min(h, w) * 0.1 / grid) * grid)
    y, x = (h - s) // grid * grid - grid, ((w - s) // grid * grid - grid) if rng.random() < 0.5 else grid
    t = grid // 8
    pic[y:y + s, x:x + s] = rgb("b8281f")
    for k in (s // 3, 2 * s // 3):                    # two strokes of a name
        pic[y + k - t:y + k + t, x + s // 5:x + s - s // 5] = rgb("f3ecdc")
    pic[y + s // 5:y + s - s // 5, x + s // 2 - t:x + s // 2 + t] = rgb("f3ecdc")
    return pic


def oil(pic, ln, rng, grid):
    """Short fat strokes that follow the contours, lit along one side."""
    h, w = pic.shape[:2]
    u = min(h, w) / 256
    base = vivid(pic * (1 - 0.30 * ln[..., 3:]), 1.25)
    gy, gx = np.gradient(blur(luma(pic), 6 * u)[::4, ::4])
    surf = cairo.ImageSurface(cairo.FORMAT_RGB24, w, h)
    ctx = cairo.Context(surf)
    buf = np.ndarray((h, surf.get_stride() // 4, 4), np.uint8, surf.get_data())[:, :w]
    buf[..., 2::-1] = (base * 255).astype(np.uint8)
    surf.mark_dirty()
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    for length, width, count in ((24, 11, 190), (12, 5.5, 640)):
        count = int(count * h * w / (256 * u) ** 2)
        pts = rng.random((count, 2)) * (h, w)
        shade = rng.normal(0, 0.05, count)
        i, j = pts[:, 0].astype(int), pts[:, 1].astype(int)
        angle = np.arctan2(gx[i // 4, j // 4], -gy[i // 4, j // 4] + 1e-5) + shade * 5
        colours = np.clip(base[i, j] * 1.02 + shade[:, None], 0, 1)
        dx, dy = np.cos(angle) * length * u / 2, np.sin(angle) * length * u / 2
        ctx.set_line_width(width * u)
        for (y, x), (r, g, b), ax, ay in zip(pts.tolist(), colours.tolist(), dx.tolist(), dy.tolist()):
            ctx.set_source_rgba(r, g, b, 0.92)
            ctx.move_to(x - ax, y - ay)
            ctx.line_to(x + ax, y + ay)
            ctx.stroke()
    surf.flush()
    out = 0.72 * (buf[..., 2::-1].astype(np.float32) / 255) + 0.28 * base
    y = luma(out)
    relief = np.zeros_like(y)
    relief[1:, 1:] = y[1:, 1:] - y[:-1, :-1]
    return np.clip(gaussian_filter(out, (0.6, 0.6, 0), truncate=2) + np.clip(relief, -0.12, 0.12)[..., None] * 0.35, 0, 1)


def pixel(pic, ln, rng, grid):
    """Squares of one latent each, few colours, dark outlines."""
    h, w, rim = pic.shape[0] // grid, pic.shape[1] // grid, grid // 4
    small = pic.reshape(h, grid, w, grid, 3)[:, rim:-rim, :, rim:-rim].mean((1, 3))
    edge = ln[..., 3].reshape(h, grid, w, grid).mean((1, 3))[..., None]
    small = np.round(vivid(small, 1.45) * 6) / 6
    return (small * (1 - 0.6 * np.clip(edge * 2.2 - 0.25, 0, 1))).repeat(grid, 0).repeat(grid, 1)


def neon(pic, ln, rng, grid):
    """Thin bright tubes with a glow on a dark picture."""
    u = min(pic.shape[:2]) / 256
    back = vivid(blur(pic, 2 * u), 1.5) * np.array([0.20, 0.15, 0.28], np.float32) + np.array([0.025, 0.01, 0.07], np.float32)
    a = ln[..., 3:]
    mean = luma(ln[..., :3])[..., None]
    colour = np.clip(mean + (ln[..., :3] - mean) * 2.4 + 0.1 * a, 0, 1)
    tube = colour * 0.9 + 0.25 * np.clip(a * 1.4 - 0.4, 0, 1)
    return np.clip(back * (1 - 0.5 * a) + blur(colour, 7 * u) * 1.1 + blur(colour, 2.2 * u) * 0.45 + tube, 0, 1)


def _stripes(shape, kind, grid):
    """0..1, rising from the middle of each stripe; a period is the grid, so every latent sees the same."""
    yy, xx = np.mgrid[0:shape[0], 0:shape[1]]
    at = {"rising": xx + yy, "falling": xx - yy, "level": yy}[kind] % grid
    return np.abs(at - (grid - 1) / 2).astype(np.float32) * (GRID / grid) / ((GRID - 1) / 2)


def pencil(pic, ln, rng, grid):
    """Thin grey lines on white paper; shade is hatched."""
    u = min(pic.shape[:2]) / 256
    h, w = pic.shape[:2]
    y = blur(luma(pic), 2.5 * u)
    shade = np.clip(0.75 - y, 0, 1)
    hatch = np.clip((shade * 1.15 - _stripes((h, w), "rising", grid)) * 4, 0, 1) * 0.34
    hatch = np.maximum(hatch, np.clip((shade * 1.6 - 0.62 - _stripes((h, w), "falling", grid)) * 4, 0, 1) * 0.40)
    tone = 1 - (hatch + 0.16 * shade) * margin(rng, (h, w), 0.02, 0.10)
    edge = warp(ln[..., 3], rng, 1.6 * u, 7)
    tint = 1 - 0.30 * (1 - vivid(blur(pic, 2.5 * u), 1.4))            # a breath of colour
    out = np.minimum(PAPER * tone[..., None] * (0.35 + 0.65 * tint), PAPER)
    return np.clip(out * (1 - 0.82 * edge[..., None]), 0, 1)


def linocut(pic, ln, rng, grid):
    """Printed from a carved block: black with white carved outlines, flat colours with black ones, carved lines between, paper."""
    h, w = pic.shape[:2]
    u = min(h, w) / 256
    soft = blur(pic, 1.6 * u)
    y = luma(soft)
    lo, hi = np.percentile(y[::8, ::8], (4, 96))
    y = np.clip((y - lo) / (hi - lo + 0.05), 0, 1)
    flat = np.clip(np.round(vivid(soft, 1.6) * 3) / 3 * 0.70 + 0.24, 0, 1)
    black, paper = (np.array(rgb(v), np.float32) for v in ("16161a", "f2ead6"))
    light = np.clip((y - 0.86) * 30, 0, 1)[..., None]
    out = flat * (1 - light) + paper * light
    k = np.clip((0.52 - y - 0.34 * _stripes((h, w), "level", grid)) * 12, 0, 1)        # the darker, the thicker the black lines
    line = np.clip(blur(ln[..., 3], 0.9 * u) * 3.2 - 0.7, 0, 1)
    inside = np.clip((0.20 - blur(y, 2.5 * u)) * 12, 0, 1)
    out = out * (1 - k[..., None]) + black * k[..., None]
    out = out * (1 - line[..., None]) + (black + (paper - black) * inside[..., None]) * line[..., None]
    printed = np.round(margin(rng, (h, w), 0.03, 0.02))[..., None]
    return out * printed + paper * (1 - printed)


def glass(pic, ln, rng, grid):
    """Stained glass: panes of glowing colour between lines of lead."""
    h, w = pic.shape[:2]
    u = min(h, w) / 256
    step = 46 * u
    rows, cols = max(3, round(h / step)), max(3, round(w / step))
    gy, gx = (np.arange(rows) + 0.5) * h / rows, (np.arange(cols) + 0.5) * w / cols
    cy = (gy[:, None] + rng.uniform(-0.32, 0.32, (rows, cols)) * step).ravel()
    cx = (gx[None] + rng.uniform(-0.32, 0.32, (rows, cols)) * step).ravel()
    yy, xx = np.arange(1, h, 2, dtype=np.float32), np.arange(1, w, 2, dtype=np.float32)
    d = ((yy[None] - cy[:, None]) ** 2)[:, :, None] + ((xx[None] - cx[:, None]) ** 2)[:, None, :]
    near = d.argmin(0)
    best = np.partition(d, 1, 0)[:2]
    joint = np.clip(1.6 - (np.sqrt(best[1]) - np.sqrt(best[0])) / (1.9 * u), 0, 1)
    shade = rng.uniform(0.80, 1.22, len(cx)).astype(np.float32)[near]
    joint, shade = (gaussian_filter(v.repeat(2, 0).repeat(2, 1)[:h, :w], 0.7, truncate=2) for v in (joint, shade))
    pane = np.round(vivid(blur(pic, 3 * u), 2.0) * 5) / 5
    pane = np.clip(gaussian_filter(pane, (0.8, 0.8, 0), truncate=2) * 0.88 * shade[..., None] + 0.10, 0, 1)
    lead = np.clip(blur(ln[..., 3], 0.9 * u) * 2.8 - 0.35, 0, 1)
    lead = np.maximum(lead, joint)[..., None]
    return pane * (1 - lead) + np.array(rgb("15131a"), np.float32) * lead


STYLE = {"watercolour": watercolour, "ink": ink, "oil": oil, "pixel": pixel, "neon": neon, "pencil": pencil, "linocut": linocut, "glass": glass}
# Rain and snow in each style: (rain colour, rain alpha, snow colour, snow alpha)
FALL = {"watercolour": ("4a6fa8", 0.6, "ffffff", 0.95), "ink": ("2c2c34", 0.6, "ffffff", 0.95), "oil": ("dfe8f2", 0.65, "ffffff", 0.95),
        "neon": ("48e8ff", 0.75, "f4eaff", 1.0), "pencil": ("3c4250", 0.65, "ffffff", 1.0), "pixel": ("cfe2f4", 0.85, "ffffff", 1.0),
        "linocut": ("f2ead6", 0.95, "f8f4e8", 1.0), "glass": ("a8d8f4", 0.85, "ffffff", 1.0)}


def falling(pic, style, weather, rng, grid):
    """Slanted streaks of rain, or big soft flakes of snow."""
    h, w = pic.shape[:2]
    unit = min(h, w)
    W, H = w / unit, h / unit
    surf = cairo.ImageSurface(cairo.FORMAT_A8, w, h)
    ctx = cairo.Context(surf)
    ctx.scale(unit, unit)
    ctx.set_source_rgba(1, 1, 1, 1)
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    n = 5 if weather == "rain" else 6
    for i in range(round(n * W)):                     # a jittered grid: evenly spread, never clumped
        for j in range(round(n * H)):
            x, y = (i + rng.uniform(0.1, 0.9)) / n, (j + rng.uniform(0.1, 0.9)) / n
            if weather == "rain":
                length = rng.uniform(0.10, 0.14)
                ctx.set_line_width(0.030 if style == "pixel" else 0.0125)
                ctx.move_to(x + 0.2 * length, y - length / 2)
                ctx.line_to(x - 0.2 * length, y + length / 2)
                ctx.stroke()
            else:
                ctx.arc(x, y, 0.018 if style == "pixel" else rng.uniform(0.010, 0.018), 0, 7)
                ctx.fill()
    surf.flush()
    a = np.ndarray((h, surf.get_stride()), np.uint8, surf.get_data())[:, :w].astype(np.float32) / 255
    rain, ra, snow, sa = FALL[style]
    col, k = (rain, ra) if weather == "rain" else (snow, sa)
    if style == "pixel":
        a = a.reshape(h // grid, grid, w // grid, grid).mean((1, 3))
        a = (a > (0.36 if weather == "rain" else 0.3)).astype(np.float32).repeat(grid, 0).repeat(grid, 1)
    if style in ("watercolour", "ink", "pencil", "linocut", "glass") and (weather == "snow" or style in ("linocut", "glass")):
        halo = np.clip(blur(a, unit / 256 * 2.6) * 1.8, 0, 1)[..., None]
        pic = pic * (1 - 0.45 * halo)                 # white flakes need something darker around them on white paper
    a = (a * k)[..., None]
    return pic * (1 - a) + np.array(rgb(col), np.float32) * a


MISTS = {**MIST, "watercolour": ("eef2f8", "8a9ad0", 0.72), "linocut": ("f2ead6", "9aa0b0", 0.85), "glass": ("f0f0f6", "8a98d0", 0.62)}


def mist(pic, style, time, rng, grid):
    """Two wavy banks of mist over the lower part of the picture."""
    h, w = pic.shape[:2]
    day, night, k = MISTS[style]
    colour = np.array(rgb(night if time == "night" else day), np.float32)
    if time in ("dawn", "sunset") and style in ("watercolour", "oil", "pixel", "glass"):
        colour = colour * np.array((1.0, 0.86, 0.84) if time == "dawn" else (0.92, 0.70, 0.68), np.float32)
    yy = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    sway = (noise(rng, (h, w), 2)[:1] - 0.5) * 0.14
    a = np.zeros((h, w), np.float32)
    for centre, half in ((0.46, 0.09), (0.76, 0.11)):
        a = np.maximum(a, np.exp(-((yy - centre - rng.uniform(-0.04, 0.04) - sway) / half) ** 2))
        sway = -sway
    if style == "linocut":                            # a printer has no grey: bands of paper
        a = np.clip((a - 0.35 - 0.55 * _stripes((h, w), "level", grid)) * 6, 0, 1)
    cell = grid if style == "pixel" else 1
    a = a[::cell, ::cell].repeat(cell, 0).repeat(cell, 1)[..., None] * k
    return pic * (1 - a) + colour * a


def apply(pic, ln, attrs, rng, grid=GRID):
    """grid: pixels of a latent, more where a picture is drawn larger than latents would have it."""
    style = attrs["style"]
    out = STYLE[style](pic, ln, rng, grid)
    if attrs["weather"] == "fog":
        out = mist(out, style, attrs["time"], rng, grid)
    if attrs["weather"] in ("rain", "snow"):
        out = falling(out, style, attrs["weather"], rng, grid)
    out = np.clip(palette(np.clip(out, 0, 1).astype(np.float32), attrs["palette"]), 0, 1)
    return seal(out, rng, grid) if style == "ink" else out
