# render.py: the corpus on disk, on contact sheets, and as sound.
#   python tools/corpus_music/render.py sheet --out sheet.png          one spectrogram for each mood and instrument
#   python tools/corpus_music/render.py sound --out DIR --count 20     clips as WAV files with their captions
#   python tools/corpus_music/render.py build --out DIR --count 16000  pictures.npy (uint8, N x 128 x 256 x 1) and codes.npy (N x 7)
# --form stereo: 32 kHz in two channels, version ink-music-3; pictures are 160 x 256 x 3
# Clip `index` of a `seed` depends on nothing else; which = train leaves out the held-out combinations, held renders only those.
import argparse
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from corpus import build as builder                   # before numpy: it settles the threads
import numpy as np

from corpus_music import attributes as A
from corpus_music import captions, compose, spectrogram, stage, synth


class Form:
    """What a version of the corpus sounds like and how that is a picture."""

    def __init__(self, name, version, synth, parameters):
        self.name, self.version, self.synth, self.parameters = name, version, synth, parameters
        self.rows, self.columns = parameters["n_mels"], parameters["window_columns"]

    def sound(self, attrs, seed, index):
        """One round of the loop: channels x samples, peak below 1."""
        rng, synth = A.rng_for(seed, index, 1), self.synth
        clip = compose.compose(attrs, rng)
        x = np.zeros((synth.channels, 3 * synth.length), np.float32)
        beat, early = synth.length / clip.beats, synth.rate * 60 / 22050
        for n in clip.notes:
            at = max(0, int(n.start * beat + rng.normal(0, early)))
            y = n.gain * synth.note(n.instrument, n.pitch, n.beats * beat / synth.rate, n.loud, n.attack)
            for side, loud in zip(x, synth.seat(n.instrument, n.pitch, at, len(y))):
                side[at:at + len(y)] += loud * y
        for start, name, loud in clip.hits:
            at, y = int(start * beat), 0.55 * loud * synth.drum(name)
            for side, more in zip(x, synth.drum_seat(name)):
                side[at:at + len(y)] += more * y
        x = x.reshape(synth.channels, 3, synth.length).sum(1)     # what rings on beyond the end sounds over the beginning
        dreamy = attrs["mood"] == "dreamy"
        x = synth.place(x, clip.style["room"], clip.style["wet"], 0.45 if dreamy else 0.0, 0.75 * beat / synth.rate, clip.tilt)
        return 0.9 * x / max(1e-6, float(np.abs(x).max()))

    def picture(self, attrs, seed, index):
        return spectrogram.of_loop(self.sound(attrs, seed, index), self.parameters)

    def build(self, out, count, seed=1, which="train", workers=None):
        stamp = f"{self.version} {count} {seed} {which}\n"
        builder.build(out, count, functools.partial(sample, self.name, seed, which), stamp, which, workers)


FORMS = {f.name: f for f in (Form("mono", "ink-music-2", synth.Synth(22050, 256 * 441, 10000), spectrogram.MONO),
                             Form("stereo", "ink-music-3", stage.Stage(), spectrogram.STEREO))}


def sample(form, seed, which, index):
    """Of the form that has this name: the tones that a process has made stay with the one that is there."""
    attrs = A.attributes(seed, index, which)
    return FORMS[form].picture(attrs, seed, index), A.to_codes(attrs)


def sheet(form, path):
    """Moods from left to right, instruments from top to bottom; the last row has two instruments and drums."""
    from PIL import Image
    cells = []
    for lead in A.PITCHED + [None]:
        for k, mood in enumerate(A.MOODS):
            rng, c = A.rng_for(5, len(cells)), A.CHARACTER[mood]
            a, b = (A.PITCHED[(k * 5) % 6], A.PITCHED[(k * 5 + 2) % 6]) if lead is None else (lead, lead)
            cells.append({"mood": mood, "lead": a, "back": b, "drums": lead is None, "beats": c["beats"][int(rng.integers(len(c["beats"])))],
                          "key": A.KEYS[int(rng.integers(12))], "mode": c["modes"][0]})
    wide, high = form.columns + 4, form.rows + 4
    canvas = Image.new("RGB", (len(A.MOODS) * wide, len(A.PITCHED + [None]) * high), (90, 90, 90))
    for i, attrs in enumerate(cells):
        cell = np.broadcast_to(form.picture(attrs, 77, i), (form.rows, form.columns, 3))
        canvas.paste(Image.fromarray(cell), (i % 8 * wide + 2, i // 8 * high + 2))
    canvas.save(path)


def sounds(form, out, count, seed):
    import soundfile
    os.makedirs(out, exist_ok=True)
    for i in range(count):
        attrs = A.attributes(seed, i, "all")
        x = form.sound(attrs, seed, i)
        name = f"{i:03d}-{attrs['mood']}-{'-'.join(A.instruments(attrs))}.wav"
        soundfile.write(os.path.join(out, name), np.tile(x, 2).T, form.synth.rate)
        print(name, "|", captions.caption(attrs, A.rng_for(seed, i, 2))[0])


def main():
    p = argparse.ArgumentParser(description="render the music corpus")
    p.add_argument("what", choices=["sheet", "sound", "build"])
    p.add_argument("--out", required=True)
    p.add_argument("--count", type=int, default=16000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--which", default="train", choices=["train", "held", "all"])
    p.add_argument("--workers", type=int)
    p.add_argument("--form", default="mono", choices=list(FORMS))
    a = p.parse_args()
    if a.what == "sheet":
        sheet(FORMS[a.form], a.out)
    elif a.what == "sound":
        sounds(FORMS[a.form], a.out, a.count, a.seed)
    else:
        FORMS[a.form].build(a.out, a.count, a.seed, a.which, a.workers)


if __name__ == "__main__":
    main()
