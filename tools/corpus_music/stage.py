# stage.py: the instruments on a stage, at 32 kHz in two channels. Each has its seat, as loudness of left and right alone: two channels
# that say the same at different times are heard as one, and a picture of loudness could not say it. What tells instruments apart lies
# where a small autoencoder keeps it: pads sway from side to side under a breath of air, each bell hangs somewhere else and sparkles.
import functools

import numpy as np

from .synth import Synth, _rng, hertz

RATE, HOP, COLUMNS = 32000, 640, 256
ALIKE = 0.8                                           # of the rooms that left and right hear: the share that is the same
DRUMS = {"kick": 0.0, "snare": 0.1, "hat": 0.5, "open": 0.5, "low": 0.35, "mid": -0.1, "high": -0.4, "crash": -0.5, "clap": -0.2, "shaker": -0.6}


def loudness(pan):
    """Of left and right; pan: -1 (left) to 1. Together as loud wherever it is, and 1 in the middle."""
    angle = (np.asarray(pan) + 1) * (np.pi / 4)
    return np.sqrt(2) * np.cos(angle), np.sqrt(2) * np.sin(angle)


class Stage(Synth):
    channels = 2

    def __init__(self):
        super().__init__(RATE, HOP * COLUMNS, 15500)

    def _pad(self, pitch, bright):
        """With air above it that swells as the pad sways."""
        f, rng, t = hertz(pitch), _rng("pad", pitch), self._time()
        x = self._saws(f * 2 ** (np.array([-14, -7, 0, 8, 13]) / 1200), rng, 0.0015, 0.7)
        x = self._filter(x, lambda h: 1 / (1 + (h / (1.6 * f + (900 if bright else 350))) ** 5))
        sway = 0.75 + 0.25 * np.sin(2 * np.pi * 1.1 * t + rng.random() * 6)
        air = self._filter(rng.standard_normal(self.tone_length).astype(np.float32), lambda h: np.exp(-((h - 9000) / 2500) ** 2))
        x = x * sway + 0.25 * np.sin(np.pi * f * t) + 0.12 * (1 - sway) * np.sin(4 * np.pi * f * t)
        return x + (0.035 if bright else 0.02) * sway * air * np.sqrt((x ** 2).mean()) / 0.2

    def _bells(self, pitch, bright):
        """And the highest modes, for as long as a spark."""
        f, rng, t = hertz(pitch), _rng("spark", pitch), self._time()
        out = super()._bells(pitch, bright)
        for ratio, a, tau in ((13.34, 0.16, 0.10), (18.64, 0.12, 0.08), (24.8, 0.09, 0.07)):
            if ratio * f < self.top:
                out += a * np.exp(-t / tau) * np.sin(2 * np.pi * ratio * f * t + rng.random() * 6.28)
        return out

    def seat(self, instrument, pitch, at, n):
        if instrument == "pad":                       # two rounds of the loop
            return loudness(0.6 * np.sin((4 * np.pi / self.length) * (at + np.arange(n))).astype(np.float32))
        pan = {"piano": (pitch - 62) / 40, "strings": (62 - pitch) / 40, "guitar": 0.35, "flute": -0.3,
               "bells": (pitch * 7 % 12) / 11 * 1.4 - 0.7}[instrument]
        return loudness(np.clip(pan, -0.7, 0.7) * np.clip((pitch - 40) / 16, 0, 1))     # basses stand in the middle

    def drum_seat(self, name):
        return loudness(DRUMS[name])

    @functools.lru_cache(maxsize=None)
    def _room(self, seconds):
        both = self._echoes(seconds)
        sides = [np.sqrt(ALIKE) * both + np.sqrt(1 - ALIKE) * self._echoes(seconds, side) for side in ("left", "right")]
        return np.fft.rfft(np.stack(sides)).astype(np.complex64)
