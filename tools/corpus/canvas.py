# canvas.py: a colour surface and a line surface drawn together with cairo in unit coordinates, so that every style finds both
# the filled picture and its outlines; smooth noise; the light of each time of day and weather.
import math

import cairo
import numpy as np
from scipy.ndimage import zoom


def mix(a, b, k):
    return tuple(x + (y - x) * k for x, y in zip(a, b))


def rgb(hexa):
    return tuple(int(hexa[i:i + 2], 16) / 255 for i in (0, 2, 4))


def noise(rng, size, cells, octaves=2):
    """Smooth noise in 0..1, `cells` bumps across the picture."""
    total, amp = np.zeros((size, size), np.float32), 1.0
    for o in range(octaves):
        n = cells * 2 ** o + 3
        grid = zoom(rng.random((n, n), dtype=np.float32), size / (n - 2), order=1)
        total += amp * grid[:size, :size]
        amp *= 0.5
    return (total - total.min()) / (total.max() - total.min() + 1e-6)


def wave_line(rng, base, height, bumps, n=48, rough=0.5, travel=0.0):
    """Points of a ridge across the picture: a sum of sines, `bumps` across, moved to the right by `travel` pictures."""
    x = np.linspace(-0.05, 1.05, n)
    y = np.zeros(n)
    amp = 1.0
    for o in range(4):
        y += amp * np.sin(2 * math.pi * (bumps * 2 ** o * (x - travel) + rng.random()))
        amp *= rough
    y = (y - y.min()) / (y.max() - y.min())
    return list(zip(x, base - height * y))


def peak_line(rng, base, height, peaks):
    """Points of a jagged ridge: `peaks` sharp summits with shoulders."""
    xs = np.linspace(-0.1, 1.1, peaks * 2 + 1) + rng.normal(0, 0.02, peaks * 2 + 1)
    pts = []
    for i, x in enumerate(xs):
        top = i % 2 == 1
        y = base - height * (rng.uniform(0.65, 1.0) if top else rng.uniform(0.1, 0.4))
        pts.append((x, y))
    out = [pts[0]]
    for (x0, y0), (x1, y1) in zip(pts, pts[1:]):
        out.append(((x0 + x1) / 2, (y0 + y1) / 2 + rng.normal(0, 0.02)))
        out.append((x1, y1))
    return out


class Light:
    """Sky colours, how a thing's own colour looks in this light, and the colour of mist."""
    SKIES = {
        "dawn": ("8fb4dc", "f0c9c4", "ffe9b8"),
        "day": ("3d86d6", "82b8ea", "cfe6f5"),
        "sunset": ("3b2a6b", "b8456a", "ffa243"),
        "night": ("0d1638", "1b2a5c", "33477f"),
    }
    TINT = {"dawn": ("ffd9c8", 0.92, 0.22), "day": ("ffffff", 1.0, 0.0), "sunset": ("5a1f4a", 0.75, 0.38),
            "night": ("1a2858", 0.62, 0.40)}
    GREY = {"dawn": "c9bfc4", "day": "aab6c2", "sunset": "8d6c78", "night": "2b3450"}

    def __init__(self, time, weather):
        self.time, self.weather = time or "day", weather or "clear"
        grey = rgb(self.GREY[self.time])
        k = {"clear": 0.0, "fog": 0.5, "rain": 0.6, "snow": 0.45}[self.weather]
        self.sky = [mix(rgb(h), grey, k) for h in self.SKIES[self.time]]
        self.haze = mix(self.sky[2], (1, 1, 1), 0.25 if self.time in ("dawn", "day") else 0.06)
        if self.weather == "fog" and self.time == "night":
            self.haze = rgb("5d6a92")
        self.tint = self.TINT[self.time]

    def on(self, colour, depth=0.0):
        """The colour of a thing in this light; depth 0 (near) to 1 (far) fades it into the haze."""
        tint, gain, k = self.tint
        colour = mix(tuple(c * gain for c in colour), rgb(tint), k)
        if self.weather == "snow":
            colour = mix(colour, tuple(gain * c for c in (0.92, 0.95, 1.0)), 0.45)
        if self.weather == "rain":
            colour = mix(colour, (0.35 * gain, 0.4 * gain, 0.48 * gain), 0.25)
        fade = depth * (0.95 if self.weather == "fog" else 0.6)
        return mix(colour, self.haze, fade)


class Moment:
    """How far things of a scene have moved. A still picture is the moment at which nothing has: no number of it changes."""

    def __init__(self, waves=0.0, turn=0.0, spread=1.0):
        self.waves = waves                            # the nearest wave has travelled so many pictures
        self.turn = turn                              # the stars have turned by this angle
        self.spread = spread                          # how wide the ink is, of its width in a still picture

    def bob(self, phase, height=0.014):
        """How much lower something that swims is now."""
        return height * math.sin(2 * math.pi * (2.5 * self.waves + phase)) if self.waves else 0.0


class Canvas:
    def __init__(self, size, light, moment=None):
        self.size, self.light, self.moment = size, light, moment or Moment()
        self.colour = cairo.ImageSurface(cairo.FORMAT_RGB24, size, size)
        self.lines = cairo.ImageSurface(cairo.FORMAT_ARGB32, size, size)
        self.c, self.l = cairo.Context(self.colour), cairo.Context(self.lines)
        for ctx in (self.c, self.l):
            ctx.scale(size, size)
            ctx.set_line_join(cairo.LINE_JOIN_ROUND)
            ctx.set_line_cap(cairo.LINE_CAP_ROUND)

    @staticmethod
    def _trace(ctx, pts, closed, smooth):
        ctx.new_path()
        ctx.move_to(*pts[0])
        if smooth:
            mids = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in zip(pts, pts[1:])]
            for p, m in zip(pts[1:], mids[1:] + [pts[-1]]):
                x, y = ctx.get_current_point()
                ctx.curve_to((x + 2 * p[0]) / 3, (y + 2 * p[1]) / 3, (m[0] + 2 * p[0]) / 3, (m[1] + 2 * p[1]) / 3, *m)
        else:
            for p in pts[1:]:
                ctx.line_to(*p)
        if closed:
            ctx.close_path()

    def _line_colour(self, colour):
        """Outlines carry the hue of what they surround, as bright as it gets."""
        m, lo = max(colour) + 1e-6, min(colour)
        return tuple(0.25 + 0.75 * ((c - 0.6 * lo) / (m - 0.6 * lo)) for c in colour)

    def shape(self, pts, top, bottom=None, line=0.018, smooth=False, line_rgb=None, alpha=1.0):
        """A filled outline, shaded from `top` to `bottom`. line=0: no outline."""
        bottom = bottom or top
        ys = [p[1] for p in pts]
        self._trace(self.c, pts, True, smooth)
        g = cairo.LinearGradient(0, min(ys), 0, max(ys))
        g.add_color_stop_rgba(0, *top, alpha)
        g.add_color_stop_rgba(1, *bottom, alpha)
        self.c.set_source(g)
        self.c.fill()
        if alpha < 0.5:
            return
        self._trace(self.l, pts, True, smooth)
        self.l.set_operator(cairo.OPERATOR_DEST_OUT)
        self.l.set_source_rgba(0, 0, 0, 1)
        if line:
            self.l.fill_preserve()
            self.l.set_operator(cairo.OPERATOR_OVER)
            self.l.set_line_width(line)
            self.l.set_source_rgba(*(line_rgb or self._line_colour(mix(top, bottom, 0.4))), 1)
            self.l.stroke()
        else:
            self.l.fill()
            self.l.set_operator(cairo.OPERATOR_OVER)

    def stroke(self, pts, colour, width, smooth=False, alpha=1.0, line=True, line_rgb=None):
        for ctx, on in ((self.c, True), (self.l, line)):
            if not on:
                continue
            self._trace(ctx, pts, False, smooth)
            ctx.set_line_width(width if ctx is self.c else min(width, 0.024))
            ctx.set_source_rgba(*(colour if ctx is self.c else line_rgb or self._line_colour(colour)), alpha)
            ctx.stroke()

    def disc(self, x, y, r, colour, squash=1.0, line=0.018, bottom=None, line_rgb=None):
        pts = [(x + r * math.cos(a), y + r * squash * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 40)]
        self.shape(pts, colour, bottom, line=line, line_rgb=line_rgb)

    def glow(self, x, y, r, colour, alpha=0.8, lines=False):
        for ctx in (self.c, self.l) if lines else (self.c,):
            g = cairo.RadialGradient(x, y, 0, x, y, r)
            g.add_color_stop_rgba(0, *colour, alpha)
            g.add_color_stop_rgba(0.35, *colour, alpha * 0.45)
            g.add_color_stop_rgba(1, *colour, 0)
            ctx.set_source(g)
            ctx.rectangle(x - r, y - r, 2 * r, 2 * r)
            ctx.fill()

    def band(self, y0, y1, colour, alpha, peak=0.6):
        """A soft horizontal bank of mist between y0 and y1; it also veils the outlines."""
        for ctx in (self.c, self.l):
            g = cairo.LinearGradient(0, y0, 0, y1)
            for at, k in ((0, 0), (peak, 1), (1, 0)):
                if ctx is self.c:
                    g.add_color_stop_rgba(at, *colour, alpha * k)
                else:
                    g.add_color_stop_rgba(at, 0, 0, 0, alpha * k)
            ctx.set_operator(cairo.OPERATOR_OVER if ctx is self.c else cairo.OPERATOR_DEST_OUT)
            ctx.set_source(g)
            ctx.rectangle(0, y0, 1, y1 - y0)
            ctx.fill()
            ctx.set_operator(cairo.OPERATOR_OVER)

    def vertical(self, y0, y1, stops):
        g = cairo.LinearGradient(0, y0, 0, y1)
        for i, s in enumerate(stops):
            g.add_color_stop_rgb(i / (len(stops) - 1), *s)
        self.c.set_source(g)
        self.c.rectangle(0, y0, 1, y1 - y0)
        self.c.fill()

    def arrays(self):
        """(picture float32 HxWx3 in 0..1, outlines float32 HxWx4, premultiplied)."""
        n = self.size
        pic = np.ndarray((n, n, 4), np.uint8, self.colour.get_data())[..., 2::-1].astype(np.float32) / 255
        ln = np.ndarray((n, n, 4), np.uint8, self.lines.get_data()).astype(np.float32) / 255
        return pic, ln[..., [2, 1, 0, 3]].copy()
