# diffusion.py: trains the text encoder and the UNet together (v-prediction) on latents that are encoded once.
#   python tools/train/diffusion.py --kind KIND [--samples N]      trains, goes on from OUT/unet/last.pt
#   python tools/train/diffusion.py --kind KIND --encode           only writes the latents (after the encoder is settled)
import argparse
import json
import os

import numpy as np
import torch
import torch.nn.functional as F

import autoencoder
import common
import domains
import models
import vocabulary


@torch.no_grad()
def encode(out, count=None, mirror=False, width=32, corpus="corpus"):
    """Latents of the first `count` pictures (and of their mirror images), half precision, in DIR/latents.npy (of corpus-192x288 in
    DIR/latents-192x288.npy). What is there already is kept: a run may begin with part of the corpus and go on with more."""
    path = latents(out, corpus)
    pictures = np.load(os.path.join(out, corpus, "pictures.npy"), mmap_mode="r")
    n, h, w = min(count or len(pictures), len(pictures)), pictures.shape[1] // 8, pictures.shape[2] // 8
    old = np.load(path) if os.path.exists(path) else np.zeros((1 + mirror, 0, 4, h, w), np.float16)
    if old.shape[1] >= n:
        return
    dev = common.device()
    model, state = autoencoder.restore(out, width, dev)
    z, begin = begun(path, old, n, state["seen"] if state else 0)
    step, clock = common.at_once(pictures), common.Clock(n)
    for i in range(begin, n, step):
        x = common.to_tensor(pictures[i:min(n, i + step)], dev)
        z[0, i:i + step] = model.encoder(x).half().cpu().numpy()
        if old.shape[0] == 2:
            z[1, i:i + step] = model.encoder(x.flip(3)).half().cpu().numpy()
        clock.tick()
        if clock.due():
            z.flush()
            keep_place(path, i + step, state["seen"] if state else 0)
    z.flush()
    os.replace(path + ".new", path)
    if os.path.exists(path + ".at"):
        os.remove(path + ".at")


def keep_place(path, done, seen):
    """done: pictures encoded; seen: how far the encoder was trained."""
    with open(path + ".at.new", "w") as f:
        json.dump([done, seen], f)
    os.replace(path + ".at.new", path + ".at")


def begun(path, old, n, seen):
    """(the file to be filled, how much of it is): the one that a stop left behind, where it is this encoder's, or a new one that begins
    with `old`."""
    shape = (old.shape[0], n, *old.shape[2:])
    if os.path.exists(path + ".at") and os.path.exists(path + ".new"):
        z = np.lib.format.open_memmap(path + ".new", "r+")
        with open(path + ".at") as f:
            done, by = json.load(f)
        if z.shape == shape and by == seen:
            return z, done
    z = np.lib.format.open_memmap(path + ".new", "w+", np.float16, shape)
    z[:, :old.shape[1]] = old
    return z, old.shape[1]


def latents(out, corpus):
    return os.path.join(out, corpus.replace("corpus", "latents") + ".npy")


class Data:
    """Latents on the training device, captions made on the way from the attributes; 10 % of them empty. others: also those of other
    sizes, where they are encoded; each batch is of one size, and each size comes as often as there are pictures of it."""

    def __init__(self, domain, out, dev, drop=0.1, others=()):
        self.domain, self.sets = domain, []
        for corpus in ["corpus"] + [c for c in others if os.path.exists(latents(out, c))]:
            z = torch.from_numpy(np.load(latents(out, corpus))).to(dev)
            codes = np.load(os.path.join(out, corpus, "codes.npy"))
            self.sets.append((z, codes, domain.painted(codes[:z.shape[1]])))
        many = np.array([len(pool) for _, _, pool in self.sets], np.float64)
        self.share = many / many.sum()
        self.tokens, self.dev, self.drop = vocabulary.Tokenizer(os.path.join(out, "tokenizer")), dev, drop

    def batch(self, seen, count):
        rng = np.random.default_rng([11, seen])
        all_z, codes, pool = self.sets[rng.choice(len(self.sets), p=self.share) if len(self.sets) > 1 else 0]
        which = rng.choice(pool, count)
        flip = rng.integers(all_z.shape[0], size=count)
        ids = []
        for i in which:
            text = "" if rng.random() < self.drop else self.domain.captions.caption_from_codes(codes[i], rng)[0]
            ids.append(self.tokens(text))
        z = all_z[torch.from_numpy(flip).to(self.dev), torch.from_numpy(which).to(self.dev)].float()
        if self.domain.roll:                          # a loop may begin anywhere
            shifts = rng.integers(z.shape[3] // self.domain.roll, size=count) * self.domain.roll
            columns = (np.arange(z.shape[3])[None] - shifts[:, None]) % z.shape[3]
            z = z.gather(3, torch.from_numpy(columns).to(self.dev)[:, None, None].expand_as(z))
        return z, torch.tensor(ids, device=self.dev), rng


def corpora(domain, profile):
    """The folders of the corpus in all its sizes."""
    return ["corpus"] + [f"corpus-{name}" for name in domain.others(profile)]


class Nets(torch.nn.Module):
    """The text encoder and the UNet as one module."""

    def __init__(self, profile, vocab_size, latent=None):
        super().__init__()
        self.text, self.unet = models.text_encoder(profile, vocab_size), models.unet(profile, latent)

    def forward(self, x, t, ids):
        return self.unet(x, t, self.text(ids).last_hidden_state).sample


def noised(z, t, noise, alphas):
    """(noisy latents, the velocity to predict); z: N x ..., pictures or clips."""
    a = alphas[t].view(-1, *[1] * (z.ndim - 1))
    return a.sqrt() * z + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * z


def steps_by_lot(rng, count, dev):
    """Time steps, evenly spread over each batch."""
    u = (np.arange(count) + rng.random(count)) / count
    return torch.from_numpy(np.minimum((u * models.STEPS).astype(np.int64), models.STEPS - 1)).to(dev)


def restore(out, profile, dev, stage="unet", latent=None):
    """(nets with the averaged weights of a stage's last checkpoint, that checkpoint or None)."""
    tokens = vocabulary.Tokenizer(os.path.join(out, "tokenizer"))
    nets = Nets(profile, len(tokens.vocab), latent).to(dev)
    state = common.load(os.path.join(out, stage, "last.pt"))
    if state:
        nets.load_state_dict({**nets.state_dict(), **state["average"]})
    return nets.eval(), state


def train(domain, out, samples, profile="cpu", lr=2e-3, batch=32, threads=2, sheet_every=24000, seconds=None):
    dev = common.device()
    common.setup(threads)
    folder = os.path.join(out, "unet")
    data, alphas = Data(domain, out, dev, others=corpora(domain, profile)[1:]), models.alphas_cumprod(dev)
    nets = Nets(profile, len(data.tokens.vocab)).to(dev)
    opt, avg, seen = common.Optimiser([nets], lr, adam=0.5), common.Average(nets, 0.9985), 0
    state = common.load(os.path.join(folder, "last.pt"))
    if state:
        nets.load_state_dict(state["model"])
        if state["opt"]:
            opt.load_state_dict(state["opt"])
        avg.shadow, avg.steps, seen = state["average"], state["steps"], state["seen"]
    clock = common.Clock(samples, seconds, state["spent"] if state else 0.0)
    log = common.Log(os.path.join(folder, "log.jsonl"), "unet")

    def keep():
        common.save(os.path.join(folder, "last.pt"), {"model": nets.state_dict(), "opt": opt.state_dict(), "average": avg.shadow,
                                                      "steps": avg.steps, "seen": seen, "spent": clock.spent, "profile": profile})
    drawn = seen // sheet_every
    while clock.progress(seen) < 1:
        z, ids, rng = data.batch(seen, batch)
        t = steps_by_lot(rng, batch, dev)
        noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32)).to(dev)
        x, v = noised(z, t, noise, alphas)
        with common.amp(dev):
            loss = F.mse_loss(nets(x, t, ids).float(), v)
        loss.backward()
        opt.step(common.schedule(clock.progress(seen), seen, 100 * batch))
        avg.update(nets)
        seen += batch
        log.add(batch, loss=loss.item())
        clock.tick()
        if clock.due():
            log.flush(seen)
            keep()
        if seen // sheet_every > drawn:
            drawn = seen // sheet_every
            sheet(domain, out, profile, nets, avg, os.path.join(folder, f"sheet-{seen:08d}.png"), dev)
    keep()


@torch.no_grad()
def sheet(domain, out, profile, nets, avg, path, dev, few=False):
    """What the averaged weights paint: 20 steps with guidance 3, or 4 distilled steps."""
    prompts = domain.sheet
    tokens = vocabulary.Tokenizer(os.path.join(out, "tokenizer"))
    copy = Nets(profile, len(tokens.vocab)).to(dev)
    copy.load_state_dict({**nets.state_dict(), **(avg.shadow if avg else {})})
    copy.eval()
    vae, _ = autoencoder.restore(out, 32, dev)
    ids = torch.tensor([tokens(p) for p in prompts] + [tokens("")], device=dev)
    text = copy.text(ids).last_hidden_state
    g = torch.Generator().manual_seed(1)
    noise = torch.randn((len(prompts), 4, *domain.latent(profile)), generator=g).to(dev)
    alphas = models.alphas_cumprod(dev)
    steps, scale = (4, 1.0) if few else (20, 3.0)
    z = models.ddim(copy.unet, noise, text[:-1], text[-1:], steps, scale, alphas)
    common.contact_sheet(path, vae.decoder(z).add(1).div(2).permute(0, 2, 3, 1).cpu(), 8)


def main():
    p = argparse.ArgumentParser(description="train text encoder and UNet")
    domains.add_arguments(p)
    p.add_argument("--profile", choices=list(models.SIZES), help="the kind's own when not given")
    p.add_argument("--samples", type=int, default=500000)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seconds", type=int, help="end after so much work, if that comes before --samples")
    p.add_argument("--pictures", type=int, help="use only the first so many pictures of the corpus")
    p.add_argument("--encode", action="store_true")
    a = p.parse_args()
    domain = domains.from_arguments(a)
    common.setup(a.threads)
    if not os.path.exists(os.path.join(a.out, "tokenizer", "vocab.json")):
        vocabulary.write(os.path.join(a.out, "tokenizer"), domain)
    for corpus in corpora(domain, a.profile):
        if os.path.exists(os.path.join(a.out, corpus, "done")):       # a size that is not drawn yet joins when it is
            encode(a.out, a.pictures, domain.mirror and a.profile == "gpu", corpus=corpus)
    if not a.encode:                                  # (--pictures smaller than an earlier run's changes nothing)
        train(domain, a.out, a.samples, a.profile, a.lr, a.batch, a.threads, seconds=a.seconds)


if __name__ == "__main__":
    main()
