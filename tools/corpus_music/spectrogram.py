# spectrogram.py: sound to picture, by the parameters that the pack's sumi.json carries and the C core inverts.
import functools

import numpy as np

# The block "spectrogram" of sumi.json (docs/packs-format.md says what each field means).
MONO = {"sample_rate": 22050, "hop_length": 441, "win_length": 2048, "n_fft": 2048, "n_mels": 128, "mel_scale": "htk",
              "mel_norm": "none", "f_min": 30, "f_max": 10000, "power": 0.35, "max_value": 0, "loud": "white", "low": "bottom",
              "stereo": False, "window_columns": 256, "overlap_columns": 128}
# Left is green, right is blue, and both together are red.
STEREO = {**MONO, "sample_rate": 32000, "hop_length": 640, "n_mels": 160, "f_max": 15500, "stereo": True, "phases": "together",
          "red": "both"}


@functools.lru_cache(maxsize=None)
def bank(rate, n_fft, rows, low, high):
    """Triangles on HTK's mel scale with peaks of 1, as librosa.filters.mel(htk=True, norm=None) has them: rows x bins."""
    top = [2595 * np.log10(1 + f / 700) for f in (low, high)]
    edges = 700 * (10 ** (np.linspace(*top, rows + 2) / 2595) - 1)
    f = np.arange(n_fft // 2 + 1) * rate / n_fft
    up = (f - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - f) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def bands(x, p):
    """Amplitudes, rows x columns, low first; column t stands around sample t * hop; x is one round of a loop."""
    n, hop = p["win_length"], p["hop_length"]
    around = np.concatenate([x[-n // 2:], x, x[:n // 2]])
    frames = np.lib.stride_tricks.sliding_window_view(around, n)[::hop][:p["window_columns"]]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)
    filters = bank(p["sample_rate"], p["n_fft"], p["n_mels"], p["f_min"], p["f_max"])
    return filters @ np.abs(np.fft.rfft(frames * window, p["n_fft"])).T.astype(np.float32)


def of_loop(x, p):
    """The picture of channels x samples, n_mels x columns x 1 or 3 bytes: loud is bright, low at the bottom."""
    loud = np.stack([bands(side, p) for side in x], -1)
    if p["stereo"]:
        loud = np.concatenate([np.sqrt((loud ** 2).mean(-1, keepdims=True)), loud], -1)
    bright = (loud / max(1e-9, float(loud.max()))) ** p["power"]
    return (bright[::-1] * 255 + 0.5).astype(np.uint8)
