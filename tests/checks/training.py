#!/usr/bin/env python3
"""What the training tools promise for pictures of 256: mixed sizes, a tokenizer and networks that grow, judges that see full size;
of landscapes that rivers of the corpus run downhill, seasons differ in every palette, and heights keep how rough they are; of music
in two channels that it stands where it is put, is judged by its sound and goes all the way to a pack; and the upscaler's pairs and file.
Skipped without the training tools' packages."""
import json, os, pathlib, shutil, subprocess, sys, tempfile, wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN = ROOT / ".venv/bin/python"
try:
    import cairo, diffusers, regex, scipy, torch, transformers  # noqa: F401
    import numpy as np
except ImportError:
    if OWN.exists() and "SUMI_CHECK_AGAIN" not in os.environ:
        os.execve(OWN, [OWN, __file__], {**os.environ, "SUMI_CHECK_AGAIN": "1"})
    print("skip training: tools/requirements.txt is not installed")
    sys.exit(0)
for part in ("train", "judge"):
    sys.path.insert(0, str(ROOT / "tools" / part))
import autoencoder, diffusion, domains, edges, heights, judge, models, prompts, render, revive, score, vocabulary

failed = 0


def check(condition, name, detail=""):
    global failed
    failed += not condition
    print(f"ok {name}" if condition else f"not ok {name}: {detail}")
    return condition


def latents_of(folder, domain, name, shape, count):
    """Random latents with codes of the corpus, where the training looks for them."""
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    np.save(diffusion.latents(folder, name), np.random.default_rng(1).normal(size=(1, count, 4, *shape)).astype(np.float16))
    np.save(os.path.join(folder, name, "codes.npy"), np.array([domain.A.to_codes(domain.A.attributes(1, i)) for i in range(count)], np.uint8))


torch.manual_seed(0)
ink = domains.of("ink-256")
old = str(ROOT / "models/ink")

vocab, merges = vocabulary.train(ink, begin=old + "/tokenizer")
known = vocabulary.Tokenizer(old + "/tokenizer").vocab
check(set(known) <= set(vocab), "a tokenizer that grows keeps its tokens", len(set(known) - set(vocab)))
check("windmill</w>" in vocab and "windmill</w>" not in known, "and has tokens for new words")

net = models.unet("cpu256")
own, taken, of = revive.grown(net, revive.weights(old, "unet"), 1)
deep = revive.weights(old, "unet")["up_blocks.0.resnets.1.conv1.weight"]
check(torch.equal(own["up_blocks.1.resnets.1.conv1.weight"], deep) and 0.2 < taken / of < 0.9, "a deeper UNet begins with what fits", taken / of)
x, text = torch.randn(1, 4, 24, 36), torch.randn(1, 5, 128)
with torch.no_grad():
    check(net(x, torch.tensor([10]), text).sample.shape == x.shape, "a UNet of four levels takes sides that do not divide")

with tempfile.TemporaryDirectory() as folder:
    shutil.copytree(old + "/tokenizer", folder + "/tokenizer")
    names = diffusion.corpora(ink, "cpu256")
    check(len(names) == 6 and names[0] == "corpus", "a corpus of six sizes", names)
    latents_of(folder, ink, "corpus", (32, 32), 8)
    latents_of(folder, ink, "corpus-192x288", (24, 36), 6)
    data = diffusion.Data(ink, folder, torch.device("cpu"), others=names[1:])
    shapes = {tuple(data.batch(i * 4, 4)[0].shape) for i in range(40)}
    check(shapes == {(4, 4, 32, 32), (4, 4, 24, 36)}, "every batch is of one size, and every size that is encoded comes", shapes)

with tempfile.TemporaryDirectory() as folder:
    os.makedirs(folder + "/corpus")
    np.save(folder + "/corpus/pictures.npy", np.random.default_rng(2).integers(0, 256, (5, 128, 128, 3), np.uint8))
    path = diffusion.latents(folder, "corpus")
    torch.manual_seed(3)
    diffusion.encode(folder)
    whole = np.load(path)
    check(whole.shape == (1, 5, 4, 16, 16) and not os.path.exists(path + ".new"), "latents of a corpus", whole.shape)
    half = np.zeros_like(whole)
    half[:, :3] = 7
    np.save(folder + "/begun.npy", half)
    for by, name in ((0, "encoding goes on where it was stopped"), (16, "but not with another encoder's latents")):
        os.remove(path)
        shutil.copy(folder + "/begun.npy", path + ".new")
        diffusion.keep_place(path, 3, by)
        torch.manual_seed(3)
        diffusion.encode(folder)
        z = np.load(path)
        check(np.array_equal(z[:, 3:], whole[:, 3:]) and ((z[:, :3] == 7).all() == (by == 0)) and not os.path.exists(path + ".at"), name)

with tempfile.TemporaryDirectory() as folder:
    os.makedirs(folder + "/corpus")
    np.save(folder + "/corpus/pictures.npy", np.random.default_rng(5).integers(0, 256, (2, 64, 64, 4), np.uint8))
    np.save(folder + "/corpus/codes.npy", np.zeros((2, 5), np.uint8))
    train = lambda samples, freeze: autoencoder.train(domains.of("world"), folder, samples, 8, batch=2, freeze=freeze)
    train(4, False)
    before = autoencoder.restore(folder, 8, torch.device("cpu"))[0].state_dict()
    train(8, True)
    after = autoencoder.restore(folder, 8, torch.device("cpu"))[0].state_dict()
    same = {part: all(torch.allclose(after[k], before[k], rtol=0, atol=1e-6) for k in before if k.startswith(part)) for part in ("encoder.", "decoder.")}
    check(same == {"encoder.": True, "decoder.": False}, "a frozen encoder makes the latents that it made, while the decoder learns", same)

judges = judge.Judges(ink).eval()
flat = torch.zeros(1, 3, 256, 256)
yy, xx = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
fine = ((yy + xx) % 2).float().mul(2).sub(1).expand(1, 3, 256, 256)         # gone when it is made half as large
with torch.no_grad():
    a, b = judges(flat), judges(fine)
check(list(a) == list(ink.A.CLASSES), "judges answer in the order of the classes", list(a))
differ = {k for k in a if (a[k] - b[k]).abs().max() > 1e-4}
check(differ == {"style"}, "the judge of styles sees what only full size shows", differ)

row = {"attrs": {"subject": "cat", "second": "tree", "relation": "left", "style": "oil"}, "kind": "seen", "lang": "en"}
right = ink.A.to_codes({**ink.A.attributes(1, 0), **row["attrs"], "count": 1})
wrong = [*right]
wrong[1] = 0
table = score.attributes_right(ink, [row, row], [right, wrong])
check(table["seen/whole relation"] == {"right": 50.0, "of": 2} and table["seen/relation"]["right"] == 100.0, "a relation is right with both of its subjects", table)
from scipy.ndimage import gaussian_filter
sharp = np.zeros((1, 64, 64, 3), np.uint8)
sharp[:, :, 20:23] = sharp[:, 30:33] = 230
soft = lambda sigma: edges.width(gaussian_filter(sharp.astype(np.float32), (0, sigma, sigma, 0)))
check(edges.width(sharp) < soft(0.6) < soft(1.0) < soft(2.0), "softer edges are wider")
check(abs(edges.width(np.concatenate([sharp, sharp])) / edges.width(sharp) - 1) < 1e-6, "more of the same edges are no wider")
rows = prompts.make(ink, 40)
check({r["kind"] for r in rows} == {"seen", "held"} and any("relation" in r["attrs"] for r in rows), "prompts have relations, seen and held out")
words = lambda *more: render.command(ink, {"prompt": "x", "seed": 1}, "x.webp", render.arguments(["--prompts", "p", "--to", "t", *more]))
check(words()[-6:] == ["--steps", "20", "--cfg-scale", "3.0", "--seed", "1"] and "--fast" not in words(), "prompts are rendered in 20 guided steps", words())
check("--fast" in words("--fast") and "--steps" not in words("--fast") and "--cfg-scale" not in words("--fast"),
      "or by the fast variant as its pack wants it", words("--fast"))
check(words("--fast", "--steps", "2")[-5:-2] == ["--fast", "--steps", "2"], "unless steps are given", words("--fast", "--steps", "2"))
from corpus_world import attributes, terrain
for kind in heights.RIVERS:
    falls = [heights.downhill(np.rint(terrain.MAKERS[kind](attributes.rng_for(5, i, 1), 128)[0] * 255) / 255) for i in range(8)]
    check(np.mean(falls) > 0.95, f"rivers of the corpus run downhill ({kind})", str(falls))
from corpus_world import captions, colour, draw
light = {s: np.mean([draw.landscape({"kind": k, "hour": "day", "season": s, "weather": "clear", "palette": "mono"}, 5, i)[..., :3].mean()
                     for i, k in enumerate(attributes.SEASONAL)]) for s in attributes.SEASONS}
steps = np.diff([light[s] for s in ("summer", "autumn", "spring", "winter")])
check((steps > 8).all(), "seasons differ in how light they are where there is no hue", str(light))
rain = colour.streaks(32)
check(0.2 < rain.mean() < 0.5 and np.array_equal(rain[:24], rain[8:]) and np.array_equal(rain[:, :24], rain[:, 8:]), "rain lies alike under every latent")
lots = [captions.caption(attributes.attributes(1, i), np.random.default_rng(i), keep=0.75)[1] for i in range(400)]
bare = sum("kind" not in named for named in lots)
check(20 < bare < 80 and all(lots), "some captions name no landform, none names nothing", str(bare))
check(all("kind" in captions.caption(attributes.attributes(1, i), np.random.default_rng(i), keep=1.0)[1] for i in range(100)), "what is judged names it")
bumps = torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(4))
errors = [[float(v) for v in autoencoder.slopes_error(made, bumps)] for made in (bumps, bumps.flip(0), bumps * 0.5)]
check(errors[0] == [0, 0] and errors[1][0] > errors[2][0] and errors[1][1] < errors[2][1] / 4, "other bumps as rough are not as wrong as flatter ones", str(errors))
check(domains.of("world").tall == 3 and ink.tall is None, "which channel is a height")
slope = np.mgrid[:64, :64][0] / 64
check(heights.downhill(np.abs(np.mgrid[:64, :64][1] - 32) / 64 + 0.1 * (1 - slope)) == 1 and heights.downhill(slope * 0 + 0.5) == 0,
      "what runs downhill, and what lies flat")

# Music in two channels: seats that are as loud wherever they are, and clips that are judged by their sound.
sys.path.insert(0, str(ROOT / "tools"))
from corpus_music import spectrogram, stage
music = domains.of("music-stereo")
left, right = stage.loudness(np.linspace(-1, 1, 9))
check(np.allclose(left ** 2 + right ** 2, 2) and left[0] > 1.4 and abs(right[0]) < 1e-9 and np.isclose(left[4], right[4]), "seats are as loud from left to right")
check((music.latent("cpu"), music.version, domains.of("music").version) == ((20, 32), "ink-music-3", "ink-music-2"), "forms of the music corpus")
with tempfile.TemporaryDirectory() as folder:
    try:
        import soundfile
    except ImportError:
        soundfile = None
        print("skip clips that are judged by their sound: soundfile is not there")
    if soundfile:
        n = np.arange(music.drawn().synth.length)
        loop = np.stack([0.5 * np.sin(2 * np.pi * 440 * n / 32000), 0.1 * np.sin(2 * np.pi * 3000 * n / 32000)]).astype(np.float32)
        soundfile.write(os.path.join(folder, "0000.wav"), loop.T, 32000, subtype="FLOAT")
        os.rename(os.path.join(folder, "0000.wav"), os.path.join(folder, "0000.ogg"))      # what it holds counts
        heard = score.load_heard(music, [{"file": "0000.png"}], folder)[0]
        check(np.array_equal(heard, spectrogram.of_loop(loop, music.drawn().parameters)), "a clip is judged by its sound")
        rows = heard[:, 100].astype(int)
        check(rows[:, 1].argmax() > rows[:, 2].argmax() and rows[:, 1].max() > rows[:, 2].max() > 80, "left is green, right is blue, low at the bottom",
              (rows[:, 1].argmax(), rows[:, 2].argmax()))

# From nothing to a pack of music in two channels, by a few samples of each stage, and a clip of it.
import distil, export
distil.FIRST = 1
with tempfile.TemporaryDirectory() as folder:
    pack, size = os.path.join(folder, "pack"), {"profile": "try", "threads": 1}
    music.build(os.path.join(folder, "corpus"), 4, 1, "train", "try")
    autoencoder.train(music, folder, 4, batch=2, threads=1)
    vocabulary.write(os.path.join(folder, "tokenizer"), music)
    diffusion.encode(folder)
    diffusion.train(music, folder, 2, batch=2, **size)
    distil.train(music, folder, 2, batch=2, **size)
    export.export(music, folder, pack, "try")
    with open(os.path.join(pack, "sumi.json"), encoding="utf-8") as f:
        told = json.load(f)
    check(told["spectrogram"] == spectrogram.STEREO and told["corpus"]["version"] == "ink-music-3" and told["fast"]["unet"] == "unet_fast",
          "what is trained from a stereo corpus says how its pictures sound", told)
    sumi = ROOT / os.environ.get("BUILD", "build") / "bin/sumi"
    if not sumi.exists():
        print("skip a clip of the trained pack: sumi is not built")
    else:
        clip = os.path.join(folder, "clip.wav")
        done = subprocess.run([sumi, "render", "calm piano", "--pack", pack, "--fast", "--seed", "1", "-o", clip], capture_output=True, text=True,
                              env={**os.environ, "SUMI_CACHE_DIR": str(sumi.parent.parent / "test-cache")})
        if check(done.returncode == 0, "sumi makes a clip of it", done.stderr[-300:]):
            with wave.open(clip) as w:
                check((w.getnchannels(), w.getframerate(), w.getnframes()) == (2, 32000, 256 * 640), "one window in two channels", w.getparams())

# The upscaler: pairs that lie on each other, a training that goes on, a file that says what it is.
import upscaler
from safetensors import safe_open
with tempfile.TemporaryDirectory() as folder:
    pairs = os.path.join(folder, "picture")
    upscaler.draw("picture", pairs, 4, 5, "all", 1)
    upscaler.copy(old, pairs, 0.1, 2, torch.device("cpu"))
    small, copies = (np.load(os.path.join(pairs, f)) for f in (os.path.join("small", "pictures.npy"), "copies.npy"))
    check(np.array_equal(small[0], copies[0]) and not np.array_equal(small[1], copies[1]), "one in so many is shown as it was drawn")
    found = upscaler.Pairs([pairs])
    x, y = found.crops(np.random.default_rng(2), 8, 24)
    apart = (torch.nn.functional.avg_pool2d(y, 4) - x).abs().mean()
    check(tuple(y.shape) == (8, 3, 96, 96) and apart < 0.06, "crops of both sizes are of one place", float(apart))
    upscaler.train(folder, found, 16, 2e-3, 8, 24)
    once = upscaler.restore(folder, torch.device("cpu"))[1]
    upscaler.train(folder, found, 24, 2e-3, 8, 24)
    check((once, upscaler.restore(folder, torch.device("cpu"))[1]) == (16, 24), "it goes on from its checkpoint")
    upscaler.export(folder, os.path.join(folder, "to", "x.safetensors"))
    with safe_open(os.path.join(folder, "to", "x.safetensors"), "pt") as f:
        shapes = {k: f.get_slice(k).get_shape() for k in f.keys()}
        check(f.metadata()["licence"] == "CC0-1.0" and shapes["body.0.weight"] == [32, 3, 3, 3] and shapes["body.26.weight"] == [48, 32, 3, 3],
              "Real-ESRGAN's names and shapes, and a licence", shapes)
sys.exit(failed > 0)
