# attributes.py: what a picture of the corpus can be made of (subject, time of day, weather, style, palette), how attributes
# are drawn by lot for picture number `index` of a `seed`, and which combinations are held out of training.
import numpy as np

from . import lots
from .lots import rng_for

CORPUS_VERSION = "ink-1"

STYLES = ["watercolour", "ink", "oil", "pixel", "neon", "pencil"]
PALETTES = ["natural", "golden", "blue", "violet", "green", "mono"]
TIMES = ["dawn", "day", "sunset", "night"]
WEATHERS = ["clear", "fog", "rain", "snow"]
OUTDOOR = ["mountains", "sea", "forest", "city", "desert", "lighthouse", "tree"]
INDOOR = ["spaceport", "easel", "inkglass"]          # no sky: neither time of day nor weather
SUBJECTS = OUTDOOR + INDOOR

# Each attribute's values in the order of the class numbers that the judges use.
CLASSES = {"subject": SUBJECTS, "time": TIMES, "weather": WEATHERS, "style": STYLES, "palette": PALETTES}

PALETTE_WEIGHTS = np.array([0.45, 0.11, 0.11, 0.11, 0.11, 0.11])
WEATHER_WEIGHTS = np.array([0.34, 0.22, 0.22, 0.22])

# Pairs of subject and style that training never sees: one of each subject, at least one of each style.
HELD_PAIRS = {("mountains", "pixel"), ("sea", "ink"), ("forest", "watercolour"), ("city", "pencil"), ("desert", "neon"),
              ("lighthouse", "oil"), ("tree", "pixel"), ("spaceport", "oil"), ("easel", "neon"), ("inkglass", "pencil")}
# The demo asks for this combination: never held out.
KEPT = {("mountains", "watercolour", "fog")}


def held_out_by(attrs):
    """The held-out pairs and triples that `attrs` contains, as a list of tuples (empty: a training picture)."""
    subject, style = attrs["subject"], attrs["style"]
    found = []
    if (subject, style) in HELD_PAIRS:
        found.append((subject, style))
    if attrs["weather"] is not None:
        triple = (subject, style, attrs["weather"])
        if lots.hashed("triple", *triple) % 10 == 0 and triple not in KEPT:
            found.append(triple)
        triple = (subject, attrs["time"], attrs["palette"])
        if lots.hashed("triple", *triple) % 10 == 0:
            found.append(triple)
    else:
        triple = (subject, style, attrs["palette"])
        if lots.hashed("triple", *triple) % 10 == 0:
            found.append(triple)
    return found


def _draw_lot(rng):
    subject = SUBJECTS[rng.integers(len(SUBJECTS))]
    style = STYLES[rng.integers(len(STYLES))]
    palette = PALETTES[rng.choice(len(PALETTES), p=PALETTE_WEIGHTS)]
    if style == "ink" and palette == "mono":
        palette = "natural"                           # ink wash is grey already
    attrs = {"subject": subject, "style": style, "palette": palette, "time": None, "weather": None}
    if subject in OUTDOOR:
        attrs["time"] = TIMES[rng.integers(len(TIMES))]
        attrs["weather"] = WEATHERS[rng.choice(len(WEATHERS), p=WEATHER_WEIGHTS)]
    return attrs


def attributes(seed, index, which="train"):
    """Attributes of picture `index`: which = train (no held-out combination), held (at least one), all."""
    return lots.draw(rng_for(seed, index), _draw_lot, held_out_by, which)


def to_codes(attrs):
    """Five small numbers (255: does not apply), in the order of CLASSES."""
    return lots.to_codes(CLASSES, attrs)


def from_codes(codes):
    return lots.from_codes(CLASSES, codes)
