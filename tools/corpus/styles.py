# styles.py: turns a drawn scene (picture + outlines) into watercolour, ink wash, oil, pixel art, neon or pencil, lays rain or
# snow over it and pulls it towards a palette. Textures are coarse on purpose: what is finer than a few pixels is noise to a
# latent of four numbers for 8x8 pixels.
import math

import cairo
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from .canvas import noise, rgb

RAMPS = {
    "golden": ("2a1206", "c8761f", "fff0c4"), "blue": ("06123a", "2f7ac4", "e2f2ff"),
    "violet": ("1d0636", "9443b8", "fae4ff"), "green": ("04231a", "2f9a63", "e8fbdc"),
    "mono": ("121214", "808082", "f6f6f6"),
}
PAPER = np.array(rgb("faf6ec"), np.float32)


def luma(a):
    return a @ np.array([0.3, 0.59, 0.11], np.float32)


def blur(a, sigma):
    return gaussian_filter(a, (sigma, sigma, 0) if a.ndim == 3 else sigma)


def _warp(a, rng, amount, cells):
    n = a.shape[0]
    dx, dy = ((noise(rng, n, cells, 1) - 0.5) * 2 * amount for _ in range(2))
    yy, xx = np.mgrid[0:n, 0:n].astype(np.float32)
    if a.ndim == 2:
        return map_coordinates(a, (yy + dy, xx + dx), order=1, mode="nearest")
    return np.stack([map_coordinates(a[..., i], (yy + dy, xx + dx), order=1, mode="nearest")
                     for i in range(a.shape[2])], -1)


def _margin(rng, n, width, rough):
    """1 inside the painted area, 0 on the paper's bare edge."""
    d = np.minimum.outer(*(np.minimum(np.arange(n), n - 1 - np.arange(n)),) * 2).astype(np.float32) / n
    d = d + (noise(rng, n, 6, 2) - 0.5) * rough
    return np.clip((d - width) * 40, 0, 1)


def watercolour(pic, ln, rng):
    n = pic.shape[0]
    pic = blur(pic, n / 128 * 0.9)
    edge = np.clip(blur(ln[..., 3], n / 128 * 0.8), 0, 1)[..., None]
    wash = (noise(rng, n, 5, 2) - 0.5)[..., None]
    pic = pic * 0.86 + 0.14
    pic = pic + (1 - pic) * np.clip(wash, -0.3, 0.5) * 0.45
    pic = pic * (1 - 0.28 * edge)
    inside = _margin(rng, n, 0.045, 0.07)[..., None]
    rim = np.clip(inside * (1 - inside) * 4, 0, 1)
    pic = pic * (1 - 0.12 * rim)
    return PAPER * (1 - inside) + pic * inside


def ink(pic, ln, rng):
    n = pic.shape[0]
    y = blur(luma(pic), n / 128 * 1.6)
    y = np.clip((y - 0.08) / 0.8, 0, 1) ** 0.85
    y = y + (noise(rng, n, 4, 2) - 0.5) * 0.12
    edge = _warp(blur(ln[..., 3], n / 128 * 0.9), rng, n / 80, 8)
    tone = np.clip(y, 0, 1) * (1 - 0.55 * edge)
    inside = np.clip(_margin(rng, n, 0.02, 0.10), 0, 1)
    tone = (0.10 + 0.90 * tone) * inside + (1 - inside)
    dark = np.array(rgb("1c1c22"), np.float32)
    paper = np.array(rgb("f3ecdc"), np.float32)
    out = dark + (paper - dark) * tone[..., None]
    chroma = blur(pic - luma(pic)[..., None], n / 64)
    out = np.clip(out + 0.18 * chroma, 0, 1)
    s, a = int(n * 0.10), int(n * 0.86)               # the painter's red seal
    x = a if rng.random() < 0.5 else int(n * 0.05)
    out[a:a + s, x:x + s] = rgb("b8281f")
    return out


def oil(pic, ln, rng):
    """Short fat strokes that follow the contours, in the colour of the place where they begin."""
    n = pic.shape[0]
    base = pic * (1 - 0.25 * blur(ln[..., 3:], 0.8))
    y = luma(blur(pic, n / 40))
    gy, gx = np.gradient(y)
    surf = cairo.ImageSurface(cairo.FORMAT_RGB24, n, n)
    ctx = cairo.Context(surf)
    buf = np.ndarray((n, n, 4), np.uint8, surf.get_data())
    buf[..., 2::-1] = (np.clip(base, 0, 1) * 255).astype(np.uint8)
    surf.mark_dirty()
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    for length, width, count in ((13, 7.5, 200), (7, 3.8, 560)):
        pts = rng.random((count, 2)) * n
        shade = rng.normal(0, 0.035, count)
        for (px, py), d in zip(pts, shade):
            i, j = int(py), int(px)
            a = math.atan2(gx[i, j], -gy[i, j] + 1e-5) + d * 6
            k = n / 128
            dx, dy = math.cos(a) * length * k / 2, math.sin(a) * length * k / 2
            ctx.set_source_rgba(*np.clip(base[i, j] * 1.02 + d, 0, 1), 0.9)
            ctx.set_line_width(width * k)
            ctx.move_to(px - dx, py - dy)
            ctx.line_to(px + dx, py + dy)
            ctx.stroke()
    surf.flush()
    out = buf[..., 2::-1].astype(np.float32) / 255
    out = 0.72 * out + 0.28 * base
    mean = luma(out)[..., None]
    out = mean + (out - mean) * 1.3
    return blur(np.clip((out - 0.5) * 1.08 + 0.5, 0, 1), n / 128 * 0.55)


def pixel(pic, ln, rng):
    n = pic.shape[0]
    cell = n // 32
    pic = pic * (1 - 0.35 * blur(ln[..., 3:], 0.8))
    small = pic.reshape(32, cell, 32, cell, 3).mean((1, 3))
    mean = luma(small)[..., None]
    small = np.clip(mean + (small - mean) * 1.3, 0, 1)
    small = np.round(small * 8) / 8
    return small.repeat(cell, 0).repeat(cell, 1)


def neon_parts(pic, ln):
    """The dark picture behind, the tubes' glow around and on them: a tube that flickers dims the last two."""
    n = pic.shape[0]
    y = luma(pic)[..., None]
    back = np.clip(y + (pic - y) * 1.5, 0, 1) * np.array([0.40, 0.30, 0.50], np.float32)
    back = blur(back, n / 128) + np.array([0.03, 0.01, 0.08], np.float32)
    colour = ln[..., :3]
    a = ln[..., 3:]
    mean = luma(colour)[..., None]
    colour = np.clip(mean + (colour - mean) * 2.4 + 0.1 * a, 0, 1)
    glow = blur(colour, n / 128 * 5) * 1.2 + blur(colour, n / 128 * 1.6) * 0.7
    return back * (1 - 0.4 * a), glow, blur(colour, n / 128 * 0.5) * 0.75


def neon(pic, ln, rng):
    back, glow, tubes = neon_parts(pic, ln)
    return np.clip(back + glow + tubes, 0, 1)


def pencil(pic, ln, rng):
    n = pic.shape[0]
    y = luma(pic)[..., None]
    soft = y + (pic - y) * 0.55
    shade = blur(soft, n / 128 * 1.2)
    inside = _margin(rng, n, 0.02, 0.10)[..., None] * 0.62
    grain = (noise(rng, n, 9, 1) - 0.5)[..., None] * 0.10
    out = PAPER * (1 - inside) + (shade + grain) * inside
    edge = _warp(blur(ln[..., 3], 0.6 * n / 128), rng, n / 100, 6)[..., None]
    return np.clip(out * (1 - 0.78 * np.clip(edge, 0, 1)), 0, 1)


STYLE = {"watercolour": watercolour, "ink": ink, "oil": oil, "pixel": pixel, "neon": neon, "pencil": pencil}
# Rain and snow in each style: (rain colour, rain alpha, snow colour, snow alpha)
FALL = {"watercolour": ("5a7396", 0.55, "ffffff", 0.95), "ink": ("2c2c34", 0.55, "ffffff", 0.95),
        "oil": ("dfe8f2", 0.55, "ffffff", 0.95), "neon": ("48e8ff", 0.75, "f4eaff", 1.0),
        "pencil": ("3c4250", 0.6, "ffffff", 1.0), "pixel": ("cfe2f4", 0.8, "ffffff", 1.0)}


def falling(pic, style, weather, rng, fallen=0.0):
    """Coarse slanted streaks of rain, or big soft flakes of snow; `fallen`: how far, in pictures, since the first frame. What
    leaves below comes in again above."""
    n = pic.shape[0]
    surf = cairo.ImageSurface(cairo.FORMAT_A8, n, n)
    ctx = cairo.Context(surf)
    ctx.scale(n, n)
    ctx.set_source_rgba(1, 1, 1, 1)
    ctx.set_line_cap(cairo.LINE_CAP_ROUND)
    if weather == "rain":
        grid = [(i, j) for i in range(4) for j in range(4)]
        for i, j in grid:                             # a jittered grid: evenly spread, never clumped
            x, y = (i + rng.uniform(0.1, 0.9)) / 4, (j + rng.uniform(0, 0.8)) / 4 - 0.05
            length = rng.uniform(0.13, 0.18)
            if fallen:
                x, y = (x - 0.4 * fallen + 0.1) % 1.2 - 0.1, (y + fallen + 0.2) % 1.25 - 0.2
            ctx.set_line_width(0.024)
            ctx.move_to(x, y)
            ctx.line_to(x - 0.4 * length, y + length)
            ctx.stroke()
    else:
        for i in range(5):
            for j in range(5):
                x, y = (i + rng.uniform(0.1, 0.9)) / 5, (j + rng.uniform(0.1, 0.9)) / 5
                if fallen:
                    x, y = x + 0.02 * math.sin(9 * fallen + i + 2 * j), (y + fallen + 0.05) % 1.1 - 0.05
                ctx.arc(x, y, rng.uniform(0.016, 0.028), 0, 7)
                ctx.fill()
    surf.flush()
    a = np.ndarray((n, surf.get_stride()), np.uint8, surf.get_data())[:, :n].astype(np.float32) / 255
    rain, ra, snow, sa = FALL[style]
    col, k = (rain, ra) if weather == "rain" else (snow, sa)
    if style == "pixel":
        cell = n // 32
        a = a.reshape(32, cell, 32, cell).mean((1, 3))
        a = (a > (0.25 if weather == "rain" else 0.3)).astype(np.float32).repeat(cell, 0).repeat(cell, 1)
    if weather == "snow" and style in ("watercolour", "ink", "pencil"):
        halo = np.clip(blur(a, n / 128 * 2.2) * 1.4, 0, 1)[..., None]
        pic = pic * (1 - 0.30 * halo)                 # white flakes need something darker around them on white paper
    a = (a * k)[..., None]
    return pic * (1 - a) + np.array(rgb(col), np.float32) * a


# Mist in each style: (colour by day, by night, strength)
MIST = {"watercolour": ("f4f2ee", "66739a", 0.75), "ink": ("f3ecdc", "84848c", 0.85), "oil": ("e6e6ea", "5c6a96", 0.75),
        "pixel": ("e2e4ea", "5c6a96", 0.8), "neon": ("8f7ad8", "6f6ac8", 0.62), "pencil": ("faf6ec", "b0b0b4", 0.85)}


def mist(pic, style, time, rng, drift=None):
    """Two wavy banks of mist over the lower part of the picture; drift: how far they have come to the right, in pictures, in a clip
    (where they are always wavy, so that they can be seen to move)."""
    n = pic.shape[0]
    cell = n // 32 if style == "pixel" else 1
    day, night, k = MIST[style]
    colour = np.array(rgb(night if time == "night" else day), np.float32)
    if time in ("dawn", "sunset") and style in ("watercolour", "oil", "pixel"):
        colour = colour * np.array((1.0, 0.86, 0.84) if time == "dawn" else (0.86, 0.64, 0.62), np.float32)
    yy = np.linspace(0, 1, n, dtype=np.float32)[:, None]
    sway = (noise(rng, n, 2, 1)[:1] - 0.5) * 0.14
    if drift is not None:                             # there and back again: a row without an edge
        sway = (sway - sway.min()) / (np.ptp(sway) + 1e-6) * 0.18 - 0.09
        sway = np.roll(np.concatenate([sway, sway[:, ::-1]], 1), round(drift * n), 1)[:, :n]
    a = np.zeros((n, n), np.float32)
    for centre, half in ((0.50, 0.10), (0.80, 0.12)):
        centre = centre + rng.uniform(-0.04, 0.04)
        a = np.maximum(a, np.exp(-((yy - centre - sway) / half) ** 2))
        sway = -sway
    a = a[::cell, ::cell].repeat(cell, 0).repeat(cell, 1)[..., None] * k
    return pic * (1 - a) + colour * a


def palette(pic, name, strength=0.85):
    if name == "natural":
        return pic
    dark, mid, light = (np.array(rgb(h), np.float32) for h in RAMPS[name])
    y = luma(pic)[..., None]
    ramp = np.where(y < 0.5, dark + (mid - dark) * y * 2, mid + (light - mid) * (y - 0.5) * 2)
    k = 1.0 if name == "mono" else strength
    return pic * (1 - k) + ramp * k


def apply(pic, ln, attrs, rng):
    out = STYLE[attrs["style"]](pic, ln, rng)
    if attrs["weather"] == "fog":
        out = mist(out, attrs["style"], attrs["time"], rng)
    if attrs["weather"] in ("rain", "snow"):
        out = falling(out, attrs["style"], attrs["weather"], rng)
    return np.clip(palette(np.clip(out, 0, 1).astype(np.float32), attrs["palette"]), 0, 1)
