# distil.py: distils the guided UNet into one that needs four steps and no guidance. The teacher paints from pure noise in small guided
# DDIM steps; the student learns to leap from each quarter of that path to the next, where DDIM in four steps will stand
# (progressive distillation, arXiv:2202.00512, in one stage and on the teacher's own paths).
#   python tools/train/distil.py --kind KIND [--samples N]         goes on from OUT/fast/last.pt; the teacher is OUT/unet/last.pt
#   python tools/train/distil.py --kind KIND --begin models/ink    the first student is the pack's unet_fast instead of the teacher
# Paths are kept in OUT/fast/paths: making them takes a third of the time, and each is shown several times.
import argparse
import glob
import os

import numpy as np
import torch

import common
import diffusion
import domains
import models

LEAPS, WITHIN = 4, 3                                  # the student's steps, and the teacher's steps in each of them
ROUND = 16                                            # batches of the student for each batch of paths
FIRST = 16                                            # batches of paths before the student begins


def levels(alphas):
    """Where the leaps begin: time steps, and alphas_cumprod there and at the end of each leap (the last ends at the picture)."""
    t = torch.linspace(models.STEPS, 0, LEAPS + 1).round().long()[:-1] - 1
    a = alphas[t.to(alphas.device)]
    return t, a, torch.cat([a[1:], torch.ones_like(a[:1])])


@torch.no_grad()
def paths(teacher, noise, text, empty, scale, alphas):
    """Where guided DDIM stands at the beginning of each leap and at the end, [leaps + 1, n, 4, h, w]."""
    stops = [noise]
    models.ddim(teacher, noise, text, empty, LEAPS * WITHIN, scale, alphas,
                each=lambda i, x: stops.append(x) if i % WITHIN == 0 else None)
    return torch.stack(stops)


class Pool:
    """The paths made so far with their tokens, in memory and in files of one batch each."""

    def __init__(self, folder, dev):
        self.folder, self.dev, self.parts = folder, dev, 0
        os.makedirs(folder, exist_ok=True)
        self.at, self.ids = [], []
        for name in sorted(glob.glob(os.path.join(folder, "*.npz"))):
            with np.load(name) as f:
                self.take(f["paths"], f["ids"])

    def take(self, made, ids):
        self.at.extend(made.swapaxes(0, 1))
        self.ids.extend(ids)
        self.parts += 1

    def add(self, made, ids):
        """made: [leaps + 1, n, 4, h, w] in half precision; ids: [n, tokens]."""
        name = os.path.join(self.folder, f"{self.parts:06d}.npz")
        with open(name + ".new", "wb") as f:
            np.savez(f, paths=made, ids=ids)
        os.replace(name + ".new", name)
        self.take(made, ids)

    def batch(self, rng, count):
        """(where leaps begin, where they end, which leap each is, tokens)"""
        which, leap = rng.integers(len(self.at), size=count), np.arange(count) % LEAPS
        x, y = (torch.from_numpy(np.stack([self.at[i][k + d] for i, k in zip(which, leap)])).to(self.dev).float() for d in (0, 1))
        ids = torch.from_numpy(np.stack([self.ids[i] for i in which])).to(self.dev)
        return x, y, torch.from_numpy(leap).to(self.dev), ids


def loss_of(student, x, y, leap, text, t, a, b):
    """Between the picture that the student sees from x and the one that leads DDIM from x to y (pseudo-Huber)."""
    a, b = (v[leap].view(-1, 1, 1, 1) for v in (a, b))
    kept = ((1 - b) / (1 - a)).sqrt()                 # DDIM: y = kept * x + (sqrt(b) - kept * sqrt(a)) * picture
    wanted = (y - kept * x) / (b.sqrt() - kept * a.sqrt())
    mine, _ = models.from_v(x, student(x, t[leap], text).sample.float(), a)
    c = 0.03
    return (((mine - wanted) ** 2 + c * c).sqrt() - c).mean()


def train(domain, out, samples, profile="cpu", lr=4e-4, batch=64, threads=2, scale=3.0, sheet_every=6000, seconds=None, begin=None):
    dev = common.device()
    common.setup(threads)
    folder = os.path.join(out, "fast")
    data, alphas = diffusion.Data(domain, out, dev, drop=0.05), models.alphas_cumprod(dev)
    teacher, base = diffusion.restore(out, profile, dev)
    teacher.requires_grad_(False)
    nets, _ = diffusion.restore(out, profile, dev)     # the student begins as the teacher; the text encoder stays
    nets.text.requires_grad_(False)
    state = common.load(os.path.join(folder, "last.pt"))
    if state and state["teacher_seen"] > base["seen"]:
        state = None
    if begin and not state:
        from safetensors.torch import load_file
        w = load_file(os.path.join(begin, "unet_fast", "diffusion_pytorch_model.safetensors"))
        nets.unet.load_state_dict({k: v.float() for k, v in w.items()})
    opt, avg, seen = common.Optimiser([nets.unet], lr), common.Average(nets, 0.998), 0
    if state:
        nets.unet.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        seen = state["seen"]
        avg.steps = state["steps"]
        avg.shadow.update({"unet." + k: v for k, v in state["average"].items()})
    clock = common.Clock(samples, seconds, state["spent"] if state else 0.0)
    log = common.Log(os.path.join(folder, "log.jsonl"), "fast")
    empty = teacher.text(torch.tensor([data.tokens("")], device=dev)).last_hidden_state.detach()
    pool, (t, a, b) = Pool(os.path.join(folder, "paths"), dev), levels(alphas)
    t = t.to(dev)

    def keep():
        common.save(os.path.join(folder, "last.pt"), {
            "model": nets.unet.state_dict(), "opt": opt.state_dict(), "seen": seen,
            "average": {k[5:]: v for k, v in avg.shadow.items() if k.startswith("unet.")}, "steps": avg.steps, "profile": profile,
            "teacher_seen": base["seen"], "scale": scale, "spent": clock.spent})

    def more_paths():
        z, ids, rng = data.batch((pool.parts << 20) + (1 << 40), batch)
        noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32)).to(dev)
        with torch.no_grad(), common.amp(dev):
            made = paths(teacher.unet, noise, teacher.text(ids).last_hidden_state, empty, scale, alphas)
        pool.add(made.half().cpu().numpy(), ids.cpu().numpy())
        clock.tick()

    while pool.parts < FIRST and clock.progress(seen) < 1:
        more_paths()
    drawn = seen // sheet_every
    while clock.progress(seen) < 1:
        # The first paths are shown more often; what is learned last, at a falling rate, is learned from all of them.
        if pool.parts < FIRST + seen // (batch * ROUND):
            more_paths()
        x, y, leap, ids = pool.batch(np.random.default_rng([29, seen]), batch)
        with torch.no_grad():
            text = teacher.text(ids).last_hidden_state
        with common.amp(dev):
            loss = loss_of(nets.unet, x, y, leap, text, t, a, b)
        loss.backward()
        opt.step(common.schedule(clock.progress(seen), seen, 20 * batch, tail=0.5))
        avg.update(nets)
        seen += batch
        log.add(batch, loss=loss.item())
        clock.tick()
        if clock.due():
            log.flush(seen, paths=len(pool.at))
            keep()
        if seen // sheet_every > drawn:
            drawn = seen // sheet_every
            diffusion.sheet(domain, out, profile, nets, avg, os.path.join(folder, f"sheet-{seen:07d}.png"), dev, few=True)
    keep()


def main():
    p = argparse.ArgumentParser(description="distil the UNet to four steps")
    domains.add_arguments(p)
    p.add_argument("--profile", choices=list(models.SIZES), help="the kind's own when not given")
    p.add_argument("--samples", type=int, default=60000)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=4e-4)
    p.add_argument("--seconds", type=int, help="end after so much work, if that comes before --samples")
    p.add_argument("--scale", type=float, default=3.0, help="guidance that is baked in")
    p.add_argument("--begin", help="pack whose unet_fast is the first student")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    train(domains.from_arguments(a), a.out, a.samples, a.profile, a.lr, a.batch, a.threads, a.scale, seconds=a.seconds, begin=a.begin)


if __name__ == "__main__":
    main()
