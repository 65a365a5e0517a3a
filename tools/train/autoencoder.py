# autoencoder.py: trains the pack's autoencoder (diffusers' AutoencoderTiny: 4 latent channels, an eighth of the size) on crops of
# the corpus, and measures it against the closed-form PCA of 8x8 blocks to 4 numbers.
#   python tools/train/autoencoder.py --kind KIND [--samples N]    trains, goes on from OUT/ae/last.pt
#   python tools/train/autoencoder.py --kind KIND --measure        PSNR of both, by style (mood), on pictures of another seed
import argparse
import json
import os

import numpy as np
import torch
import torch.nn.functional as F

import common
import domains


def build(width, channels=3):
    from diffusers import AutoencoderTiny
    return AutoencoderTiny(in_channels=channels, out_channels=channels, encoder_block_out_channels=(width,) * 4,
                           decoder_block_out_channels=(width,) * 4, act_fn="relu", latent_channels=4, upsampling_scaling_factor=2,
                           num_encoder_blocks=(0, 1, 2, 3), num_decoder_blocks=(3, 2, 1, 0), scaling_factor=1.0)


SQUARE = 8  # pixels of a latent, each way


def crops(pictures, pool, rng, count, side, mirror=True):
    """Random crops as N x C x side x side in -1..1; mirror: half of them mirrored. They begin where a latent of the whole picture
    begins: what lies on a grid, as the squares of pixel art do, always lies the same way under the latents."""
    _, h, w, c = pictures.shape
    out = np.empty((count, side, side, c), np.uint8)
    for k, i in enumerate(rng.choice(pool, count)):
        y, x = SQUARE * rng.integers((h - side) // SQUARE + 1), SQUARE * rng.integers((w - side) // SQUARE + 1)
        part = pictures[i, y:y + side, x:x + side]
        out[k] = part[:, ::-1] if mirror and rng.random() < 0.5 else part
    return common.to_tensor(out)


def steepness(h):
    """How much heights N x H x W rise from a place to the next, down and right."""
    return ((h[:, 1:, :-1] - h[:, :-1, :-1]) ** 2 + (h[:, :-1, 1:] - h[:, :-1, :-1]) ** 2 + 1e-6).sqrt()


def slopes_error(y, x):
    """Of heights: how far each rise is from what it shall be, and how far the steepness of squares of 16 is from it. The mean of what might be
    is flatter than any of it; the second lets a decoder make ground that is as rough as it was, where it cannot know each bump."""
    d = y - x
    each = (d[:, 1:] - d[:, :-1]).abs().mean() + (d[:, :, 1:] - d[:, :, :-1]).abs().mean()
    rough = (F.avg_pool2d(steepness(y)[:, None], 16, 8) - F.avg_pool2d(steepness(x)[:, None], 16, 8)).abs().mean()
    return each, rough


def loss_of(model, x, tall=None):
    """Squared error, a little absolute error and gradients' error; latents held at mean 0 and deviation 1, with a little noise
    on them so that the decoder forgives a UNet's small mistakes. tall: the channel that is a height, if one is."""
    with common.amp(x.device):
        z = model.encoder(x)
    z = z.float()
    mean, var = z.mean((0, 2, 3)), z.var((0, 2, 3))
    norm = mean.pow(2).mean() + (var.add(1e-4).sqrt() - 1).pow(2).mean()
    with common.amp(x.device):
        y = model.decoder(z + 0.04 * torch.randn_like(z))
    d = y.float() - x
    sq = d.pow(2).mean()
    grad = (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
    loss = sq + 0.05 * d.abs().mean() + 0.05 * grad + 0.02 * norm
    if tall is not None:
        each, rough = slopes_error(y[:, tall].float(), x[:, tall])
        loss = loss + 0.1 * each + 0.5 * rough
    return loss, sq


def psnr(sq):
    """Of a mean squared error in -1..1."""
    return 10 * np.log10(4 / sq)


@torch.no_grad()
def measure_model(model, pictures, dev):
    """Mean squared error of each picture (in -1..1)."""
    out, step = [], common.at_once(pictures, 50)
    for i in range(0, len(pictures), step):
        x = common.to_tensor(pictures[i:i + step], dev)
        y = model.decoder(model.encoder(x)).clamp(-1, 1)
        out.append((y - x).pow(2).mean((1, 2, 3)).cpu().numpy())
    return np.concatenate(out)


def blocks(pictures):
    n, h, w, c = pictures.shape
    x = pictures.reshape(n, h // 8, 8, w // 8, 8, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, -1, 64 * c).astype(np.float32) / 127.5 - 1


def measure_pca(train, test):
    """The line to beat: the four best directions of 8x8 blocks, fitted on training pictures."""
    b = blocks(train)
    b = b.reshape(-1, b.shape[-1])
    mean = b.mean(0)
    _, vec = np.linalg.eigh(np.cov((b - mean).T))
    base = vec[:, -4:].astype(np.float32)
    out = []
    for i in range(0, len(test), 100):
        t = blocks(test[i:i + 100]) - mean
        out.append(((t - t @ base @ base.T) ** 2).mean((1, 2)))
    return np.concatenate(out)


def measure(domain, model, corpus, test, dev, limit=2000):
    """PSNR table: group -> (PCA, autoencoder), mean squared error first, as PSNR over a set is defined."""
    pics = np.load(os.path.join(test, "pictures.npy"), mmap_mode="r")[:limit]
    codes = np.load(os.path.join(test, "codes.npy"))[:limit]
    train = np.load(os.path.join(corpus, "pictures.npy"), mmap_mode="r")
    train = train[:common.at_once(train, 1500)]
    a, b = measure_pca(np.asarray(train), np.asarray(pics)), measure_model(model, pics, dev)
    table = {"all": (psnr(a.mean()), psnr(b.mean()))}
    for name, on in domain.groups(codes).items():
        table[name] = (psnr(a[on].mean()), psnr(b[on].mean()))
    return {k: (round(float(p), 2), round(float(q), 2)) for k, (p, q) in table.items()}


def restore(out, width, dev):
    """The averaged model of the last checkpoint."""
    state = common.load(os.path.join(out, "ae", "last.pt"))
    model = (build(state["width"], state.get("channels", 3)) if state else build(width)).to(dev)
    if state:
        model.load_state_dict({**model.state_dict(), **state["average"]})
    return model.eval(), state


def train(domain, out, samples, width=32, lr=1.5e-3, batch=16, side=64, threads=2, sheet_every=10000, freeze=False, seconds=None):
    dev = common.device()
    common.setup(threads)
    folder = os.path.join(out, "ae")
    pictures = np.load(os.path.join(out, "corpus", "pictures.npy"), mmap_mode="r")
    pool = domain.pool(np.load(os.path.join(out, "corpus", "codes.npy")))
    state = common.load(os.path.join(folder, "last.pt"))
    width, channels = state["width"] if state else width, pictures.shape[-1] if pictures.shape[-1] > 1 else 3
    model = build(width, channels).to(dev, memory_format=torch.channels_last)
    opt, avg, seen = common.Optimiser([model], lr), common.Average(model, 0.999), 0
    if state:
        model.load_state_dict(state["model"])
        if state["opt"]:
            opt.load_state_dict(state["opt"])
        avg.shadow, avg.steps, seen = state["average"], state["steps"], state["seen"]
    clock = common.Clock(samples, seconds, state["spent"] if state and "spent" in state else 0.0)
    if freeze:                                        # latents already in use, made by the averaged encoder: only the decoder may gain
        model.load_state_dict({**model.state_dict(), **{k: v for k, v in avg.shadow.items() if k.startswith("encoder.")}})
    model.encoder.requires_grad_(not freeze)
    log = common.Log(os.path.join(folder, "log.jsonl"), "ae")

    def keep():
        common.save(os.path.join(folder, "last.pt"), {"model": model.state_dict(), "opt": opt.state_dict(), "average": avg.shadow,
                                                      "steps": avg.steps, "seen": seen, "spent": clock.spent, "width": width, "channels": channels})
    while clock.progress(seen) < 1:
        rng = np.random.default_rng([7, seen])
        x = crops(pictures, pool, rng, batch, side, domain.mirror).to(dev).contiguous(memory_format=torch.channels_last)
        loss, sq = loss_of(model, x, domain.tall)
        loss.backward()
        opt.step(common.schedule(clock.progress(seen), seen, 2000))
        avg.update(model)
        seen += batch
        log.add(batch, loss=loss.item(), sq=sq.item())
        clock.tick()
        if clock.due():
            log.flush(seen, psnr=round(psnr(log.sums["sq"] / log.n), 2))
            keep()
        if seen % sheet_every < batch:
            sheet(model, avg, width, pictures, os.path.join(folder, f"sheet-{seen:07d}.png"), dev)
    keep()


@torch.no_grad()
def sheet(model, avg, width, pictures, path, dev):
    x = common.to_tensor(pictures[:12], dev)
    copy = build(width, x.shape[1]).to(dev)
    copy.load_state_dict({**model.state_dict(), **avg.shadow})
    y = copy.decoder(copy.encoder(x))
    both = torch.stack([x, y], 1).flatten(0, 1).add(1).div(2).permute(0, 2, 3, 1).cpu()
    common.contact_sheet(path, both, 8)


def main():
    p = argparse.ArgumentParser(description="train or measure the autoencoder")
    domains.add_arguments(p)
    p.add_argument("--samples", type=int, default=120000)
    p.add_argument("--width", type=int, default=32)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--side", type=int, default=64)
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seconds", type=int, help="end after so much work, if that comes before --samples")
    p.add_argument("--freeze", action="store_true", help="train the decoder only: the latents stay as they are")
    p.add_argument("--measure", action="store_true")
    p.add_argument("--pictures", type=int, default=2000, help="how many are measured")
    a = p.parse_args()
    domain = domains.from_arguments(a)
    if a.measure:
        common.setup(a.threads)
        dev = common.device()
        model, state = restore(a.out, a.width, dev)
        table = measure(domain, model, os.path.join(a.out, "corpus"), os.path.join(a.out, "corpus-test"), dev, a.pictures)
        print(json.dumps({"seen": state["seen"] if state else 0, "psnr_pca_ae": table}, indent=1))
    else:
        train(domain, a.out, a.samples, a.width, a.lr, a.batch, a.side, a.threads, freeze=a.freeze, seconds=a.seconds)


if __name__ == "__main__":
    main()
