# canvas.py: the canvas of ink-1 for any size and aspect: the shorter side is one unit, W and H are the sides in units.
import cairo
import numpy as np

from corpus import canvas as base
from corpus.canvas import Moment

THIN = 0.6                                            # outlines are so much of ink-1's: there are twice as many pixels


def _between(n, step):
    """For n pixels on a grid of `step` pixels: the grid point before each, and how far behind it, smoothly."""
    at = np.arange(n, dtype=np.float32) / step
    i = at.astype(np.int64)
    f = at - i
    return i, f * f * (3 - 2 * f)


def noise(rng, shape, cells, octaves=1):
    """Smooth noise in 0..1, `cells` bumps over the shorter side; shape: height and width in pixels."""
    h, w = shape
    total, amp = np.zeros((h, w), np.float32), 1.0
    for o in range(octaves):
        step = min(h, w) / (cells * 2 ** o)
        grid = rng.random((int(h / step) + 2, int(w / step) + 2), dtype=np.float32)
        (i, fy), (j, fx) = _between(h, step), _between(w, step)
        rows = grid[i] + (grid[i + 1] - grid[i]) * fy[:, None]
        total += amp * (rows[:, j] + (rows[:, j + 1] - rows[:, j]) * fx)
        amp *= 0.5
    lo, hi = total.min(), total.max()
    return (total - lo) / (hi - lo + 1e-6)


class Light(base.Light):
    """With brighter nights: a dark horse must be seen in them."""
    SKIES = {**base.Light.SKIES, "night": ("121f5c", "24397e", "4a63a8")}
    TINT = {**base.Light.TINT, "night": ("2c4090", 0.84, 0.30), "sunset": ("6a2a50", 0.82, 0.30)}
    GREY = {**base.Light.GREY, "night": "3a4670"}


class Canvas(base.Canvas):
    def __init__(self, height, width, light):
        self.light, self.moment = light, Moment()
        self.height, self.width, unit = height, width, min(height, width)
        self.H, self.W = height / unit, width / unit
        self.colour = cairo.ImageSurface(cairo.FORMAT_RGB24, width, height)
        self.lines = cairo.ImageSurface(cairo.FORMAT_ARGB32, width, height)
        self.c, self.l = cairo.Context(self.colour), cairo.Context(self.lines)
        for ctx in (self.c, self.l):
            ctx.scale(unit, unit)
            ctx.set_line_join(cairo.LINE_JOIN_ROUND)
            ctx.set_line_cap(cairo.LINE_CAP_ROUND)

    def shape(self, pts, top, bottom=None, line=0.018, smooth=False, line_rgb=None, alpha=1.0):
        super().shape(pts, top, bottom, line * THIN, smooth, line_rgb, alpha)

    def stroke(self, pts, colour, width, smooth=False, alpha=1.0, line=True, line_rgb=None):
        for ctx, on in ((self.c, True), (self.l, line)):
            if not on:
                continue
            self._trace(ctx, pts, False, smooth)
            ctx.set_line_width(width if ctx is self.c else min(width, 0.024 * THIN))
            ctx.set_source_rgba(*(colour if ctx is self.c else line_rgb or self._line_colour(colour)), alpha)
            ctx.stroke()

    def ground(self, pts, top, bottom=None, **more):
        """A shape from a ridge down to the lower edge."""
        y = self.H + 0.05
        self.shape(list(pts) + [(pts[-1][0], y), (pts[0][0], y)], top, bottom, **more)

    def band(self, y0, y1, colour, alpha, peak=0.6):
        for ctx in (self.c, self.l):
            g = cairo.LinearGradient(0, y0, 0, y1)
            for at, k in ((0, 0), (peak, 1), (1, 0)):
                g.add_color_stop_rgba(at, *(colour if ctx is self.c else (0, 0, 0)), alpha * k)
            ctx.set_operator(cairo.OPERATOR_OVER if ctx is self.c else cairo.OPERATOR_DEST_OUT)
            ctx.set_source(g)
            ctx.rectangle(0, y0, self.W, y1 - y0)
            ctx.fill()
            ctx.set_operator(cairo.OPERATOR_OVER)

    def vertical(self, y0, y1, stops):
        g = cairo.LinearGradient(0, y0, 0, y1)
        for i, s in enumerate(stops):
            g.add_color_stop_rgb(i / (len(stops) - 1), *s)
        self.c.set_source(g)
        self.c.rectangle(0, y0, self.W, y1 - y0)
        self.c.fill()

    def paint(self, picture):
        """Sets the whole colour surface; picture: H x W x 3 in 0..1."""
        self.colour.flush()
        buf = np.ndarray((self.height, self.colour.get_stride() // 4, 4), np.uint8, self.colour.get_data())
        buf[:, :self.width, 2::-1] = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
        self.colour.mark_dirty()

    def arrays(self):
        """(picture float32 HxWx3 in 0..1, outlines float32 HxWx4, premultiplied)."""
        out = []
        for surface in (self.colour, self.lines):
            surface.flush()
            a = np.ndarray((self.height, surface.get_stride() // 4, 4), np.uint8, surface.get_data())[:, :self.width]
            out.append(a.astype(np.float32) / 255)
        return out[0][..., 2::-1].copy(), out[1][..., [2, 1, 0, 3]].copy()
