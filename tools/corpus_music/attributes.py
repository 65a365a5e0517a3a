# attributes.py: what a clip of the music corpus can be made of (mood, instruments, tempo, key, mode), how attributes are drawn by
# lot for clip number `index` of a `seed`, and which combinations are held out of training.
import numpy as np

from corpus import lots
from corpus.lots import NONE, rng_for

MOODS = ["calm", "happy", "sad", "tense", "epic", "mysterious", "energetic", "dreamy"]
PITCHED = ["piano", "strings", "guitar", "flute", "pad", "bells"]
INSTRUMENTS = PITCHED + ["drums"]                     # drums accompany, they never play alone
KEYS = ["C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B"]
MODES = ["ionian", "lydian", "mixolydian", "dorian", "aeolian", "harmonic", "phrygian"]
MAJOR = {"ionian", "lydian", "mixolydian"}

# A clip is a loop of one window, so it holds a whole number of beats: the tempo follows.
SECONDS = 5.12
BEATS = [4, 6, 8, 12, 16]
SPEED = {4: "slow", 6: "slow", 8: "moderate", 12: "fast", 16: "fast"}

# What a mood allows: beats in the window, modes, how often drums join.
CHARACTER = {
    "calm": {"beats": [4, 6, 8], "modes": ["ionian"], "drums": 0.08},
    "happy": {"beats": [8, 12, 16], "modes": ["ionian", "mixolydian"], "drums": 0.35},
    "sad": {"beats": [4, 6], "modes": ["aeolian", "harmonic"], "drums": 0.08},
    "tense": {"beats": [8, 12, 16], "modes": ["phrygian", "harmonic"], "drums": 0.3},
    "epic": {"beats": [8, 12], "modes": ["aeolian", "dorian"], "drums": 0.55},
    "mysterious": {"beats": [4, 6, 8], "modes": ["harmonic", "phrygian"], "drums": 0.12},
    "energetic": {"beats": [12, 16], "modes": ["mixolydian", "dorian"], "drums": 0.55},
    "dreamy": {"beats": [4, 6, 8], "modes": ["lydian"], "drums": 0.08},
}

# Pairs of mood and instrument that training never sees: one of each mood.
HELD_PAIRS = {("calm", "bells"), ("happy", "pad"), ("sad", "guitar"), ("tense", "flute"), ("epic", "piano"), ("mysterious", "strings"),
              ("energetic", "bells"), ("dreamy", "guitar")}
# The demo asks for calm piano: never held out.
KEPT = {("calm", "piano")}

COLUMNS = ["mood", "lead", "back", "drums", "tempo", "key", "mode"]


def instruments(attrs):
    """The instruments of a clip, in the order of INSTRUMENTS."""
    on = {attrs["lead"], attrs["back"]} | ({"drums"} if attrs["drums"] else set())
    return [i for i in INSTRUMENTS if i in on]


def tempo(beats):
    """Beats a minute of a loop of so many beats."""
    return beats * 60 / SECONDS


def held_out_by(attrs):
    """The held-out pairs (mood, instrument) and triples (mood, instrument, speed) in `attrs`; empty: a training clip."""
    found = []
    for name in instruments(attrs):
        pair = (attrs["mood"], name)
        triple = pair + (SPEED[attrs["beats"]],)
        if pair in HELD_PAIRS:
            found.append(pair)
        elif name != "drums" and pair not in KEPT and len(speeds(attrs["mood"])) > 1 and lots.hashed("triple", *triple) % 10 == 0:
            found.append(triple)
    return found


def speeds(mood):
    return {SPEED[b] for b in CHARACTER[mood]["beats"]}


def _pick(rng, words):
    return words[int(rng.integers(len(words)))]


def _draw_lot(rng):
    mood = _pick(rng, MOODS)
    c = CHARACTER[mood]
    lead = _pick(rng, PITCHED)
    back = _pick(rng, PITCHED) if rng.random() < 0.3 else lead
    return {"mood": mood, "lead": lead, "back": back, "drums": bool(rng.random() < c["drums"]), "beats": _pick(rng, c["beats"]),
            "key": _pick(rng, KEYS), "mode": _pick(rng, c["modes"])}


def attributes(seed, index, which="train"):
    """Attributes of clip `index`: which = train (no held-out combination), held (at least one), all."""
    return lots.draw(rng_for(seed, index), _draw_lot, held_out_by, which)


def to_codes(attrs):
    """Seven small numbers, in the order of COLUMNS. `back` is NONE where one instrument plays everything."""
    back = NONE if attrs["back"] == attrs["lead"] else PITCHED.index(attrs["back"])
    return [MOODS.index(attrs["mood"]), PITCHED.index(attrs["lead"]), back, int(attrs["drums"]), BEATS.index(attrs["beats"]),
            KEYS.index(attrs["key"]), MODES.index(attrs["mode"])]


def from_codes(codes):
    mood, lead, back, drums, beats, key, mode = (int(c) for c in codes)
    return {"mood": MOODS[mood], "lead": PITCHED[lead], "back": PITCHED[lead if back == NONE else back], "drums": bool(drums),
            "beats": BEATS[beats], "key": KEYS[key], "mode": MODES[mode]}


# What the judges tell: the mood, and of each instrument whether it plays.
CLASSES = {"mood": MOODS, **{i: ["absent", "present"] for i in INSTRUMENTS}}


def judged(codes):
    """Codes (N x 7) as class numbers (N x 8) in the order of CLASSES."""
    out = np.zeros((len(codes), len(CLASSES)), np.uint8)
    out[:, 0] = codes[:, 0]
    for i in range(len(PITCHED)):
        out[:, 1 + i] = (codes[:, 1] == i) | (codes[:, 2] == i)
    out[:, 1 + len(PITCHED)] = codes[:, 3]
    return out
