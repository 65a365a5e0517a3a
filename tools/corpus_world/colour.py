# colour.py: what a landscape looks like from above: ground, plants, snow and water by height, slope and season, then light of the
# hour, weather and palette.
import numpy as np

from .terrain import SEA, noise

RELIEF = 0.36                                         # how high the whole range of heights stands, in sides of the field
# Seasons differ in what is light and what is dark as well as in hue, so that they can be told apart in every palette: spring is light with
# lighter blossom, summer dark, autumn brown with gold leaves and dark red woods, winter white.
GRASS = {"spring": (0.56, 0.78, 0.32), "summer": (0.17, 0.42, 0.14), "autumn": (0.66, 0.42, 0.15), "winter": (0.92, 0.94, 0.97)}
TREES = {"spring": (0.44, 0.68, 0.30), "summer": (0.06, 0.24, 0.09), "autumn": (0.66, 0.17, 0.07), "winter": (0.33, 0.39, 0.44)}
WOODED = {"spring": 0.52, "summer": 0.44, "autumn": 0.48, "winter": 0.54}    # where woods begin, of a noise of 0..1
LEAVES = {"spring": ((1.0, 0.76, 0.87), 0.53), "autumn": ((0.99, 0.80, 0.22), 0.56)}    # blossom and gold leaves, and from where on
SNOW_LINE = {"winter": 0.45, "spring": 0.80, "summer": 0.92, "autumn": 0.86}
SAND, ROCK, SNOW = (0.88, 0.77, 0.54), (0.47, 0.43, 0.41), (0.96, 0.97, 1.0)
SHALLOW, DEEP, LAVA, ASH = (0.20, 0.55, 0.62), (0.04, 0.17, 0.36), (1.0, 0.42, 0.08), (0.25, 0.23, 0.24)
# Of each hour: where its light comes from (east is right, south is down), how high it stands (radians), its colour, what is left in shade.
LIGHT = {"dawn": ((1.0, 0.2), 0.35, (1.15, 0.83, 0.86), 0.42), "day": ((-0.6, -0.8), 0.95, (1.08, 1.06, 1.0), 0.45),
         "sunset": ((-1.0, 0.3), 0.3, (1.35, 0.78, 0.42), 0.36), "night": ((0.5, -0.9), 0.8, (0.40, 0.48, 0.74), 0.30)}
FOG = {"dawn": (0.93, 0.82, 0.84), "day": (0.86, 0.88, 0.90), "sunset": (0.95, 0.74, 0.58), "night": (0.24, 0.28, 0.38)}
TINTS = {"golden": ((0.20, 0.10, 0.02), (1.0, 0.80, 0.40)), "blue": ((0.02, 0.08, 0.24), (0.72, 0.88, 1.0)),
         "violet": ((0.12, 0.02, 0.22), (0.90, 0.74, 1.0)), "mono": ((0.03, 0.03, 0.03), (0.97, 0.97, 0.97))}


def put(image, colour, share):
    """Mixes a colour over the image; share: 0..1, of each place."""
    share = np.asarray(share, np.float32)[..., None]
    image += (np.asarray(colour, np.float32) - image) * share


def soft(x, lo, hi):
    t = np.clip((x - lo) / (hi - lo), 0, 1)
    return t * t * (3 - 2 * t)


def slopes(h):
    """Rise of the ground along rows and columns, in heights a side."""
    n = len(h)
    return np.gradient(h, axis=0) * n * RELIEF, np.gradient(h, axis=1) * n * RELIEF


def leaves(image, season, rng, where):
    """Blossom or gold leaves, in spots of a twelfth of the side."""
    if season in LEAVES:
        colour, begin = LEAVES[season]
        put(image, colour, soft(noise(rng, len(image), 12, 1), begin, begin + 0.08) * where)


def growing(image, h, steep, attrs, rng):
    """Grass, trees, rock and snow of the kinds where something grows."""
    n, season = len(h), attrs["season"]
    put(image, GRASS[season], 1)
    patch = noise(rng, n, 5, 3)
    woods = soft(patch, WOODED[season], WOODED[season] + 0.08) * (1 - soft(h, 0.66, 0.76))
    put(image, TREES[season], woods * 0.9)
    leaves(image, season, rng, (0.9 if season == "spring" else 0.35 + 0.55 * woods) * (1 - soft(h, 0.66, 0.76)))
    put(image, ROCK, np.maximum(soft(steep, 1.5, 2.6), soft(h, 0.7, 0.82)) * (0.35 if season == "winter" else 0.8))
    put(image, SNOW, soft(h + 0.1 * (patch - 0.5), SNOW_LINE[season], SNOW_LINE[season] + 0.08) * (1 - 0.6 * soft(steep, 1.6, 2.6)))


def farmland(image, extra, attrs, rng):
    season, plot = attrs["season"], extra["plot"]
    crops = {"spring": [(0.62, 0.82, 0.36), (0.75, 0.88, 0.48), (0.97, 0.72, 0.84), (0.99, 0.86, 0.92)],
             "summer": [(0.20, 0.46, 0.16), (0.30, 0.56, 0.20), (0.12, 0.36, 0.14), (0.42, 0.62, 0.24)],
             "autumn": [(0.66, 0.42, 0.15), (0.50, 0.24, 0.10), (0.92, 0.72, 0.25), (0.36, 0.22, 0.12)],
             "winter": [(0.92, 0.94, 0.97), (0.86, 0.89, 0.93), (0.95, 0.96, 0.98), (0.89, 0.91, 0.94)]}[season]
    for k, colour in enumerate(crops):
        put(image, colour, (plot >= k / 4) & (plot < (k + 1) / 4))
    put(image, TREES[season], extra["hedge"] * 0.7)
    put(image, np.asarray(TREES[season]) * 0.9, extra["woods"] * 0.95)
    leaves(image, season, rng, extra["woods"] * 0.9)


def rocks(image, h, kind, extra, rng):
    """Landforms on which nothing grows."""
    n = len(h)
    if kind == "dunes":
        put(image, SAND, 1)
        put(image, (0.72, 0.54, 0.33), soft(extra["crest"], 0.75, 0.2) * 0.45)
    elif kind == "canyon":
        put(image, (0.78, 0.42, 0.24), 1)
        bands = (h * 12 + 1.2 * noise(rng, n, 4, 3)) % 1
        put(image, (0.90, 0.66, 0.42), soft(bands, 0.45, 0.6) * 0.75)
        put(image, (0.52, 0.24, 0.16), soft(bands, 0.85, 0.95) * 0.8)
    elif kind == "volcano":
        put(image, ASH, 1)
        put(image, (0.40, 0.33, 0.26), soft(noise(rng, n, 5, 4), 0.45, 0.62) * (1 - soft(h, 0.4, 0.6)))
    else:
        put(image, (0.56, 0.55, 0.54), 1)
        put(image, (0.36, 0.35, 0.36), soft(noise(rng, n, 3, 4), 0.45, 0.65) * 0.8)


def ground(h, steep, extra, attrs, rng):
    image = np.zeros((*h.shape, 3), np.float32)
    if attrs["kind"] == "fields":
        farmland(image, extra, attrs, rng)
    elif attrs["season"]:
        growing(image, h, steep, attrs, rng)
    else:
        rocks(image, h, attrs["kind"], extra, rng)
    if attrs["kind"] in ("coast", "islands"):
        put(image, SAND, 1 - soft(h, SEA + 0.015, SEA + 0.045))
    return image


def water(image, h, extra):
    """Seas and lakes by depth; rivers."""
    under = h <= SEA
    for mask, depth in ((under, soft(SEA - h, 0.0, 0.12)), (extra.get("river"), 0.35)):
        if mask is not None:
            put(image, SHALLOW, mask)
            put(image, DEEP, mask * depth)
    return under | extra["river"] if "river" in extra else under


def lit(image, h, wet, hour):
    """Light from the hour's side on the slopes (Lambert), and its colour; water lies flat."""
    (x, y), up, colour, shade = LIGHT[hour]
    dy, dx = slopes(np.maximum(h, SEA))
    length = np.hypot(x, y)
    light = np.cos(up) * np.array([-x, -y]) / length
    s = (dx * light[0] + dy * light[1] + np.sin(up)) / np.sqrt(1 + dx * dx + dy * dy)
    s = np.where(wet, np.sin(up) * 0.5 + 0.5, np.clip(s / max(np.sin(up), 0.5), 0, 1.5))
    return image * (shade + (1 - shade) * s)[..., None] * np.asarray(colour, np.float32)


def streaks(n):
    """Slanting lines of rain, 0..1, one in eight places of a row, three places wide."""
    y, x = np.mgrid[:n, :n]
    return np.clip(2 - np.abs((x + y) % 8 - 3.5), 0, 1)


def weather(image, h, attrs, rng):
    n = len(h)
    if attrs["weather"] == "fog":
        bank = soft(0.62 - h + 0.5 * (noise(rng, n, 2, 4) - 0.5), -0.05, 0.3)
        put(image, FOG[attrs["hour"]], 0.12 + 0.56 * bank)
    elif attrs["weather"] == "rain":
        grey = image.mean(-1, keepdims=True)
        image[:] = (0.65 * image + 0.35 * grey) * np.array([0.66, 0.72, 0.80], np.float32)
        put(image, (0.78, 0.84, 0.92), streaks(n) * (0.22 + 0.3 * noise(rng, n, 3, 1)))
    return image


def graded(image, palette):
    if palette == "natural":
        return image
    lo, hi = (np.asarray(c, np.float32) for c in TINTS[palette])
    light = (image @ np.array([0.3, 0.55, 0.15], np.float32))[..., None]
    tinted = lo + (hi - lo) * np.clip(light, 0, 1) ** 0.9
    return tinted if palette == "mono" else 0.35 * image + 0.65 * tinted


def paint(h, extra, attrs, rng):
    """size x size x 3 in 0..1."""
    dy, dx = slopes(h)
    image = ground(h, np.hypot(dy, dx), extra, attrs, rng)
    image *= (0.93 + 0.14 * noise(rng, len(h), 32, 2))[..., None]
    wet = water(image, h, extra)
    image = lit(image, h, wet, attrs["hour"])
    if "lava" in extra:                               # it shines by itself
        put(image, LAVA, extra["lava"] * 0.95)
    return np.clip(graded(np.clip(weather(image, h, attrs, rng), 0, 1), attrs["palette"]), 0, 1)
