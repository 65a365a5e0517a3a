#!/usr/bin/env python3
"""Phase reconstruction of 20 clips by sumi, librosa and torchaudio's algorithm at equal iterations, in one run.

    make benches && .venv/bin/python tools/bench_phase.py [--iterations 32] [--layout ink] [--clips 20]

Prints spectral convergence (the distance of the magnitudes from what they should be, lower is better) and processor
time; ratios are what counts. The clips are formulas: tests/vectors/README.md. sumi's bench/vocode is given the same
magnitudes. librosa and torchaudio start at random phases, as they do; momentum 0.99, padding as each has it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools" / "reference"))

import audio
import numpy as np

audio.LAYOUTS["ink"] = (22050, 2048, 2048, 441)
EDGES = {"constant": 0, "reflect": 1}


def timed(call):
    start = time.process_time()
    return call(), (time.process_time() - start) * 1000


def sumi(target, layout, length, pad_mode, iterations, folder):
    rate, n_fft, window, hop = audio.LAYOUTS[layout]
    path = Path(folder) / "spectrum"
    head = np.array([n_fft, window, hop, EDGES[pad_mode], target.shape[1], length, iterations], np.int32)
    path.write_bytes(head.tobytes() + np.ascontiguousarray(target.T, np.float32).tobytes())
    done = subprocess.run([ROOT / "build/bench/vocode", "phases", path], check=True, capture_output=True, text=True)
    return np.fromfile(f"{path}.out", np.float32), float(done.stdout)


def librosa_griffin_lim(target, layout, length, iterations):
    import librosa
    _, n_fft, window, hop = audio.LAYOUTS[layout]
    return librosa.griffinlim(target.astype(np.float32), n_iter=iterations, hop_length=hop, n_fft=n_fft,
                              win_length=window, momentum=audio.MOMENTUM, init="random", random_state=0, length=length,
                              pad_mode="constant")


def measure(layout, clips, iterations, ours):
    rate = audio.LAYOUTS[layout][0]
    audio.ITERATIONS = iterations
    rows = {"librosa": [], "torchaudio": [], **{f"sumi, {n} iterations": [] for n in ours}}
    worse = 0
    with tempfile.TemporaryDirectory() as folder:
        for k in range(-1, clips):  # the first one warms up
            y = audio.clip(max(k, 0), rate)
            found = {}
            for pad_mode, name in (("constant", "librosa"), ("reflect", "torchaudio")):
                target = np.abs(audio.spectrum(y, layout, pad_mode))
                peer = librosa_griffin_lim if name == "librosa" else None
                x, ms = timed(lambda: peer(target, layout, rate, iterations) if peer else
                              audio.torch_griffin_lim(target, layout, rate))
                found[name] = audio.convergence(x.astype(np.float64), target, layout, pad_mode), ms
                if pad_mode == "constant":
                    for n in ours:
                        x, ms = sumi(target, layout, rate, pad_mode, n, folder)
                        found[f"sumi, {n} iterations"] = (
                            audio.convergence(x.astype(np.float64), target, layout, pad_mode), ms)
            if k >= 0:
                for name, pair in found.items():
                    rows[name].append(pair)
                best = found[f"sumi, {ours[0]} iterations"][0]
                worse += best > min(found["librosa"][0], found["torchaudio"][0])
    return rows, worse


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=32, help="of all three")
    parser.add_argument("--also", type=int, nargs="*", default=[], help="sumi with other numbers of iterations")
    parser.add_argument("--layout", choices=list(audio.LAYOUTS), nargs="*", default=["small", "ink"])
    parser.add_argument("--clips", type=int, default=audio.CLIPS)
    args = parser.parse_args()
    audio.torch.set_num_threads(1)  # processor time is compared: waiting threads would count
    for layout in args.layout:
        rows, worse = measure(layout, args.clips, args.iterations, [args.iterations, *args.also])
        rate, n_fft, window, hop = audio.LAYOUTS[layout]
        ours = np.array(rows[f"sumi, {args.iterations} iterations"]).mean(axis=0)[1]
        print(f"{args.clips} clips of 1 s, {rate} Hz, n_fft {n_fft}, window {window}, hop {hop}; peers: {args.iterations} "
              f"iterations; on {worse} clips a peer is nearer")
        for name, pairs in rows.items():
            a = np.array(pairs)
            print(f"  {name:22} convergence mean {a[:, 0].mean():.4f} median {np.median(a[:, 0]):.4f} worst "
                  f"{a[:, 0].max():.4f}   {a[:, 1].mean():8.1f} ms   {a[:, 1].mean() / ours:5.2f} x")


if __name__ == "__main__":
    main()
