# synth.py: the instruments, synthesised in numpy: additive piano, plucked string, bowed ensemble, flute, pad, modal bells, drums,
# and the room they play in. A tone is made once for every third pitch in a soft and in a bright layer, and played a little faster or
# slower for the pitches between; a note is a mixture of both layers.
import functools

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import lfilter

SLOWLY = 49                                           # envelopes are computed once in so many samples

# Pitches (MIDI) that an instrument has; others are moved by octaves. attack, release: seconds of a note's ends.
RANGE = {"piano": (28, 100), "strings": (31, 96), "guitar": (38, 86), "flute": (57, 98), "pad": (33, 92), "bells": (60, 105)}
ATTACK = {"piano": 0.002, "strings": 0.07, "guitar": 0.002, "flute": 0.045, "pad": 0.18, "bells": 0.002}
RELEASE = {"piano": 0.12, "strings": 0.18, "guitar": 0.09, "flute": 0.08, "pad": 0.35, "bells": 0.9}
GAIN = {"piano": 1.0, "strings": 0.8, "guitar": 1.0, "flute": 0.85, "pad": 0.85, "bells": 0.8}


def hertz(pitch):
    return 440.0 * 2 ** ((pitch - 69) / 12)


def _rng(*words):
    return np.random.default_rng([sum(ord(c) * 31 ** i for i, c in enumerate(w)) % 2**31 if isinstance(w, str) else w for w in words])


def fold(instrument, pitch):
    """The pitch moved by octaves into the instrument's range."""
    low, high = RANGE[instrument]
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


@functools.lru_cache(maxsize=None)
def _ramp(n):
    return np.linspace(0, 1, n, dtype=np.float32) ** 2


class Synth:
    """The instruments and rooms at so many samples a second, for loops of so many samples; partials end below `top` Hz."""

    def __init__(self, rate, length, top):
        self.rate, self.length, self.top = rate, length, top
        self.longest = length + rate // 5             # samples of the longest note
        self.tone_length = next_fast_len(rate * 40 // 7) # of a tone, enough to be played a semitone higher
        self.voices = {"piano": self._piano, "strings": self._strings, "guitar": self._guitar, "flute": self._flute, "pad": self._pad,
                       "bells": self._bells}
        self.kit = {"kick": self._kick, "snare": self._snare, "hat": lambda: self._hat(0.025), "open": lambda: self._hat(0.12),
                    "low": lambda: self._tom(62), "mid": lambda: self._tom(95), "high": lambda: self._tom(140), "crash": self._crash,
                    "clap": self._clap, "shaker": lambda: 0.6 * self._hat(0.04)}

    def samples(self, seconds):
        return round(seconds * self.rate)

    def _time(self, n=None):
        return np.arange(n or self.tone_length, dtype=np.float32) / self.rate

    def _slow(self, values):
        """An envelope given once in SLOWLY samples, at every sample."""
        return np.interp(np.arange(self.tone_length, dtype=np.float32), np.arange(len(values)) * SLOWLY, values).astype(np.float32)

    def _filter(self, x, response):
        """x through a zero-phase filter; response: gain at each frequency in Hz."""
        n = next_fast_len(len(x) + 2048, True)
        f = np.fft.rfftfreq(n, 1 / self.rate)
        return np.fft.irfft(np.fft.rfft(x, n) * response(f), n)[:len(x)].astype(np.float32)

    def _piano(self, pitch, bright):
        f, t, rng = hertz(pitch), self._time(), _rng("piano", pitch)
        slow_t = np.arange(self.tone_length // SLOWLY + 2) * (SLOWLY / self.rate)
        out, stiff = np.zeros(self.tone_length, np.float32), 0.00035 * (f / 261) ** 1.1
        long = 2.4 * (261 / f) ** 0.55
        for k in range(1, 40):
            fk = k * f * np.sqrt(1 + stiff * k * k)
            if fk > 0.95 * self.top:
                break
            a = k ** -(0.75 if bright else 1.25) * np.exp(-fk / (4200 if bright else 1300)) * (0.25 + abs(np.sin(np.pi * k / 7.5)))
            tau = long / (1 + 0.22 * (k - 1) + fk / 6000)
            # Two strings that are a cent apart beat slowly against each other.
            env = (0.75 * np.exp(-slow_t / tau) + 0.25 * np.exp(-slow_t / (3.5 * tau))) * np.cos(np.pi * fk * 0.0006 * slow_t)
            out += np.float32(a) * self._slow(env) * np.sin(np.float32(2 * np.pi * fk) * t + np.float32(rng.random() * 6.28))
        n = self.samples(2048 / 22050)
        knock = rng.standard_normal(n).astype(np.float32) * np.exp(-t[:n] / 0.012)
        out[:n] += (0.10 if bright else 0.04) * self._filter(knock, lambda h: 1 / (1 + (h / 900) ** 2))
        return out

    def _guitar(self, pitch, bright):
        """Karplus and Strong: a burst of noise goes round a delay line that loses its highs."""
        f, rng = hertz(pitch), _rng("guitar", pitch)
        damp = 0.10 if bright else 0.20
        delay = self.rate / f - 1
        n = int(delay)
        s = delay - n
        loop = np.convolve([1 - s, s], [damp, 1 - 2 * damp, damp]) * 10 ** (-3 / (f * (3.2 * (110 / f) ** 0.35)))
        burst = np.zeros(self.tone_length)
        pick = rng.standard_normal(n + 1)
        burst[:n + 1] = pick if bright else lfilter([0.35], [1, -0.65], pick)
        at = max(1, int(0.18 * self.rate / f))        # where the string is plucked: every fifth or sixth partial is weak
        burst[at:at + n + 1] -= burst[:n + 1] * 0.8
        x = lfilter([1], np.concatenate([[1], np.zeros(n - 1), -loop]), burst)
        body = lambda h: (0.5 + 1.2 * np.exp(-((h - 110) / 45) ** 2) + 0.8 * np.exp(-((h - 215) / 70) ** 2) + 0.5) / (1 + (h / 7000) ** 4)
        return self._filter(x, body)

    def _saws(self, freqs, rng, vibrato, rate):
        """Sawtooth voices, each with a vibrato of its own (depth as a fraction of the pitch), without aliases."""
        up, out = 4, np.zeros(self.tone_length * 4, np.float32)
        t = np.arange(self.tone_length * up, dtype=np.float32) / (self.rate * up)
        for f in freqs:
            r = rate * rng.uniform(0.9, 1.1)
            wobble = vibrato * f / (2 * np.pi * r) * (1 - np.cos(2 * np.pi * r * t)) * np.minimum(1, t / 0.5)
            out += ((f * t.astype(np.float64) + wobble + rng.random()) % 1 - 0.5).astype(np.float32)
        spectrum = np.fft.rfft(out)[:self.tone_length // 2 + 1]
        spectrum[-int(0.06 * len(spectrum)):] = 0
        return np.fft.irfft(spectrum, self.tone_length).astype(np.float32) / up

    def _strings(self, pitch, bright):
        f, rng = hertz(pitch), _rng("strings", pitch)
        x = self._saws(f * 2 ** (rng.normal(0, 5, 5) / 1200), rng, 0.006, 5.6)
        cut = 5200 if bright else 2300
        body = lambda h: (0.55 + 0.7 * np.exp(-((h - 480) / 180) ** 2) + 0.8 * np.exp(-((h - 2600) / 700) ** 2)) / (1 + (h / cut) ** 3)
        return self._filter(x, body)

    def _pad(self, pitch, bright):
        """Dark, wide, slow: detuned saws without their highs, a sine an octave below, and one that glitters an octave above."""
        f, rng, t = hertz(pitch), _rng("pad", pitch), self._time()
        x = self._saws(f * 2 ** (np.array([-14, -7, 0, 8, 13]) / 1200), rng, 0.0015, 0.7)
        x = self._filter(x, lambda h: 1 / (1 + (h / (1.6 * f + (900 if bright else 350))) ** 5))
        sway = 0.75 + 0.25 * np.sin(2 * np.pi * 1.1 * t + rng.random() * 6)
        return x * sway + 0.25 * np.sin(np.pi * f * t) + 0.12 * (1 - sway) * np.sin(4 * np.pi * f * t)

    def _flute(self, pitch, bright):
        f, rng, t = hertz(pitch), _rng("flute", pitch), self._time()
        deep = np.minimum(1, t / 0.4)
        phase = 2 * np.pi * f * t + deep * 0.003 * f / 5.2 * np.sin(2 * np.pi * 5.2 * t)
        tremble = 1 + 0.13 * deep * np.sin(2 * np.pi * 5.2 * t + 0.5)
        x = tremble * sum(a * np.sin(k * phase) for k, a in enumerate((1, 0.42, 0.2, 0.06, 0.03) if bright else (1, 0.16, 0.07, 0.015), 1)
                          if k * f < self.top)
        breath = rng.standard_normal(self.tone_length).astype(np.float32) * (1 + 2.5 * np.exp(-t / 0.04))
        near = lambda h: 0.10 * np.exp(-((h - 2 * f) / (0.8 * f)) ** 2) + 0.045 * np.exp(-((h - 4200) / 1800) ** 2)
        return (0.8 * x + (1.0 if bright else 0.7) * self._filter(breath, near)).astype(np.float32)

    def _bells(self, pitch, bright):
        """Modes of a bar and of a small bell: no harmonic series, long decay."""
        f, rng, t = hertz(pitch), _rng("bells", pitch), self._time()
        out = np.zeros(self.tone_length, np.float32)
        modes = ((1, 1.0, 1.5), (2.003, 0.25, 0.9), (2.76, 0.55, 0.7), (4.07, 0.18, 0.4), (5.40, 0.4, 0.28), (8.93, 0.22, 0.12))
        for ratio, a, tau in modes:
            if ratio * f < self.top:
                a = a * (1 if bright or ratio < 2 else 0.45)
                out += a * np.exp(-t / (tau * (523 / f) ** 0.35)) * np.sin(2 * np.pi * ratio * f * t + rng.random() * 6.28)
        return out

    @functools.lru_cache(maxsize=None)
    def _made(self, instrument, pitch, bright):
        """A held tone, at equal loudness for every pitch."""
        x = self.voices[instrument](pitch, bright)
        loud = np.sqrt((x[:self.rate // 2] ** 2).mean()) + 1e-6
        return (x * (0.1 * GAIN[instrument] / loud)).astype(np.float32)

    @functools.lru_cache(maxsize=None)
    def tone(self, instrument, pitch, bright):
        """self.longest samples of the nearest tone that is made, brought to the pitch."""
        near = (pitch + 1) // 3 * 3
        x = self._made(instrument, near, bright)
        if near == pitch:
            return x[:self.longest]
        at = np.arange(self.longest) * 2 ** ((pitch - near) / 12)
        left = at.astype(np.int32)
        part = (at - left).astype(np.float32)
        return x[left] * (1 - part) + x[left + 1] * part

    def note(self, instrument, pitch, seconds, velocity, attack=1.0):
        """Samples of one note. velocity 0..1 is loudness and brightness; attack multiplies the instrument's own."""
        pitch = fold(instrument, pitch)
        fade = int(RELEASE[instrument] * self.rate)
        n = min(self.longest, int(seconds * self.rate) + fade)
        v = min(1.0, max(0.0, velocity))
        x = (1 - v) * self.tone(instrument, pitch, False)[:n] + v * self.tone(instrument, pitch, True)[:n]
        rise = min(n, max(8, int(ATTACK[instrument] * attack * self.rate)))
        x[:rise] *= _ramp(rise)
        fade = min(fade, n)
        x[n - fade:] *= _ramp(fade)[::-1]
        return x * (0.15 + 0.85 * v)

    # ---- drums ---------------------------------------------------------------------------

    def _noise(self, name, n):
        return _rng("drums", name, n).standard_normal(n).astype(np.float32)

    def _sweep(self, n, high, low, speed):
        t = self._time(n)
        return np.sin(2 * np.pi * (low * t + (high - low) * speed * (1 - np.exp(-t / speed))))

    def _decay(self, n, tau):
        return np.exp(-self._time(n) / tau)

    def _kick(self):
        n = self.samples(9000 / 22050)
        return self._sweep(n, 190, 48, 0.03) * self._decay(n, 0.11) + 0.15 * self._noise("kick", n) * self._decay(n, 0.004)

    def _snare(self):
        n = self.samples(7000 / 22050)
        hiss = self._filter(self._noise("snare", n), lambda h: (h / 1500) ** 2 / (1 + (h / 1500) ** 2))
        return 0.5 * self._sweep(n, 330, 185, 0.02) * self._decay(n, 0.06) + 0.6 * hiss * self._decay(n, 0.09)

    def _hat(self, tau):
        n = int(tau * self.rate * 6)
        return 0.5 * self._filter(self._noise("hat", n), lambda h: (h / 6000) ** 6 / (1 + (h / 6000) ** 6)) * self._decay(n, tau)

    def _tom(self, f):
        n = self.samples(14000 / 22050)
        return self._sweep(n, f * 1.5, f, 0.05) * self._decay(n, 0.2) + 0.1 * self._noise("tom", n) * self._decay(n, 0.01)

    def _crash(self):
        n = self.samples(30000 / 22050)
        return 0.4 * self._filter(self._noise("crash", n), lambda h: (h / 3500) ** 4 / (1 + (h / 3500) ** 4)) * self._decay(n, 0.45)

    def _clap(self):
        n = self.samples(6000 / 22050)
        return 0.6 * self._filter(self._noise("clap", n), lambda h: np.exp(-((h - 1500) / 700) ** 2)) * self._decay(n, 0.07)

    @functools.lru_cache(maxsize=None)
    def drum(self, name):
        return self.kit[name]().astype(np.float32)

    # ---- the room ------------------------------------------------------------------------

    def _echoes(self, seconds, *which):
        """What a room that a sound takes so long to die away in answers: noise, decaying, the highs first. which: another such room."""
        n, out = min(self.length, int(seconds * self.rate)), np.zeros(self.length)
        noise = _rng("room", int(seconds * 10), *which).standard_normal(n)
        t = np.arange(n) / self.rate
        bright = self._filter(noise, lambda h: 1 / (1 + (h / 4000) ** 2)) * np.exp(-t * 13.8 / seconds)
        dark = self._filter(noise, lambda h: 1 / (1 + (h / 900) ** 2)) * np.exp(-t * 6.9 / seconds)
        out[:n] = 0.5 * bright + dark
        rise = self.samples(200 / 22050)
        out[:rise] *= np.linspace(0, 1, rise)
        return out / np.sqrt((out ** 2).sum())

    @functools.lru_cache(maxsize=None)
    def _room(self, seconds):
        """The room's spectrum, of one or of each channel."""
        return np.fft.rfft(self._echoes(seconds)).astype(np.complex64)

    @functools.lru_cache(maxsize=None)
    def _octaves(self):
        """Of each frequency above 1 kHz."""
        return np.log2(np.maximum(np.fft.rfftfreq(self.length, 1 / self.rate), 50) / 1000).astype(np.float32)

    def place(self, x, room, wet, echo=0.0, echo_seconds=0.0, tilt=0.0):
        """The loop's channels in a room, their colour tilted by so many dB an octave. Everything goes around in a circle: tails of the end
        sound over the beginning."""
        if echo:
            step = self.samples(echo_seconds)
            x = x + echo * np.roll(x, step, -1) + echo ** 2 * np.roll(x, 2 * step, -1)
        response = (1 + wet * self._room(room)) * np.exp2(self._octaves() * (tilt / 6.02))
        return np.fft.irfft(np.fft.rfft(x) * response, self.length).astype(np.float32)

    # ---- one channel; stage.py has two ---------------------------------------------------

    channels = 1

    def seat(self, instrument, pitch, at, n):
        """How loud each channel hears a note of n samples that begins at sample `at`."""
        return (1.0,)

    def drum_seat(self, name):
        return (1.0,)
