# attributes.py: what a landscape of the corpus can be (landform, hour, season, weather, palette), how attributes are drawn by lot
# for landscape number `index` of a `seed`, and which combinations are held out of training.
import numpy as np

from corpus import lots

CORPUS_VERSION = "world-3"

KINDS = ["mountains", "lake", "dunes", "coast", "islands", "canyon", "volcano", "valley", "fields", "craters"]
HOURS = ["dawn", "day", "sunset", "night"]
SEASONS = ["spring", "summer", "autumn", "winter"]
WEATHERS = ["clear", "fog", "rain"]
PALETTES = ["natural", "golden", "blue", "violet", "mono"]
SEASONAL = ["mountains", "lake", "coast", "islands", "valley", "fields"]    # where something grows
AIRLESS = ["craters"]                                                       # no weather

# Each attribute's values in the order of the class numbers that the judges use.
CLASSES = {"kind": KINDS, "hour": HOURS, "season": SEASONS, "weather": WEATHERS, "palette": PALETTES}

PALETTE_WEIGHTS = np.array([0.52, 0.12, 0.12, 0.12, 0.12])
WEATHER_WEIGHTS = np.array([0.5, 0.25, 0.25])

# Pairs of landform and hour that training never sees: one of each landform.
HELD_PAIRS = {("mountains", "sunset"), ("lake", "night"), ("dunes", "dawn"), ("coast", "night"), ("islands", "day"), ("canyon", "night"),
              ("volcano", "dawn"), ("valley", "sunset"), ("fields", "dawn"), ("craters", "sunset")}


def held_out_by(attrs):
    """The held-out pairs and triples that `attrs` contains, as a list of tuples (empty: a training landscape)."""
    found = [(attrs["kind"], attrs["hour"])] if (attrs["kind"], attrs["hour"]) in HELD_PAIRS else []
    for other in ("season", "weather"):
        triple = (attrs["kind"], attrs["palette"], attrs[other] or "none")
        if attrs[other] is not None and lots.hashed("triple", *triple) % 10 == 0:
            found.append(triple)
    return found


def rng_for(seed, index, stream=0):
    """The random stream of one landscape: the same on every machine and in every order of drawing."""
    return lots.rng_for(seed, index, stream, 4)


def _draw_lot(rng):
    kind = KINDS[rng.integers(len(KINDS))]
    attrs = {"kind": kind, "hour": HOURS[rng.integers(len(HOURS))], "season": None, "weather": None,
             "palette": PALETTES[rng.choice(len(PALETTES), p=PALETTE_WEIGHTS)]}
    if kind in SEASONAL:
        attrs["season"] = SEASONS[rng.integers(len(SEASONS))]
    if kind not in AIRLESS:
        attrs["weather"] = WEATHERS[rng.choice(len(WEATHERS), p=WEATHER_WEIGHTS)]
    return attrs


def attributes(seed, index, which="train"):
    """Attributes of landscape `index`: which = train (no held-out combination), held (at least one), all."""
    return lots.draw(rng_for(seed, index), _draw_lot, held_out_by, which)


def to_codes(attrs):
    """Five small numbers (255: does not apply), in the order of CLASSES."""
    return lots.to_codes(CLASSES, attrs)


def from_codes(codes):
    return lots.from_codes(CLASSES, codes)
