"""Sound: mel filter banks, spectra, and how well librosa's and torchaudio's Griffin-Lim do on clips from formulas."""

from pathlib import Path

import numpy as np
import torch

from common import write_json, write_tensors

# name: sample rate, n_fft, window, hop
LAYOUTS = {"wide": (44100, 17640, 4410, 441), "small": (22050, 1024, 1024, 256)}
# name: sample rate, n_fft, bands, lowest, highest frequency, htk, norm
BANKS = {
    "wide": (44100, 17640, 512, 0.0, 10000.0, True, None),
    "small.htk": (22050, 1024, 80, 20.0, 8000.0, True, None),
    "small.htk.slaney": (22050, 1024, 80, 20.0, 8000.0, True, "slaney"),
    "small.slaney.slaney": (22050, 2048, 128, 0.0, 11025.0, False, "slaney"),
    "small.slaney": (22050, 2048, 128, 0.0, 11025.0, False, None),
}
CLIPS, ITERATIONS, MOMENTUM = 20, 32, 0.99


# ---------------------------------------------------------------------------------------------------------------------
# Clips: one second each; the formulas are repeated in tests/vectors/README.md
# ---------------------------------------------------------------------------------------------------------------------

def noise(k, count):
    """Uniform in -1..1 from the 32-bit generator s = 1664525 s + 1013904223, starting at k + 1."""
    out, s = np.empty(count), k + 1
    for i in range(count):
        s = (1664525 * s + 1013904223) & 0xffffffff
        out[i] = s / 2147483648.0 - 1.0
    return out


def clip(k, rate):
    t, v, turn = np.arange(rate) / rate, k // 5, 2 * np.pi
    kind = k % 5
    if kind == 0:
        return sum(0.25 * np.sin(turn * 110 * (v + 1) * r * t) for r in (1.0, 1.25, 1.5))
    if kind == 1:
        low, high = 80 * (v + 1), 1500 * (v + 1)
        return 0.5 * np.sin(turn * (low * t + (high - low) / 2 * t * t))
    if kind == 2:
        beat = np.floor(4 * t)
        p = t - beat / 4
        f0 = 130.81 * 2 ** ((4 * v + 3 * beat) / 12)
        return 0.6 * np.exp(-8 * p) * sum(np.sin(turn * h * f0 * p) / h for h in range(1, 6))
    if kind == 3:
        return noise(k, rate) * 0.4 * (0.5 + 0.5 * np.cos(turn * (v + 1) * t))
    f0 = 220 * (v + 1)
    bell = np.sin(turn * f0 * t + 3 * np.exp(-3 * t) * np.sin(turn * 1.4 * f0 * t))
    return 0.5 * np.exp(-2 * t) * bell + 0.02 * noise(k, rate)


# ---------------------------------------------------------------------------------------------------------------------
# Filter banks and spectra
# ---------------------------------------------------------------------------------------------------------------------

def bank(name):
    import librosa
    rate, n_fft, bands, low, high, htk, norm = BANKS[name]
    return librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands, fmin=low, fmax=high, htk=htk, norm=norm,
                               dtype=np.float64)


def banks(tensors, info):
    """Sparse: per band the first bin and the number of bins, then all weights one after the other."""
    for name, numbers in BANKS.items():
        full = bank(name)
        starts, counts, values = [], [], []
        for row in full:
            used = np.nonzero(row)[0]
            start, count = (used[0], used[-1] - used[0] + 1) if len(used) else (0, 0)
            starts.append(start)
            counts.append(count)
            values.append(row[start:start + count])
        tensors[f"mel.{name}.start"] = np.array(starts, np.float32)
        tensors[f"mel.{name}.count"] = np.array(counts, np.float32)
        tensors[f"mel.{name}.values"] = np.concatenate(values).astype(np.float32)
        keys = ("sample_rate", "n_fft", "bands", "low", "high", "htk", "norm")
        info["mel"][name] = dict(zip(keys, numbers))


def spectrum(y, layout, pad_mode):
    import librosa
    _, n_fft, window, hop = LAYOUTS[layout]
    return librosa.stft(y, n_fft=n_fft, hop_length=hop, win_length=window, window="hann", center=True,
                        pad_mode=pad_mode)


def spectra(tensors, info):
    """Magnitudes of clip 2 at some frames; both paddings, and torch.stft gives the same."""
    for layout, (rate, n_fft, window, hop) in LAYOUTS.items():
        y = clip(2, rate)
        for pad_mode in ("constant", "reflect"):
            full = np.abs(spectrum(y, layout, pad_mode))
            other = torch.stft(torch.from_numpy(y), n_fft, hop, window, torch.hann_window(window, dtype=torch.float64),
                               center=True, pad_mode=pad_mode, return_complex=True).abs().numpy()
            assert np.abs(full - other).max() < 1e-9 * np.abs(full).max()
            frames = [0, 1, 2, 40, full.shape[1] - 1]
            step = 16 if layout == "wide" else 1
            tensors[f"stft.{layout}.{pad_mode}"] = full[::step, frames].T.astype(np.float32)
            info["stft"][f"{layout}.{pad_mode}"] = {
                "clip": 2, "sample_rate": rate, "n_fft": n_fft, "window": window, "hop": hop, "frames": frames,
                "every_bin": step, "shape": list(full.shape), "sum": float(full.sum()),
                "norm": float(np.linalg.norm(full))}


# ---------------------------------------------------------------------------------------------------------------------
# Griffin-Lim
# ---------------------------------------------------------------------------------------------------------------------

def convergence(y, target, layout, pad_mode):
    return float(np.linalg.norm(target - np.abs(spectrum(y, layout, pad_mode))) / np.linalg.norm(target))


def torch_griffin_lim(target, layout, length):
    """torchaudio.functional.griffinlim, whose package is not needed for it: random start, momentum m/(1+m)."""
    _, n_fft, window, hop = LAYOUTS[layout]
    shape = torch.hann_window(window)
    magnitude = torch.from_numpy(target.astype(np.float32))
    parts = [torch.rand(magnitude.shape, generator=torch.Generator("cpu").manual_seed(i)) for i in (0, 1)]
    angles, before, m = torch.complex(*parts), torch.tensor(0.0), MOMENTUM / (1 + MOMENTUM)
    for _ in range(ITERATIONS):
        y = torch.istft(magnitude * angles, n_fft, hop, window, shape, length=length)
        rebuilt = torch.stft(y, n_fft, hop, window, shape, center=True, pad_mode="reflect", return_complex=True)
        angles = rebuilt - m * before
        angles = angles / (angles.abs() + 1e-16)
        before = rebuilt
    return torch.istft(magnitude * angles, n_fft, hop, window, shape, length=length).numpy()


def griffin_lim(info):
    import librosa
    for layout, (rate, n_fft, window, hop) in LAYOUTS.items():
        rows = []
        for k in range(CLIPS):
            y = clip(k, rate)
            row = {"clip": k}
            for pad_mode, key in (("constant", "librosa"), ("reflect", "torchaudio")):
                target = np.abs(spectrum(y, layout, pad_mode))
                if key == "librosa":
                    found = librosa.griffinlim(target.astype(np.float32), n_iter=ITERATIONS, hop_length=hop,
                                               n_fft=n_fft, win_length=window, momentum=MOMENTUM, init="random",
                                               random_state=0, length=rate, pad_mode=pad_mode)
                else:
                    found = torch_griffin_lim(target, layout, rate)
                row[key] = round(convergence(found.astype(np.float64), target, layout, pad_mode), 6)
            rows.append(row)
        info["griffin_lim"][layout] = {"sample_rate": rate, "n_fft": n_fft, "window": window, "hop": hop,
                                       "iterations": ITERATIONS, "momentum": MOMENTUM, "clips": rows}


def inverse_mel(info):
    """How near mel -> linear -> mel comes: librosa's NNLS, and torchaudio's least squares with negatives cut off."""
    import librosa
    for name, layout in (("small.htk", "small"), ("wide", "wide")):
        filters = bank(name)
        rows = []
        for k in (0, 2, 3, 4):
            target = np.abs(spectrum(clip(k, LAYOUTS[layout][0]), layout, "reflect"))[:, :40]
            mel = filters @ target
            least = np.maximum(np.linalg.lstsq(filters, mel, rcond=None)[0], 0)
            row = {"clip": k, "frames": 40,
                   "lstsq": round(float(np.linalg.norm(filters @ least - mel) / np.linalg.norm(mel)), 6)}
            if name != "wide":
                nonnegative = librosa.util.nnls(filters, mel)
                row["nnls"] = round(float(np.linalg.norm(filters @ nonnegative - mel) / np.linalg.norm(mel)), 6)
            rows.append(row)
        info["inverse_mel"][name] = rows


def make(root):
    tensors, info = {}, {"clips": [], "mel": {}, "stft": {}, "griffin_lim": {}, "inverse_mel": {}}
    for k in range(CLIPS):
        y = clip(k, 22050)
        tensors[f"clip.{k}.first64"] = y[:64].astype(np.float32)
        info["clips"].append({"clip": k, "sample_rate": 22050, "energy": float((y * y).sum()),
                              "wide_energy": float((clip(k, 44100) ** 2).sum())})
    banks(tensors, info)
    spectra(tensors, info)
    griffin_lim(info)
    inverse_mel(info)
    write_tensors(Path(root) / "audio.safetensors", tensors)
    write_json(Path(root) / "audio.json", info, indent=None)
    print("audio", len(tensors), "tensors")
