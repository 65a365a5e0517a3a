"""Two channels: a loop's picture as the music corpus draws it, and a signal that takes magnitudes and keeps its angles, by torch."""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import audio
from common import write_tensors
from corpus_music import spectrogram

LOOP = {**spectrogram.STEREO, "sample_rate": 22050, "hop_length": 441, "win_length": 1024, "n_fft": 1024, "n_mels": 64, "f_max": 10000,
        "window_columns": 50}


def lent(like, of):
    """The magnitudes of clip `of` with the angles of clip `like`, back as samples."""
    shape = torch.hann_window(1024, dtype=torch.float64)
    spectra = [torch.stft(torch.from_numpy(audio.clip(k, 22050)), 1024, 256, 1024, shape, center=True, pad_mode="constant",
                          return_complex=True) for k in (like, of)]
    turned = torch.polar(spectra[1].abs(), spectra[0].angle())
    return torch.istft(turned, 1024, 256, 1024, shape, center=True, length=22050).numpy()


def make(root):
    both = np.stack([audio.clip(2, 22050), 0.5 * audio.clip(4, 22050)]).astype(np.float32)
    write_tensors(Path(root) / "stereo.safetensors", {
        "picture": spectrogram.of_loop(both, LOOP).astype(np.float32),
        "lent": lent(3, 2)[::16].astype(np.float32)})
    print("stereo 2 tensors")
