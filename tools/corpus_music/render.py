# render.py: the corpus on disk, on contact sheets, and as sound.
#   python tools/corpus_music/render.py sheet --out sheet.png          one spectrogram for each mood and instrument
#   python tools/corpus_music/render.py sound --out DIR --count 20     clips as WAV files with their captions
#   python tools/corpus_music/render.py build --out DIR --count 16000  pictures.npy (uint8, N x 128 x 256 x 1) and codes.npy (N x 7)
# Clip `index` of a `seed` depends on nothing else; which = train leaves out the held-out combinations, held renders only those.
import argparse
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from corpus import build as builder                   # before numpy: it settles the threads
import numpy as np

from corpus_music import attributes as A
from corpus_music import captions, compose, spectrogram, synth


def sound(attrs, seed, index):
    """One round of the loop: LENGTH samples at RATE, peak below 1."""
    rng = A.rng_for(seed, index, 1)
    clip = compose.compose(attrs, rng)
    x = np.zeros(3 * synth.LENGTH, np.float32)
    beat = synth.LENGTH / clip.beats
    for n in clip.notes:
        at = max(0, int(n.start * beat + rng.normal(0, 60)))
        y = synth.note(n.instrument, n.pitch, n.beats * beat / synth.RATE, n.loud, n.attack)
        x[at:at + len(y)] += n.gain * y
    for start, name, loud in clip.hits:
        at, y = int(start * beat), synth.drum(name)
        x[at:at + len(y)] += 0.55 * loud * y
    x = x.reshape(3, synth.LENGTH).sum(0)             # what rings on beyond the end sounds over the beginning
    dreamy = attrs["mood"] == "dreamy"
    x = synth.place(x, clip.style["room"], clip.style["wet"], 0.45 if dreamy else 0.0, 0.75 * beat / synth.RATE, clip.tilt)
    return 0.9 * x / max(1e-6, float(np.abs(x).max()))


def picture(attrs, seed, index):
    return spectrogram.of_loop(sound(attrs, seed, index))[..., None]


def sample(seed, which, index):
    attrs = A.attributes(seed, index, which)
    return picture(attrs, seed, index), A.to_codes(attrs)


def build(out, count, seed=1, which="train", workers=None):
    stamp = f"{A.CORPUS_VERSION} {count} {seed} {which}\n"
    builder.build(out, count, functools.partial(sample, seed, which), stamp, which, workers)


def sheet(path):
    """Moods from left to right, instruments from top to bottom; the last row has two instruments and drums."""
    from PIL import Image
    cells = []
    for lead in A.PITCHED + [None]:
        for k, mood in enumerate(A.MOODS):
            rng, c = A.rng_for(5, len(cells)), A.CHARACTER[mood]
            a, b = (A.PITCHED[(k * 5) % 6], A.PITCHED[(k * 5 + 2) % 6]) if lead is None else (lead, lead)
            cells.append({"mood": mood, "lead": a, "back": b, "drums": lead is None, "beats": c["beats"][int(rng.integers(len(c["beats"])))],
                          "key": A.KEYS[int(rng.integers(12))], "mode": c["modes"][0]})
    canvas = Image.new("L", (len(A.MOODS) * 260, len(A.PITCHED + [None]) * 132), 90)
    for i, attrs in enumerate(cells):
        canvas.paste(Image.fromarray(picture(attrs, 77, i)[..., 0]), (i % 8 * 260 + 2, i // 8 * 132 + 2))
    canvas.save(path)


def sounds(out, count, seed):
    import soundfile
    os.makedirs(out, exist_ok=True)
    for i in range(count):
        attrs = A.attributes(seed, i, "all")
        x = sound(attrs, seed, i)
        name = f"{i:03d}-{attrs['mood']}-{'-'.join(A.instruments(attrs))}.wav"
        soundfile.write(os.path.join(out, name), np.tile(x, 2), synth.RATE)
        print(name, "|", captions.caption(attrs, A.rng_for(seed, i, 2))[0])


def main():
    p = argparse.ArgumentParser(description="render the music corpus")
    p.add_argument("what", choices=["sheet", "sound", "build"])
    p.add_argument("--out", required=True)
    p.add_argument("--count", type=int, default=16000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--which", default="train", choices=["train", "held", "all"])
    p.add_argument("--workers", type=int)
    a = p.parse_args()
    if a.what == "sheet":
        sheet(a.out)
    elif a.what == "sound":
        sounds(a.out, a.count, a.seed)
    else:
        build(a.out, a.count, a.seed, a.which, a.workers)


if __name__ == "__main__":
    main()
