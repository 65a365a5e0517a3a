# upscaler.py: trains ink-upscale, Real-ESRGAN's compact network (SRVGG): what the packs of pictures paint, four times as wide and high. It
# learns from copies that their autoencoders make of corpus pictures, beside the same pictures drawn four times as large.
#   python tools/train/upscaler.py [--samples N]     draws, copies, trains and exports to models/upscalers; goes on where it was stopped
#   python tools/train/upscaler.py --measure         PSNR and edges by style beside bicubic's, on pictures of another seed, in PyTorch
# tools/judge/enlarged.py measures the same through the C core.
import argparse
import json
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import common
import domains

TIMES = 4
FEATURES, LAYERS = 32, 12
# kind -> pictures to learn from, those to measure with. Which autoencoder: --source, else these where they are there.
SOURCES = {"picture": (896, 240), "ink-256": (160, 80)}
FOLDERS = {"picture": "models/ink", "ink-256": "build/train/ink-256"}
NOISE = 0.10                                          # latents of a UNet are not quite those of the encoder: up to so much noise on them
CLEAN = 8                                             # one in so many is shown as it was drawn: other programs' pictures
SHARP = 3.0                                           # how much steepness counts beside the absolute error
NAME = "ink-upscale"


class Compact(nn.Module):
    """SRVGG: convolutions with slopes, pixels out of channels, and the picture itself in larger pixels."""

    def __init__(self, features=FEATURES, layers=LAYERS):
        super().__init__()
        body = [nn.Conv2d(3, features, 3, 1, 1), nn.PReLU(features)]
        for _ in range(layers):
            body += [nn.Conv2d(features, features, 3, 1, 1), nn.PReLU(features)]
        self.body = nn.ModuleList(body + [nn.Conv2d(features, 3 * TIMES * TIMES, 3, 1, 1)])

    def forward(self, x):
        y = x
        for layer in self.body:
            y = layer(y)
        return F.pixel_shuffle(y.float(), TIMES) + F.interpolate(x, scale_factor=TIMES, mode="nearest")


def autoencoder_of(folder, dev):
    """That of a training's folder, or of a pack."""
    import autoencoder
    if os.path.exists(os.path.join(folder, "ae", "last.pt")):
        return autoencoder.restore(folder, 32, dev)[0]
    from diffusers import AutoencoderTiny
    return AutoencoderTiny.from_pretrained(os.path.join(folder, "vae")).to(dev).eval()


def draw(kind, out, count, seed, which, workers):
    """The corpus as the pack knows it, and larger: OUT/small and OUT/large."""
    domain = domains.of(kind)
    side = 8 * domain.latent(domain.profile)[0]
    if kind == "picture":
        from corpus import draw as program
        program.build(os.path.join(out, "small"), count, seed, which, side, workers)
        program.build(os.path.join(out, "large"), count, seed, which, TIMES * side, workers)
    else:
        from corpus_ink2 import draw as program
        program.build(os.path.join(out, "small"), count, seed, which, (side, side), workers)
        program.build(os.path.join(out, "large"), count, seed, which, (side, side), workers, TIMES)


@torch.no_grad()
def copy(folder, out, noise, clean, dev):
    """OUT/copies.npy: what the autoencoder makes of OUT/small; noise: on latents, up to so much; clean: one in so many is none."""
    path = os.path.join(out, "copies.npy")
    if os.path.exists(path):
        return
    model, pictures = autoencoder_of(folder, dev), np.load(os.path.join(out, "small", "pictures.npy"), mmap_mode="r")
    made, step = np.empty(pictures.shape, np.uint8), common.at_once(pictures, 16)
    for i in range(0, len(pictures), step):
        few = pictures[i:i + step]
        dice = torch.Generator().manual_seed(i)
        z = model.encoder(common.to_tensor(few, dev)).cpu()
        z = z + noise * torch.rand(len(few), 1, 1, 1, generator=dice) * torch.randn(z.shape, generator=dice)
        y = model.decoder(z.to(dev)).add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        plain = np.arange(i, i + len(few)) % clean == 0 if clean else np.zeros(len(few), bool)
        made[i:i + step] = np.where(plain[:, None, None, None], few, y)
    np.save(path + ".new.npy", made)
    os.replace(path + ".new.npy", path)


class Pairs:
    """Copies and large pictures of all sources."""

    def __init__(self, folders):
        self.small = [np.load(os.path.join(f, "copies.npy"), mmap_mode="r") for f in folders]
        self.large = [np.load(os.path.join(f, "large", "pictures.npy"), mmap_mode="r") for f in folders]
        self.codes = [np.load(os.path.join(f, "small", "codes.npy")) for f in folders]

    def crops(self, rng, count, side):
        """As N x 3 x side x side and four times that, 0..1; mirrored and turned at random. Each source as often as the others."""
        a, b = np.empty((count, side, side, 3), np.uint8), np.empty((count, TIMES * side, TIMES * side, 3), np.uint8)
        for k in range(count):
            s = rng.integers(len(self.small))
            i, (h, w) = rng.integers(len(self.small[s])), self.small[s].shape[1:3]
            y, x = rng.integers(h - side + 1), rng.integers(w - side + 1)
            turns, mirrored = rng.integers(4), rng.random() < 0.5
            for out, part in ((a, self.small[s][i, y:y + side, x:x + side]),
                              (b, self.large[s][i, TIMES * y:TIMES * (y + side), TIMES * x:TIMES * (x + side)])):
                part = np.rot90(part, turns)
                out[k] = part[:, ::-1] if mirrored else part
        return tensor(a), tensor(b)


def tensor(pictures):
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().div_(255)


def slopes(p):
    """To the right and down."""
    return p[..., :-1, 1:] - p[..., :-1, :-1], p[..., 1:, :-1] - p[..., :-1, :-1]


def steepness(p, side=8):
    """The root mean square of the slopes of each square: it does not ask where in it an edge lies."""
    dx, dy = slopes(p)
    return F.avg_pool2d((dx * dx + dy * dy).mean(1, keepdim=True), side, ceil_mode=True).add(1e-6).sqrt()


def loss_of(model, x, y):
    """Absolute error, that of slopes, and that of steepness: where an edge may lie here or there the first two are least for a blurred one."""
    with common.amp(x.device):
        z = model(x)
    z = z.float()
    d = z - y
    dx, dy = slopes(d)
    return d.abs().mean() + 0.5 * (dx.abs().mean() + dy.abs().mean()) + SHARP * (steepness(z) - steepness(y)).abs().mean(), d.detach().pow(2).mean()


def restore(out, dev):
    """The averaged model of the last checkpoint, and how many crops it has seen."""
    state = common.load(os.path.join(out, "last.pt"))
    model = Compact(state["features"], state["layers"]).to(dev)
    model.load_state_dict(state["average"])
    return model.eval(), state["seen"]


def train(out, pairs, samples, lr, batch, side, seconds=None):
    dev = common.device()
    path, state = os.path.join(out, "last.pt"), common.load(os.path.join(out, "last.pt"))
    torch.manual_seed(3)
    model = Compact().to(dev, memory_format=torch.channels_last)
    if not state:
        for layer in model.body:                      # begins as larger pixels, nearly
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.25, nonlinearity="leaky_relu")
                nn.init.zeros_(layer.bias)
        nn.init.normal_(model.body[-1].weight, std=0.003)
    opt, avg, seen = common.Optimiser([model], lr), common.Average(model, 0.999), 0
    if state:
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        avg.shadow, avg.steps, seen = state["average"], state["steps"], state["seen"]
    clock = common.Clock(samples, seconds, state["spent"] if state else 0.0)
    log = common.Log(os.path.join(out, "log.jsonl"), "upscaler")

    def keep():
        common.save(path, {"model": model.state_dict(), "opt": opt.state_dict(), "average": avg.shadow, "steps": avg.steps, "seen": seen,
                           "spent": clock.spent, "features": FEATURES, "layers": LAYERS})
    while clock.progress(seen) < 1:
        x, y = pairs.crops(np.random.default_rng([9, seen]), batch, side)
        loss, sq = loss_of(model, x.to(dev).contiguous(memory_format=torch.channels_last), y.to(dev))
        loss.backward()
        opt.step(common.schedule(clock.progress(seen), seen, 1500, 0.5))
        avg.update(model)
        seen += batch
        log.add(batch, loss=loss.item(), sq=sq.item())
        clock.tick()
        if clock.due():
            log.flush(seen, psnr=round(-10 * np.log10(log.sums["sq"] / log.n), 2))
            keep()
    keep()


def export(out, path):
    """Half precision under the names of Real-ESRGAN's own files, with what it is in the header."""
    from safetensors.torch import save_file
    model, seen = restore(out, torch.device("cpu"))
    said = {"format": "pt", "name": NAME, "licence": "CC0-1.0", "trained_crops": str(seen),
            "provenance": "Trained from nothing on pictures drawn by the programs in tools/corpus and tools/corpus_ink2; no scraped or "
                          "photographed material.", "command": "python tools/train/upscaler.py"}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, path + ".new", metadata=said)
    os.chmod(path + ".new", 0o644)
    os.replace(path + ".new", path)
    print(f"{path}: {os.path.getsize(path) / 1e6:.2f} MB after {seen} crops")


@torch.no_grad()
def measure(out, folders):
    """Kind -> style -> PSNR of bicubic and of the network, and their edges beside the corpus's."""
    import sys
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "judge"))
    import enlarged
    model, seen = restore(out, common.device())
    table = {}
    for kind, folder in folders.items():
        small, large = (np.load(os.path.join(folder, f), mmap_mode="r") for f in ("copies.npy", os.path.join("large", "pictures.npy")))
        made = [model(tensor(small[i:i + 1])).clamp(0, 1).mul(255).round().byte()[0].permute(1, 2, 0).numpy() for i in range(len(small))]
        codes = np.load(os.path.join(folder, "small", "codes.npy"))
        table[kind] = enlarged.compare(domains.of(kind), codes, small, large, np.stack(made))
    print(json.dumps({"seen": seen, **table}, indent=1))


def main():
    p = argparse.ArgumentParser(description="train, measure or export the upscaler")
    p.add_argument("--out", default="build/train/ink-upscale")
    p.add_argument("--to", default=f"models/upscalers/{NAME}.safetensors")
    p.add_argument("--source", action="append", metavar="KIND=FOLDER", help="an autoencoder to copy with: of a training's folder or a pack")
    p.add_argument("--samples", type=int, default=80000)
    p.add_argument("--seconds", type=int, help="end after so much work, if that comes before --samples")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--side", type=int, default=40)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--seed", type=int, default=21)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--few", type=int, default=1, help="so many times fewer pictures, to see it run")
    p.add_argument("--measure", action="store_true")
    a = p.parse_args()
    common.setup(a.threads)
    sources = dict(s.split("=", 1) for s in a.source) if a.source else {k: f for k, f in FOLDERS.items() if os.path.exists(f)}
    folders, which = {}, ("test", 1, "all") if a.measure else ("train", 0, "train")
    for kind, folder in sources.items():
        folders[kind] = os.path.join(a.out, kind, which[0])
        draw(kind, folders[kind], max(8, SOURCES[kind][which[1]] // a.few), a.seed + which[1], which[2], a.threads)
        copy(folder, folders[kind], 0.0 if a.measure else NOISE, 0 if a.measure else CLEAN, common.device())
    if a.measure:
        measure(a.out, folders)
        return
    train(a.out, Pairs(list(folders.values())), a.samples, a.lr, a.batch, a.side, a.seconds)
    export(a.out, a.to)


if __name__ == "__main__":
    main()
