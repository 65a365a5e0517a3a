# synth.py: the instruments, synthesised in numpy: additive piano, plucked string, bowed ensemble, flute, pad, modal bells, drums,
# and the room they play in. A tone is made once for every third pitch in a soft and in a bright layer, and played a little faster or
# slower for the pitches between; a note is a mixture of both layers.
import functools

import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import lfilter

RATE = 22050
LENGTH = 112896                                       # samples of a clip: 256 columns of 441
NOTE = LENGTH + 4410                                  # of the longest note
TONE = 126000                                         # of a tone, enough to be played a semitone higher
SLOWLY = 49                                           # envelopes are computed once in so many samples

# Pitches (MIDI) that an instrument has; others are moved by octaves. attack, release: seconds of a note's ends.
RANGE = {"piano": (28, 100), "strings": (31, 96), "guitar": (38, 86), "flute": (57, 98), "pad": (33, 92), "bells": (60, 105)}
ATTACK = {"piano": 0.002, "strings": 0.07, "guitar": 0.002, "flute": 0.045, "pad": 0.18, "bells": 0.002}
RELEASE = {"piano": 0.12, "strings": 0.18, "guitar": 0.09, "flute": 0.08, "pad": 0.35, "bells": 0.9}
GAIN = {"piano": 1.0, "strings": 0.8, "guitar": 1.0, "flute": 0.85, "pad": 0.85, "bells": 0.8}


def hertz(pitch):
    return 440.0 * 2 ** ((pitch - 69) / 12)


def _time(n=TONE):
    return np.arange(n, dtype=np.float32) / RATE


def _slow(values):
    """An envelope given once in SLOWLY samples, at every sample."""
    return np.interp(np.arange(TONE, dtype=np.float32), np.arange(len(values)) * SLOWLY, values).astype(np.float32)


def _rng(*words):
    return np.random.default_rng([sum(ord(c) * 31 ** i for i, c in enumerate(w)) % 2**31 if isinstance(w, str) else w for w in words])


def _filter(x, response):
    """x through a zero-phase filter; response: gain at each frequency in Hz."""
    n = next_fast_len(len(x) + 2048, True)
    f = np.fft.rfftfreq(n, 1 / RATE)
    return np.fft.irfft(np.fft.rfft(x, n) * response(f), n)[:len(x)].astype(np.float32)


def _piano(pitch, bright):
    f, t, rng = hertz(pitch), _time(), _rng("piano", pitch)
    slow_t = np.arange(TONE // SLOWLY + 2) * (SLOWLY / RATE)
    out, stiff = np.zeros(TONE, np.float32), 0.00035 * (f / 261) ** 1.1
    long = 2.4 * (261 / f) ** 0.55
    for k in range(1, 40):
        fk = k * f * np.sqrt(1 + stiff * k * k)
        if fk > 9500:
            break
        a = k ** -(0.75 if bright else 1.25) * np.exp(-fk / (4200 if bright else 1300)) * (0.25 + abs(np.sin(np.pi * k / 7.5)))
        tau = long / (1 + 0.22 * (k - 1) + fk / 6000)
        # Two strings that are a cent apart beat slowly against each other.
        env = (0.75 * np.exp(-slow_t / tau) + 0.25 * np.exp(-slow_t / (3.5 * tau))) * np.cos(np.pi * fk * 0.0006 * slow_t)
        out += np.float32(a) * _slow(env) * np.sin(np.float32(2 * np.pi * fk) * t + np.float32(rng.random() * 6.28))
    knock = rng.standard_normal(2048).astype(np.float32) * np.exp(-t[:2048] / 0.012)
    out[:2048] += (0.10 if bright else 0.04) * _filter(knock, lambda h: 1 / (1 + (h / 900) ** 2))
    return out


def _guitar(pitch, bright):
    """Karplus and Strong: a burst of noise goes round a delay line that loses its highs."""
    f, rng = hertz(pitch), _rng("guitar", pitch)
    damp = 0.10 if bright else 0.20
    delay = RATE / f - 1
    n = int(delay)
    s = delay - n
    loop = np.convolve([1 - s, s], [damp, 1 - 2 * damp, damp]) * 10 ** (-3 / (f * (3.2 * (110 / f) ** 0.35)))
    burst = np.zeros(TONE)
    pick = rng.standard_normal(n + 1)
    burst[:n + 1] = pick if bright else lfilter([0.35], [1, -0.65], pick)
    at = max(1, int(0.18 * RATE / f))                 # where the string is plucked: every fifth or sixth partial is weak
    burst[at:at + n + 1] -= burst[:n + 1] * 0.8
    x = lfilter([1], np.concatenate([[1], np.zeros(n - 1), -loop]), burst)
    body = lambda h: (0.5 + 1.2 * np.exp(-((h - 110) / 45) ** 2) + 0.8 * np.exp(-((h - 215) / 70) ** 2) + 0.5) / (1 + (h / 7000) ** 4)
    return _filter(x, body)


def _saws(freqs, rng, vibrato, rate):
    """Sawtooth voices, each with a vibrato of its own (depth as a fraction of the pitch), without aliases."""
    up, out = 4, np.zeros(TONE * 4, np.float32)
    t = np.arange(TONE * up, dtype=np.float32) / (RATE * up)
    for f in freqs:
        r = rate * rng.uniform(0.9, 1.1)
        wobble = vibrato * f / (2 * np.pi * r) * (1 - np.cos(2 * np.pi * r * t)) * np.minimum(1, t / 0.5)
        out += ((f * t.astype(np.float64) + wobble + rng.random()) % 1 - 0.5).astype(np.float32)
    spectrum = np.fft.rfft(out)[:TONE // 2 + 1]
    spectrum[-int(0.06 * len(spectrum)):] = 0
    return np.fft.irfft(spectrum, TONE).astype(np.float32) / up


def _strings(pitch, bright):
    f, rng = hertz(pitch), _rng("strings", pitch)
    x = _saws(f * 2 ** (rng.normal(0, 5, 5) / 1200), rng, 0.006, 5.6)
    cut = 5200 if bright else 2300
    body = lambda h: (0.55 + 0.7 * np.exp(-((h - 480) / 180) ** 2) + 0.8 * np.exp(-((h - 2600) / 700) ** 2)) / (1 + (h / cut) ** 3)
    return _filter(x, body)


def _pad(pitch, bright):
    """Dark, wide, slow: detuned saws without their highs, a sine an octave below, and one that glitters an octave above."""
    f, rng, t = hertz(pitch), _rng("pad", pitch), _time()
    x = _saws(f * 2 ** (np.array([-14, -7, 0, 8, 13]) / 1200), rng, 0.0015, 0.7)
    x = _filter(x, lambda h: 1 / (1 + (h / (1.6 * f + (900 if bright else 350))) ** 5))
    sway = 0.75 + 0.25 * np.sin(2 * np.pi * 1.1 * t + rng.random() * 6)
    return x * sway + 0.25 * np.sin(np.pi * f * t) + 0.12 * (1 - sway) * np.sin(4 * np.pi * f * t)


def _flute(pitch, bright):
    f, rng, t = hertz(pitch), _rng("flute", pitch), _time()
    deep = np.minimum(1, t / 0.4)
    phase = 2 * np.pi * f * t + deep * 0.003 * f / 5.2 * np.sin(2 * np.pi * 5.2 * t)
    tremble = 1 + 0.13 * deep * np.sin(2 * np.pi * 5.2 * t + 0.5)
    x = tremble * sum(a * np.sin(k * phase) for k, a in enumerate((1, 0.42, 0.2, 0.06, 0.03) if bright else (1, 0.16, 0.07, 0.015), 1)
                      if k * f < 10000)
    breath = rng.standard_normal(TONE).astype(np.float32) * (1 + 2.5 * np.exp(-t / 0.04))
    near = lambda h: 0.10 * np.exp(-((h - 2 * f) / (0.8 * f)) ** 2) + 0.045 * np.exp(-((h - 4200) / 1800) ** 2)
    return (0.8 * x + (1.0 if bright else 0.7) * _filter(breath, near)).astype(np.float32)


def _bells(pitch, bright):
    """Modes of a bar and of a small bell: no harmonic series, long decay."""
    f, rng, t = hertz(pitch), _rng("bells", pitch), _time()
    out = np.zeros(TONE, np.float32)
    modes = ((1, 1.0, 1.5), (2.003, 0.25, 0.9), (2.76, 0.55, 0.7), (4.07, 0.18, 0.4), (5.40, 0.4, 0.28), (8.93, 0.22, 0.12))
    for ratio, a, tau in modes:
        if ratio * f < 10000:
            a = a * (1 if bright or ratio < 2 else 0.45)
            out += a * np.exp(-t / (tau * (523 / f) ** 0.35)) * np.sin(2 * np.pi * ratio * f * t + rng.random() * 6.28)
    return out


VOICES = {"piano": _piano, "strings": _strings, "guitar": _guitar, "flute": _flute, "pad": _pad, "bells": _bells}


@functools.lru_cache(maxsize=None)
def _made(instrument, pitch, bright):
    """A held tone, at equal loudness for every pitch."""
    x = VOICES[instrument](pitch, bright)
    loud = np.sqrt((x[:RATE // 2] ** 2).mean()) + 1e-6
    return (x * (0.1 * GAIN[instrument] / loud)).astype(np.float32)


@functools.lru_cache(maxsize=None)
def tone(instrument, pitch, bright):
    """NOTE samples of the nearest tone that is made, brought to the pitch."""
    near = (pitch + 1) // 3 * 3
    x = _made(instrument, near, bright)
    if near == pitch:
        return x[:NOTE]
    at = np.arange(NOTE) * 2 ** ((pitch - near) / 12)
    left = at.astype(np.int32)
    part = (at - left).astype(np.float32)
    return x[left] * (1 - part) + x[left + 1] * part


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


def note(instrument, pitch, seconds, velocity, attack=1.0):
    """Samples of one note. velocity 0..1 is loudness and brightness; attack multiplies the instrument's own."""
    pitch = fold(instrument, pitch)
    fade = int(RELEASE[instrument] * RATE)
    n = min(NOTE, int(seconds * RATE) + fade)
    v = min(1.0, max(0.0, velocity))
    x = (1 - v) * tone(instrument, pitch, False)[:n] + v * tone(instrument, pitch, True)[:n]
    rise = min(n, max(8, int(ATTACK[instrument] * attack * RATE)))
    x[:rise] *= _ramp(rise)
    fade = min(fade, n)
    x[n - fade:] *= _ramp(fade)[::-1]
    return x * (0.15 + 0.85 * v)


# ---- drums ---------------------------------------------------------------------------

def _noise(name, n):
    return _rng("drums", name, n).standard_normal(n).astype(np.float32)


def _sweep(n, high, low, speed):
    t = _time(n)
    return np.sin(2 * np.pi * (low * t + (high - low) * speed * (1 - np.exp(-t / speed))))


def _decay(n, tau):
    return np.exp(-_time(n) / tau)


def _kick():
    n = 9000
    return _sweep(n, 190, 48, 0.03) * _decay(n, 0.11) + 0.15 * _noise("kick", n) * _decay(n, 0.004)


def _snare():
    n = 7000
    hiss = _filter(_noise("snare", n), lambda h: (h / 1500) ** 2 / (1 + (h / 1500) ** 2))
    return 0.5 * _sweep(n, 330, 185, 0.02) * _decay(n, 0.06) + 0.6 * hiss * _decay(n, 0.09)


def _hat(tau):
    n = int(tau * RATE * 6)
    return 0.5 * _filter(_noise("hat", n), lambda h: (h / 6000) ** 6 / (1 + (h / 6000) ** 6)) * _decay(n, tau)


def _tom(f):
    n = 14000
    return _sweep(n, f * 1.5, f, 0.05) * _decay(n, 0.2) + 0.1 * _noise("tom", n) * _decay(n, 0.01)


def _crash():
    n = 30000
    return 0.4 * _filter(_noise("crash", n), lambda h: (h / 3500) ** 4 / (1 + (h / 3500) ** 4)) * _decay(n, 0.45)


def _clap():
    n = 6000
    return 0.6 * _filter(_noise("clap", n), lambda h: np.exp(-((h - 1500) / 700) ** 2)) * _decay(n, 0.07)


KIT = {"kick": _kick, "snare": _snare, "hat": lambda: _hat(0.025), "open": lambda: _hat(0.12), "low": lambda: _tom(62),
       "mid": lambda: _tom(95), "high": lambda: _tom(140), "crash": _crash, "clap": _clap, "shaker": lambda: 0.6 * _hat(0.04)}


@functools.lru_cache(maxsize=None)
def drum(name):
    return KIT[name]().astype(np.float32)


# ---- the room ------------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def _room(seconds):
    """The spectrum of a room that a sound takes so long to die away in: noise, decaying, the highs first."""
    n, out = min(LENGTH, int(seconds * RATE)), np.zeros(LENGTH)
    noise = _rng("room", int(seconds * 10)).standard_normal(n)
    t = np.arange(n) / RATE
    bright = _filter(noise, lambda h: 1 / (1 + (h / 4000) ** 2)) * np.exp(-t * 13.8 / seconds)
    dark = _filter(noise, lambda h: 1 / (1 + (h / 900) ** 2)) * np.exp(-t * 6.9 / seconds)
    out[:n] = 0.5 * bright + dark
    out[:200] *= np.linspace(0, 1, 200)
    return np.fft.rfft(out / np.sqrt((out ** 2).sum())).astype(np.complex64)


@functools.lru_cache(maxsize=None)
def _octaves():
    """Of each frequency above 1 kHz."""
    return np.log2(np.maximum(np.fft.rfftfreq(LENGTH, 1 / RATE), 50) / 1000).astype(np.float32)


def place(x, room, wet, echo=0.0, echo_seconds=0.0, tilt=0.0):
    """The loop in a room, its colour tilted by so many dB an octave. Everything goes around in a circle: tails of the end sound over
    the beginning."""
    if echo:
        step = round(echo_seconds * RATE)
        x = x + echo * np.roll(x, step) + echo ** 2 * np.roll(x, 2 * step)
    response = (1 + wet * _room(room)) * np.exp2(_octaves() * (tilt / 6.02))
    return np.fft.irfft(np.fft.rfft(x) * response, LENGTH).astype(np.float32)
