# spectrogram.py: sound to picture, by the parameters that the pack's sumi.json carries and the C core inverts.
import functools

import numpy as np

# The block "spectrogram" of sumi.json (docs/packs-format.md says what each field means).
PARAMETERS = {"sample_rate": 22050, "hop_length": 441, "win_length": 2048, "n_fft": 2048, "n_mels": 128, "mel_scale": "htk",
              "mel_norm": "none", "f_min": 30, "f_max": 10000, "power": 0.35, "max_value": 0, "loud": "white", "low": "bottom",
              "stereo": False, "window_columns": 256, "overlap_columns": 128}
ROWS, COLUMNS = PARAMETERS["n_mels"], PARAMETERS["window_columns"]


@functools.lru_cache(maxsize=None)
def bank():
    """Triangles on HTK's mel scale with peaks of 1, as librosa.filters.mel(htk=True, norm=None) has them: ROWS x bins."""
    p = PARAMETERS
    top = [2595 * np.log10(1 + p[k] / 700) for k in ("f_min", "f_max")]
    edges = 700 * (10 ** (np.linspace(*top, ROWS + 2) / 2595) - 1)
    f = np.arange(p["n_fft"] // 2 + 1) * p["sample_rate"] / p["n_fft"]
    up = (f - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - f) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def of_loop(x):
    """ROWS x COLUMNS bytes, loud is bright, low at the bottom; column t stands around sample t * hop; x is one round of a loop."""
    p = PARAMETERS
    n, hop = p["n_fft"], p["hop_length"]
    around = np.concatenate([x[-n // 2:], x, x[:n // 2]])
    frames = np.lib.stride_tricks.sliding_window_view(around, n)[::hop][:COLUMNS]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)
    bands = bank() @ np.abs(np.fft.rfft(frames * window)).T.astype(np.float32)
    bright = (bands / max(1e-9, float(bands.max()))) ** p["power"]
    return (bright[::-1] * 255 + 0.5).astype(np.uint8)
