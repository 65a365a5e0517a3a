# harmony.py: scales, chords and how they move: progressions by mood, voicings that stay close to each other, melodies that stand on
# chord tones and walk between them.
import numpy as np

SCALES = {"ionian": (0, 2, 4, 5, 7, 9, 11), "lydian": (0, 2, 4, 6, 7, 9, 11), "mixolydian": (0, 2, 4, 5, 7, 9, 10),
          "dorian": (0, 2, 3, 5, 7, 9, 10), "aeolian": (0, 2, 3, 5, 7, 8, 10), "harmonic": (0, 2, 3, 5, 7, 8, 11),
          "phrygian": (0, 1, 3, 5, 7, 8, 10)}

# Degrees (0 is the tonic) of the chords of one loop; the last leads back to the first. Loops of four or six beats have two chords.
PROGRESSIONS = {
    "calm": ([0, 3, 0, 4], [0, 5, 3, 4], [0, 2, 3, 4], [0, 4, 3, 3]),
    "happy": ([0, 3, 4, 4], [0, 4, 5, 3], [0, 5, 3, 4], [0, 3, 0, 4]),
    "sad": ([0, 5, 3, 4], [0, 3, 5, 4], [0, 6, 5, 4], [0, 3, 0, 4]),
    "tense": ([0, 0, 1, 0], [0, 1, 0, 1], [0, 0, 5, 1], [0, 1, 5, 1]),
    "epic": ([0, 5, 2, 6], [0, 6, 5, 6], [0, 3, 5, 6], [0, 2, 6, 3]),
    "mysterious": ([0, 1, 0, 1], [0, 5, 0, 1], [0, 3, 0, 1], [0, 0, 5, 1]),
    "energetic": ([0, 6, 3, 0], [0, 3, 6, 3], [0, 0, 6, 3], [0, 3, 0, 6]),
    "dreamy": ([0, 1, 0, 1], [0, 4, 1, 4], [0, 2, 1, 4], [0, 1, 5, 4]),
}
# Tones of a chord, in steps of the scale above its root.
COLOUR = {"calm": (0, 2, 4), "happy": (0, 2, 4), "sad": (0, 2, 4), "tense": (0, 2, 4), "epic": (0, 2, 4), "mysterious": (0, 2, 4, 5),
          "energetic": (0, 4, 6), "dreamy": (0, 2, 4, 6)}


class Scale:
    def __init__(self, tonic, mode):
        self.tonic, self.steps = tonic, SCALES[mode]

    def pitch(self, degree):
        """The MIDI pitch of a degree, 0 being the tonic in the octave from C4."""
        return 60 + self.tonic % 12 + self.steps[degree % 7] + 12 * (degree // 7)

    def nearest(self, pitch):
        """The degree whose pitch is nearest."""
        low = int((pitch - 60) / 12 * 7) - 9
        return min(range(low, low + 19), key=lambda d: abs(self.pitch(d) - pitch))


def progression(mood, slots, rng):
    degrees = PROGRESSIONS[mood][int(rng.integers(4))]
    return degrees if slots == 4 else [degrees[0], degrees[3] if degrees[3] else degrees[1] or 4]


def chord(scale, degree, mood):
    """The chord's degrees, its root first."""
    return [degree + c for c in COLOUR[mood]]


def voicing(scale, degrees, centre, before):
    """Pitches of a chord around `centre`: of all inversions the one with the least movement from the voicing before it."""
    classes = [scale.pitch(d) % 12 for d in degrees]
    best = None
    for first in range(len(classes)):
        turned = classes[first:] + classes[:first]
        p = [centre - 6 + (turned[0] - (centre - 6)) % 12]
        for c in turned[1:]:
            p.append(p[-1] + ((c - p[-1]) % 12 or 12))
        cost = sum(abs(a - b) for a, b in zip(p, before)) if before else 0
        cost += 0.5 * abs(np.mean(p) - centre)
        if best is None or cost < best[0]:
            best = (cost, p)
    return best[1]


def melody(scale, chords, rhythm, slot, centre, leap, fall, rng):
    """(start, length, pitch) of a line over chords of `slot` beats each. rhythm: (start, length, rest?) in beats. Notes on a beat
    are chord tones near the note before; others step on through the scale. leap: how far a chord tone may lie (degrees);
    fall: the line's tendency, degrees a note."""
    line, at = [], scale.nearest(centre)
    home, heading = at, 1
    for start, length, rest in rhythm:
        if rest:
            continue
        tones = chords[min(len(chords) - 1, int(start / slot + 1e-6))]
        if abs(start - round(start)) < 1e-6 or not line:
            near = [d for d in range(at - leap, at + leap + 1) if any((d - t) % 7 == 0 for t in tones)]
            if len(near) > 1 and line:
                near = [d for d in near if d != at] or near
            pull = [abs(d - at - fall) + 0.35 * abs(d - home) + rng.random() * 2.5 for d in near]
            new = near[int(np.argmin(pull))]
        else:
            new = at + heading
        heading = 1 if new > at else -1 if new < at else heading
        if abs(new - home) > 7:
            heading = -1 if new > home else 1
        at = new
        line.append((start, length, scale.pitch(at)))
    return line
