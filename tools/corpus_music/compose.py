# compose.py: writes a clip: which notes sound when, how loud and how long, by mood. One table says what a mood is made of
# (texture, register, rhythm, dynamics, articulation, room); a function for each texture turns chords into notes.
import dataclasses

from . import attributes as A
from . import harmony

# Rhythms of melodies in beats, repeated until the loop is full; a negative number is a rest.
STYLES = {
    "calm": {"texture": "flowing", "rhythms": ((2, 1, 1), (1.5, 0.5, 2), (1, 1, 2)), "lead": 72, "back": 58, "bass": 43,
             "loud": (0.22, 0.40), "hold": 1.0, "room": 1.6, "wet": 0.45, "leap": 3, "fall": 0.0, "drums": "brushes"},
    "happy": {"texture": "bounce", "rhythms": ((0.5, 0.5, 1, 0.5, 0.5, 1), (1, 0.5, 0.5, 1, 1), (0.75, 0.25, 0.5, 0.5)), "lead": 79,
              "back": 65, "bass": 48, "loud": (0.55, 0.80), "hold": 0.5, "room": 0.4, "wet": 0.2, "leap": 5, "fall": 0.3,
              "drums": "pop"},
    "sad": {"texture": "chorale", "rhythms": ((1.5, 0.5, 2), (2, 2), (1, 1, 1.5, 0.5)), "lead": 64, "back": 52, "bass": 36,
            "loud": (0.18, 0.38), "hold": 1.05, "room": 1.6, "wet": 0.4, "leap": 2, "fall": -1.2, "drums": "heart"},
    "tense": {"texture": "ostinato", "rhythms": ((-1, 0.5, 0.5, -2), (-1.5, 0.5, -2), (0.5, 0.5, -1, 0.5, -1.5)), "lead": 62,
              "back": 50, "bass": 38, "loud": (0.35, 0.95), "hold": 0.45, "room": 0.4, "wet": 0.15, "leap": 2, "fall": 0.6,
              "drums": "pulse"},
    "epic": {"texture": "march", "rhythms": ((1.5, 0.5, 1, 1), (2, 1, 1), (1, 1, 2)), "lead": 74, "back": 60, "bass": 36,
             "loud": (0.85, 1.0), "hold": 0.9, "room": 2.6, "wet": 0.5, "leap": 4, "fall": 0.5, "drums": "battle"},
    "mysterious": {"texture": "drone", "rhythms": ((-0.5, 1.5, -2), (-1, 1, -1, 1), (-0.5, 0.5, 1, -2)), "lead": 81, "back": 46,
                   "bass": 36, "loud": (0.25, 0.50), "hold": 0.8, "room": 3.6, "wet": 0.8, "leap": 6, "fall": 0.0, "drums": "ritual"},
    "energetic": {"texture": "drive", "rhythms": ((0.5, 0.5, 0.5, 0.5, 1, 1), (0.75, 0.75, 0.5), (0.5, 1, 0.5, 0.5, 0.5, 1)),
                  "lead": 76, "back": 57, "bass": 40, "loud": (0.8, 1.0), "hold": 0.6, "room": 0.4, "wet": 0.12, "leap": 4,
                  "fall": 0.4, "drums": "rock"},
    "dreamy": {"texture": "wash", "rhythms": ((2, -2), (3, 1), (-1, 3)), "lead": 84, "back": 72, "bass": 50, "loud": (0.18, 0.34),
               "hold": 1.6, "room": 3.6, "wet": 0.9, "leap": 4, "fall": 0.0, "drums": "dust"},
}

# Hits of a kit in sixteenths of a bar of four beats: drum -> (steps, loudness).
PATTERNS = {
    "brushes": {"shaker": ((0, 4, 8, 12), 0.25), "kick": ((0,), 0.35)},
    "pop": {"kick": ((0, 8), 0.7), "clap": ((4, 12), 0.6), "hat": ((0, 2, 4, 6, 8, 10, 12, 14), 0.35)},
    "heart": {"low": ((0, 3), 0.4)},
    "pulse": {"low": ((0, 2, 4, 6, 8, 10, 12, 14), 0.5), "hat": (tuple(range(16)), 0.2)},
    "battle": {"low": ((0, 3, 4, 8, 11, 12), 1.0), "mid": ((6, 14, 15), 0.8), "crash": ((0,), 0.7), "snare": ((4, 12), 0.7)},
    "ritual": {"mid": ((0, 10), 0.45), "shaker": ((6, 14), 0.25)},
    "rock": {"kick": ((0, 6, 8), 0.9), "snare": ((4, 12), 0.9), "hat": (tuple(range(0, 16, 2)), 0.5), "open": ((14,), 0.5)},
    "dust": {"open": ((0,), 0.2), "shaker": ((8,), 0.2)},
}


# Where one instrument leads and another accompanies, the accompaniment steps back (factors of the samples), or it drowns the lead.
LEAD_GAIN, BACK_GAIN = 1.5, 0.55


@dataclasses.dataclass
class Note:
    instrument: str
    start: float                                      # beats
    beats: float
    pitch: int
    loud: float
    attack: float = 1.0                               # of the instrument's own
    gain: float = 1.0                                 # of the samples: louder, not brighter


@dataclasses.dataclass
class Clip:
    beats: int
    notes: list
    hits: list                                        # (start in beats, drum, loudness)
    style: dict
    tilt: float                                       # dB an octave around 1 kHz: every recording has its own colour


class Writer:
    """What the textures share: the chords, the style, dice, and where notes go."""

    def __init__(self, attrs, rng):
        self.mood, self.beats, self.rng = attrs["mood"], attrs["beats"], rng
        self.style, self.lead, self.back = STYLES[self.mood], attrs["lead"], attrs["back"]
        self.scale = harmony.Scale(A.KEYS.index(attrs["key"]), attrs["mode"])
        self.slots = 2 if self.beats in (4, 6) else 4
        self.slot = self.beats / self.slots
        self.degrees = harmony.progression(self.mood, self.slots, rng)
        self.chords = [harmony.chord(self.scale, d, self.mood) for d in self.degrees]
        self.voices, before = [], None
        for c in self.chords:
            before = harmony.voicing(self.scale, c, self.style["back"], before)
            self.voices.append(before)
        low, high = self.style["loud"]
        self.level = low + (high - low) * rng.random() if self.mood != "tense" else None
        self.notes = []

    def loud(self, start, accent=1.0):
        """Dynamics: even, with accents; what is tense swells through the loop."""
        low, high = self.style["loud"]
        level = self.level if self.level is not None else low + (high - low) * start / self.beats
        return min(1.0, max(0.05, level * accent * self.rng.uniform(0.9, 1.1)))

    def bass(self, k):
        root = self.scale.pitch(self.chords[k][0])
        return self.style["bass"] + (root - self.style["bass"]) % 12

    def add(self, instrument, start, beats, pitch, accent=1.0, attack=1.0):
        gain = 1.0 if self.lead == self.back else LEAD_GAIN if instrument == self.lead else BACK_GAIN
        self.notes.append(Note(instrument, start % self.beats, beats, int(pitch), self.loud(start % self.beats, accent), attack, gain))


def flowing(w):
    """Broken chords in quavers over a soft bass."""
    shape = ((0, 1, 2, 1), (0, 2, 1, 2), (0, 1, 2, 3, 2, 1))[int(w.rng.integers(3))]
    step = 0.5
    for k, p in enumerate(w.voices):
        p, at = p + [p[0] + 12], k * w.slot
        w.add(w.back, at, w.slot, w.bass(k), 0.9)
        for i in range(int(w.slot / step)):
            w.add(w.back, at + i * step, step * 2, p[shape[i % len(shape)]], 0.75)


def bounce(w):
    """Bass on the beat, short chords after it."""
    for k, p in enumerate(w.voices):
        for b in range(int(w.slot)):
            at = k * w.slot + b
            w.add(w.back, at, 0.4, w.bass(k) + (7 if b % 2 else 0), 0.9)
            for q in p:
                w.add(w.back, at + 0.5, 0.25, q, 0.8)


def chorale(w):
    """Held chords, deep and slow."""
    for k, p in enumerate(w.voices):
        at = k * w.slot
        w.add(w.back, at, w.slot, w.bass(k), 1.0, 1.5)
        for q in p:
            w.add(w.back, at, w.slot, q, 0.8, 1.5)


def ostinato(w):
    """One low note repeated, with the semitone above it for a thorn; clusters on the last chord."""
    thorn = (0, 0, 0, 1, 0, 0, 1, 0) if w.rng.random() < 0.5 else (0, 0, 1, 0, 0, 0, 1, 3)
    step = 0.25 if w.beats == 8 else 0.5
    for i in range(int(w.beats / step)):
        k = int(i * step / w.slot)
        w.add(w.back, i * step, step * 0.6, w.bass(k) + 12 + thorn[i % 8], 1.0 if i % 4 == 0 else 0.8)
    for k, p in enumerate(w.voices):
        for q in (p[0], p[0] + 1, p[0] + 6):
            w.add(w.back, (k + 1) * w.slot - 1, 0.5, q, 0.7)


def march(w):
    """Full chords in a dotted rhythm over bass octaves."""
    cells = ((0, 0.75), (0.75, 0.25)) if w.rng.random() < 0.6 else ((0, 0.5), (0.5, 0.25), (0.75, 0.25))
    for k, p in enumerate(w.voices):
        at = k * w.slot
        for q in (w.bass(k) - 12, w.bass(k), w.bass(k) + 7):
            w.add(w.back, at, w.slot * 0.95, q, 1.0, 0.5)
        for b in range(int(w.slot)):
            for on, length in cells:
                for q in p + [p[0] + 12]:
                    w.add(w.back, at + b + on, length * 0.8, q, 0.9 if on else 1.0, 0.4)


def drone(w):
    """A hollow fifth that does not move, and now and then two strange notes above."""
    root = w.style["bass"] + (w.scale.pitch(0) - w.style["bass"]) % 12
    for q in (root, root + 7, root + 12):
        w.add(w.back, 0, w.beats, q, 0.8, 2.0)
    for k, p in enumerate(w.voices):
        if w.rng.random() < 0.6:
            w.add(w.back, k * w.slot + w.slot / 2, w.slot / 2, p[0] + 12, 0.6)
            w.add(w.back, k * w.slot + w.slot / 2, w.slot / 2, p[0] + 13 + 5 * int(w.rng.integers(2)), 0.6)


def drive(w):
    """Power chords in quavers, a bass that runs."""
    accents = (1.0, 0.7, 0.85, 0.7) if w.rng.random() < 0.5 else (1.0, 0.7, 0.7, 1.0)
    for i in range(int(w.beats * 2)):
        k = int(i * 0.5 / w.slot)
        root = w.bass(k)
        w.add(w.back, i * 0.5, 0.3, root, accents[i % 4])
        for q in (root + 12, root + 19, root + 24):
            w.add(w.back, i * 0.5, 0.3, q, accents[i % 4], 0.5)


def wash(w):
    """High chords with sevenths that swell in one after the other and run into each other."""
    up = w.rng.random() < 0.6
    for k, p in enumerate(w.voices):
        at, p = k * w.slot, p if up else p[::-1]
        w.add(w.back, at, w.slot * 1.2, w.bass(k), 0.6, 3.0)
        for i, q in enumerate(p + [p[0] + 12]):
            w.add(w.back, at + i * w.slot / 8, w.slot, q, 0.8, 2.5)


TEXTURES = {f.__name__: f for f in (flowing, bounce, chorale, ostinato, march, drone, drive, wash)}


def _rhythm(w):
    """(start, length, rest?) until the loop is full."""
    cell, at, out = w.style["rhythms"][int(w.rng.integers(3))], 0.0, []
    while True:
        for d in cell:
            length = min(abs(d), w.beats - at)
            if length <= 1e-6:
                return out
            out.append((at, length, d < 0))
            at += length


def _hits(w):
    pattern, out = PATTERNS[w.style["drums"]], []
    for name, (steps, loud) in pattern.items():
        for bar in range(0, w.beats, 4):
            out += [(bar + s / 4, name, loud * w.rng.uniform(0.85, 1.1)) for s in steps if bar + s / 4 < w.beats]
    return out


def compose(attrs, rng):
    w = Writer(attrs, rng)
    TEXTURES[w.style["texture"]](w)
    s = w.style
    for start, length, pitch in harmony.melody(w.scale, w.chords, _rhythm(w), w.slot, s["lead"], s["leap"], s["fall"], rng):
        w.add(w.lead, start, length * s["hold"], pitch, 1.25)
        if w.mood == "epic":
            w.add(w.lead, start, length * s["hold"], pitch - 12, 1.0)
    return Clip(w.beats, w.notes, _hits(w) if attrs["drums"] else [], s, rng.normal(0, 1.2))
