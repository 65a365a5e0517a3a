# distil.py: distils the guided UNet into one that needs four steps and no guidance (latent consistency: the student's answer at
# one step must equal its slowly moving copy's answer one guided DDIM step later).
#   python tools/train/distil.py --kind KIND [--samples N]         goes on from OUT/fast/last.pt; the teacher is OUT/unet/last.pt
import argparse
import os

import numpy as np
import torch

import common
import diffusion
import domains
import models

GRID = 50                                             # DDIM steps of the teacher between noise and picture


def pair(teacher, z, ids, empty, rng, alphas, scale):
    """A noisy latent, its step, and the same latent one guided step of the teacher later (with that step)."""
    n, dev = len(z), z.device
    k = (np.arange(n) + rng.random(n)) / n * GRID
    stride = models.STEPS // GRID
    t = torch.from_numpy((k.astype(np.int64) + 1) * stride - 1).to(dev)
    s = t - stride
    noise = torch.from_numpy(rng.standard_normal(z.shape, dtype=np.float32)).to(dev)
    x, _ = diffusion.noised(z, t, noise, alphas)
    with torch.no_grad():
        both = torch.cat([empty.expand(n, -1, -1), ids])
        u, c = teacher(torch.cat([x, x]), torch.cat([t, t]), both).sample.float().chunk(2)
        a = alphas[t].view(-1, 1, 1, 1)
        x0, eps = models.from_v(x, u + scale * (c - u), a)
        b = torch.where(s >= 0, alphas[s.clamp_min(0)], torch.ones_like(alphas[:1])).view(-1, 1, 1, 1)
        later = b.sqrt() * x0 + (1 - b).sqrt() * eps
    return x, t, later, s, x0


def loss_of(student, target, batch, text, alphas):
    x, t, later, s, x0 = batch
    a = alphas[t].view(-1, 1, 1, 1)
    mine, _ = models.from_v(x, student(x, t, text).sample.float(), a)
    with torch.no_grad():
        b = alphas[s.clamp_min(0)].view(-1, 1, 1, 1)
        his, _ = models.from_v(later, target(later, s.clamp_min(0), text).sample.float(), b)
        his = torch.where((s >= 0).view(-1, 1, 1, 1), his, x0)
    c = 0.03
    return (((mine - his) ** 2 + c * c).sqrt() - c).mean()


def train(domain, out, samples, profile="cpu", lr=4e-4, batch=64, threads=2, scale=3.0, sheet_every=6000, seconds=None):
    dev = common.device()
    common.setup(threads)
    folder = os.path.join(out, "fast")
    data, alphas = diffusion.Data(domain, out, dev, drop=0.05), models.alphas_cumprod(dev)
    teacher, base = diffusion.restore(out, profile, dev)
    teacher.requires_grad_(False)
    nets, _ = diffusion.restore(out, profile, dev)     # the student begins as the teacher; the text encoder stays
    nets.text.requires_grad_(False)
    target, _ = diffusion.restore(out, profile, dev)
    state = common.load(os.path.join(folder, "last.pt"))
    if state and state["teacher_seen"] > base["seen"]:
        state = None
    opt, avg, seen = common.Optimiser([nets.unet], lr), common.Average(nets, 0.995), 0
    if state:
        nets.unet.load_state_dict(state["model"])
        target.unet.load_state_dict(state["target"])
        opt.load_state_dict(state["opt"])
        seen = state["seen"]
        avg.steps = state["steps"]
        avg.shadow.update({"unet." + k: v for k, v in state["average"].items()})
    clock = common.Clock(samples, seconds, state["spent"] if state else 0.0)
    log = common.Log(os.path.join(folder, "log.jsonl"), "fast")
    empty = teacher.text(torch.tensor([data.tokens("")], device=dev)).last_hidden_state.detach()

    def keep():
        common.save(os.path.join(folder, "last.pt"), {
            "model": nets.unet.state_dict(), "target": target.unet.state_dict(), "opt": opt.state_dict(), "seen": seen,
            "average": {k[5:]: v for k, v in avg.shadow.items() if k.startswith("unet.")}, "steps": avg.steps, "profile": profile,
            "teacher_seen": base["seen"], "scale": scale, "spent": clock.spent})
    drawn = seen // sheet_every
    while clock.progress(seen) < 1:
        z, ids, rng = data.batch(seen + (1 << 40), batch)
        with torch.no_grad():
            text = teacher.text(ids).last_hidden_state
        with diffusion.amp(dev):
            p = pair(teacher.unet, z, text, empty, rng, alphas, scale)
            loss = loss_of(nets.unet, target.unet, p, text, alphas)
        loss.backward()
        opt.step(common.schedule(clock.progress(seen), seen, 20 * batch))
        avg.update(nets)
        with torch.no_grad():
            torch._foreach_lerp_(list(target.unet.parameters()), list(nets.unet.parameters()), 0.05)
        seen += batch
        log.add(batch, loss=loss.item())
        clock.tick()
        if clock.due():
            log.flush(seen)
            keep()
        if seen // sheet_every > drawn:
            drawn = seen // sheet_every
            diffusion.sheet(domain, out, profile, nets, avg, os.path.join(folder, f"sheet-{seen:07d}.png"), dev, few=True)
    keep()


def main():
    p = argparse.ArgumentParser(description="distil the UNet to four steps")
    domains.add_arguments(p)
    p.add_argument("--profile", default="cpu", choices=list(models.SIZES))
    p.add_argument("--samples", type=int, default=60000)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=4e-4)
    p.add_argument("--seconds", type=int, help="end after so much work, if that comes before --samples")
    p.add_argument("--scale", type=float, default=3.0, help="guidance that is baked in")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    train(domains.from_arguments(a), a.out, a.samples, a.profile, a.lr, a.batch, a.threads, a.scale, seconds=a.seconds)


if __name__ == "__main__":
    main()
