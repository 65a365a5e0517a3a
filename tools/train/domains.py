# domains.py: what differs between the kinds of packs that are trained from a corpus: where the corpus comes from, the size of its
# pictures, what a training picture may undergo, what is measured and judged, and what sumi.json says.
import functools
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


class Kind:
    """What the kinds have in common unless they say otherwise."""
    profile = "cpu"                                   # what is trained where no GPU is
    judge_widths, judge_crops, joint = {}, (), {}     # by judge; judges that see full size; attributes that count only together
    tall = None                                       # the channel of pixels that is a height

    @property
    def version(self):
        """Of the corpus that the program draws."""
        return self.A.CORPUS_VERSION

    def others(self, profile):
        """Corpora of other sizes: name -> (pictures for each one of the corpus, height, width)."""
        return {}


class Picture(Kind):
    name, pack, out = "picture", "models/ink", "build/train/ink"
    what, modality, file_type, channels = "pictures", "image", ".webp", 3
    mirror, roll = True, 0                            # pictures may be mirrored, never shifted
    sheet = ["watercolour mountains in fog", "космический порт в туманности, одинокий корабль у доков", "neon city at night",
             "пиксель-арт, одинокое дерево, день", "oil painting of the sea with a sailing boat at sunset", "яблоко на мольберте, карандаш",
             "ink wash lighthouse in the rain", "капля чернил в стакане воды, акварель", "a forest in the snow, oil on canvas",
             "неон, пустыня ночью", "pixel art mountains at sunset", "sumi-e a lone tree, violet tones",
             "watercolour desert, golden tones", "город в тумане, масло", "pencil sketch sea, snow", "маяк на рассвете, синие тона"]
    judge_size = (64, 64)

    def __init__(self):
        from corpus import attributes, captions
        self.A, self.captions = attributes, captions
        self.judges = {k: {k: v} for k, v in attributes.CLASSES.items()}      # a network for each attribute

    def build(self, out, count, seed, which, profile="cpu"):
        import models
        from corpus import draw
        draw.build(out, count, seed, which, models.SIZES[profile]["picture"])

    def latent(self, profile):
        """Height and width of the latents."""
        import models
        return (models.SIZES[profile]["latent"],) * 2

    def pool(self, codes):
        """The pictures that crops are taken from."""
        return np.arange(len(codes))

    def painted(self, codes):
        """The pictures that the UNet learns from: rain and pixel art, whose latents say most, count three times."""
        hard = (codes[:, 3] == self.A.STYLES.index("pixel")) | (codes[:, 2] == self.A.WEATHERS.index("rain"))
        return np.concatenate([np.arange(len(codes))] + [np.flatnonzero(hard)] * 2)

    def groups(self, codes):
        """What the autoencoder is measured on apart: name -> which pictures."""
        return {s: codes[:, 3] == k for k, s in enumerate(self.A.STYLES)}

    def judged(self, codes):
        """Codes as the class numbers that judges learn: a column for each of A.CLASSES, 255 where it does not apply."""
        return codes

    def wanted(self, attrs, named):
        """What a judge must find after a prompt that names these attributes."""
        return {k: v for k, v in attrs.items() if k in named}

    def manifest(self, profile):
        side = 8 * self.latent(profile)[0]
        return {"name": "ink", "modality": "image",
                "provenance": "Trained from nothing on pictures drawn by the program in tools/corpus; no scraped or photographed "
                              "material.",
                "defaults": {"sampler": "ddim", "steps": 20, "cfg_scale": 3.0, "width": side, "height": side}}


class Music(Kind):
    name, pack, out = "music", "models/ink-music", "build/train/ink-music"
    form = "mono"                                     # of the corpus
    what, modality, file_type, channels = "clips", "audio", ".ogg", 3
    mirror, roll = False, 4                           # a loop may begin at any fourth latent column (0.64 s)
    sheet = ["calm piano", "энергичная гитара с барабанами", "sad strings, slow", "таинственная музыка, колокольчики", "happy flute",
             "эпические струнные с барабанами", "dreamy synth pad", "тревожное пианино", "cheerful guitar, 141 bpm",
             "печальное фортепиано", "energetic piano with drums", "мечтательная флейта", "tense strings", "спокойная гитара",
             "mysterious flute and bells", "героическая музыка на синтезаторе"]
    judge_size = (64, 128)

    def __init__(self):
        from corpus_music import attributes, captions
        self.A, self.captions = attributes, captions
        classes = attributes.CLASSES
        self.judges = {"mood": {"mood": classes["mood"]}, "instruments": {k: v for k, v in classes.items() if k != "mood"}}

    def build(self, out, count, seed, which, profile="cpu"):
        self.drawn().build(out, count, seed, which)

    def drawn(self):
        from corpus_music import render
        return render.FORMS[self.form]

    @property
    def version(self):
        return self.drawn().version

    def latent(self, profile):
        return self.drawn().rows // 8, self.drawn().columns // 8

    def pool(self, codes):
        return np.arange(len(codes))

    def painted(self, codes):
        """The clips that the UNet learns from: bells and pad, which are learnt last, count twice."""
        hard = np.isin(codes[:, 1:3], [self.A.PITCHED.index(i) for i in ("bells", "pad")]).any(1)
        return np.concatenate([np.arange(len(codes)), np.flatnonzero(hard)])

    def groups(self, codes):
        return {m: codes[:, 0] == k for k, m in enumerate(self.A.MOODS)}

    def judged(self, codes):
        return self.A.judged(codes)

    def wanted(self, attrs, named):
        out, on = {"mood": attrs["mood"]} if "mood" in named else {}, self.A.instruments(attrs)
        return {**out, **{i: "present" if i in on else "absent" for i in self.A.INSTRUMENTS}} if "instruments" in named else out

    def heard(self, path):
        """The picture of a file of sound, of one window."""
        import soundfile
        from corpus_music import spectrogram
        form = self.drawn()
        x, rate = soundfile.read(path, dtype="float32", always_2d=True)
        synth = form.synth
        if rate != synth.rate or x.shape[1] != synth.channels or len(x) < synth.length:
            raise SystemExit(f"{path}: {len(x)} samples at {rate} Hz in {x.shape[1]} channels; wanted are {synth.length} at {synth.rate} in {synth.channels}")
        picture = spectrogram.of_loop(x[:synth.length].T, form.parameters)
        return np.broadcast_to(picture, (form.rows, form.columns, 3))

    def manifest(self, profile):
        from corpus_music import moods
        form = self.drawn()
        return {"name": "ink-music", "modality": "audio",
                "provenance": "Trained from nothing on music composed and synthesised by the program in tools/corpus_music; no "
                              "recordings.",
                "defaults": {"sampler": "ddim", "steps": 20, "cfg_scale": 3.0, "width": form.columns, "height": form.rows},
                "spectrogram": form.parameters, "moods": moods.TABLE}


class MusicStereo(Music):
    """What ink-music is to become: 32 kHz in two channels. In no box yet."""
    name, pack, out, form = "music-stereo", "build/ink-music-stereo", "build/train/ink-music-stereo", "stereo"
    judge_size = (96, 128)


class World(Kind):
    name, pack, out = "world", "models/ink-world", "build/train/ink-world"
    what, modality, file_type, channels, tall = "landscapes", "world", ".glb", 4, 3
    mirror, roll = False, 0                           # mirrored, dawn would be sunset
    sheet = ["snowy mountains around a lake at dawn", "песчаные дюны на закате", "islands in summer, clear sky", "каньон днём",
             "a volcano with lava at night", "долина реки осенью в тумане", "fields with woods in autumn", "луна в кратерах, синие тона",
             "a coast in the rain", "горы зимой ночью", "an archipelago at dawn, violet tones", "горное озеро летом днём",
             "sand dunes, black and white", "вулкан в тумане", "a river between hills in spring", "поля летом, золотые тона"]
    judge_size = (64, 64)

    def __init__(self):
        from corpus_world import attributes, captions
        self.A, self.captions = attributes, captions
        self.judges = {k: {k: v} for k, v in attributes.CLASSES.items()}

    def build(self, out, count, seed, which, profile="cpu"):
        import models
        from corpus_world import draw
        draw.build(out, count, seed, which, models.SIZES[profile]["picture"])

    def latent(self, profile):
        import models
        return (models.SIZES[profile]["latent"],) * 2

    def pool(self, codes):
        return np.arange(len(codes))

    def painted(self, codes):
        """The landscapes that the UNet learns from."""
        return np.arange(len(codes))

    def groups(self, codes):
        return {s: codes[:, 0] == k for k, s in enumerate(self.A.KINDS)}

    def judged(self, codes):
        return codes

    def wanted(self, attrs, named):
        return {k: v for k, v in attrs.items() if k in named}

    def manifest(self, profile):
        from corpus_world import colour, terrain
        side = 8 * self.latent(profile)[0]
        return {"name": "ink-world", "modality": "world",
                "provenance": "Trained from nothing on landscapes drawn by the program in tools/corpus_world; no maps or photographs.",
                "defaults": {"sampler": "ddim", "steps": 20, "cfg_scale": 3.0, "width": side, "height": side},
                "world": {"sea_level": terrain.SEA, "relief": colour.RELIEF}}


class Ink256(Kind):
    name, pack, out = "ink-256", "build/ink-256", "build/train/ink-256"
    profile = "cpu256"
    what, modality, file_type, channels = "pictures", "image", ".webp", 3
    mirror, roll = False, 0                           # mirrored, left would be right
    sheet = ["watercolour mountains in fog", "космический порт в туманности, одинокий корабль у доков", "neon city at night", "пиксель-арт, пустыня днём",
             "oil painting of the sea with a sailing boat at sunset", "яблоко на мольберте, карандаш", "ink wash lighthouse in the rain", "три кошки, витраж",
             "linocut, a train on a bridge at night", "кошка слева от дерева, акварель", "a castle behind two horses, oil on canvas", "неон, воздушный шар ночью",
             "pixel art, a person on a horse at sunset", "суми-э, мельница позади цветка", "stained glass of a fish", "водопад, гравюра, закат"]
    judge_size = (128, 128)
    judge_widths, judge_crops = {"subject": 40}, ("style",)
    joint = {"whole relation": ("subject", "second", "relation")}

    def __init__(self):
        from corpus_ink2 import attributes, captions
        self.A, self.captions = attributes, captions
        seen_together = ("subject", "second", "relation", "count")
        self.judges = {"subject": {k: attributes.CLASSES[k] for k in seen_together},
                       **{k: {k: v} for k, v in attributes.CLASSES.items() if k not in seen_together}}

    def build(self, out, count, seed, which, profile="cpu256", size=None):
        import models
        from corpus_ink2 import draw
        draw.build(out, count, seed, which, size or (models.SIZES[profile]["picture"],) * 2)

    def others(self, profile):
        """Smaller ones are cheap to learn from."""
        side = 8 * self.latent(profile)[0]
        sizes = ((0.5, 0.75, 0.75), (0.1875, 0.75, 1.125), (0.1875, 1.125, 0.75), (0.15, 0.75, 1.375), (0.1, 1.25, 1.25))
        return {f"{int(h * side)}x{int(w * side)}": (share, int(h * side), int(w * side)) for share, h, w in sizes}

    def latent(self, profile):
        import models
        return (models.SIZES[profile]["latent"],) * 2

    def pool(self, codes):
        return np.arange(len(codes))

    def painted(self, codes):
        """The pictures that the UNet learns from: two subjects, and two or three of one, count twice."""
        hard = (codes[:, 1] != 0) | ((codes[:, 3] != 255) & (codes[:, 3] > 0))
        return np.concatenate([np.arange(len(codes)), np.flatnonzero(hard)])

    def groups(self, codes):
        return {s: codes[:, 6] == k for k, s in enumerate(self.A.STYLES)}

    def judged(self, codes):
        return codes

    def wanted(self, attrs, named):
        return {k: v for k, v in attrs.items() if k in named}

    def manifest(self, profile):
        side = 8 * self.latent(profile)[0]
        return {"name": "ink", "modality": "image",
                "provenance": "Trained from nothing on pictures drawn by the program in tools/corpus_ink2; no scraped or photographed "
                              "material.",
                "defaults": {"sampler": "ddim", "steps": 20, "cfg_scale": 3.0, "width": side, "height": side}}


KINDS = {d.name: d for d in (Picture, Music, MusicStereo, World, Ink256)}


@functools.lru_cache(maxsize=None)
def of(kind):
    return KINDS[kind]()


def add_arguments(parser):
    """--kind and --out, the same for every stage."""
    parser.add_argument("--kind", default="picture", choices=list(KINDS))
    parser.add_argument("--out", help="folder of the training (its kind's own when not given)")


def from_arguments(a):
    """The domain; a.out gets its default, and so does a.profile where there is one."""
    domain = of(a.kind)
    a.out = a.out or domain.out
    a.profile = getattr(a, "profile", None) or domain.profile
    return domain
