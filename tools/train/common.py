# common.py: what every training stage shares: checkpoints that survive a kill at any moment, the optimiser (Muon for matrices,
# AdamW for the rest), learning-rate schedule, running average of the weights, contact sheets and a log of losses.
import json
import os
import sys
import time

import numpy as np

# Threads that spin while they wait are ruinous beside other work (measured: 1.6 pictures a second instead of 20).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def device():
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def setup(threads):
    torch.manual_seed(0)
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    else:
        torch.set_num_threads(threads)
        # The fused kernel is slower than its parts for the short sequences here, and in bfloat16 slower than in float32.
        torch.backends.cuda.enable_flash_sdp(False)


def amp(dev):
    """Matrices in bfloat16 where the device has instructions for it; elsewhere on a CPU it is 10 times slower than float32."""
    return torch.autocast(dev.type, dtype=torch.bfloat16, enabled=dev.type == "cuda" or torch.cpu._is_avx512_bf16_supported())


class Team:
    """The processes that torchrun started for one training, or this one alone. On a CPU two of one thread each do more than one of
    two threads. All see batches of their own and make the same step, by the mean of their gradients."""

    def __init__(self):
        self.size, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        if self.size > 1:
            torch.distributed.init_process_group("gloo")

    def wait(self):
        if self.size > 1:
            torch.distributed.barrier()

    def mean(self, values):
        """Of a tensor; every process gets the same."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
            values /= self.size
        return values

    def share_gradients(self, params):
        if self.size > 1:
            flat = self.mean(torch.cat([p.grad.reshape(-1) for p in params]))
            for p, g in zip(params, flat.split([p.numel() for p in params])):
                p.grad.copy_(g.view_as(p))


def save(path, state):
    """Writes a checkpoint beside `path`, then renames: a kill leaves the old one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save(state, path + ".new")
    os.replace(path + ".new", path)


def load(path):
    return torch.load(path, map_location=device(), weights_only=False) if os.path.exists(path) else None


def orthogonal(g, steps=5):
    """Newton-Schulz: a batch of matrices with all singular values pulled to about 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    turned = g.shape[-2] > g.shape[-1]
    x = g.mT if turned else g
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if turned else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for weights of two or more dimensions; update size as AdamW's. Equal shapes go as one batch."""

    def __init__(self, params, lr=1e-3, momentum=0.95, weight_decay=0.01):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault((p.shape[0], p.numel() // p.shape[0]), []).append(p)
            for (rows, cols), ps in shapes.items():
                for p in ps:
                    buf = self.state[p].setdefault("m", torch.zeros(rows, cols, device=p.device))
                    buf.mul_(group["momentum"]).add_(p.grad.reshape(rows, cols))
                g = torch.stack([p.grad.reshape(rows, cols) + group["momentum"] * self.state[p]["m"] for p in ps])
                with amp(g.device):
                    u = orthogonal(g).float() * (0.2 * max(rows, cols) ** 0.5)
                for p, d in zip(ps, u):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(d.reshape(p.shape), alpha=-group["lr"])


class Optimiser:
    """Muon on hidden matrices, AdamW on biases, norms, embeddings and layers named in `adam_names`."""

    def __init__(self, modules, lr, adam=1.0, adam_names=("embedding", "embed_positions")):
        matrices, rest = [], []
        for m in modules:
            for name, p in m.named_parameters():
                big = p.ndim >= 2 and min(p.shape[0], p.numel() // p.shape[0]) >= 8
                (matrices if big and not any(k in name for k in adam_names) else rest).append(p)
        self.rates = (lr, lr * adam)
        self.parts = [Muon(matrices, lr), torch.optim.AdamW(rest, lr * adam, betas=(0.9, 0.98), weight_decay=0.0)]
        self.params = matrices + rest

    def step(self, factor, clip=1.0):
        for o, rate in zip(self.parts, self.rates):
            for g in o.param_groups:
                g["lr"] = rate * factor
        torch.nn.utils.clip_grad_norm_(self.params, clip)
        for o in self.parts:
            o.step()
            o.zero_grad(set_to_none=True)

    def state_dict(self):
        return [o.state_dict() for o in self.parts]

    def load_state_dict(self, states):
        for o, s in zip(self.parts, states):
            o.load_state_dict(s)


class Clock:
    """How far a stage is (0 to 1), by samples or by seconds of work, whichever is further; and when to keep a checkpoint."""

    def __init__(self, samples, seconds=None, spent=0.0, every=45.0):
        self.samples, self.seconds, self.spent, self.every = samples, seconds, spent, every
        self.last = self.kept = time.time()

    def tick(self):
        now = time.time()
        self.spent += min(now - self.last, 10.0)      # a process that was stopped for a while has not worked
        self.last = now

    def progress(self, seen):
        return max(seen / self.samples, self.spent / self.seconds if self.seconds else 0.0)

    def due(self):
        """True every so many seconds: time for a log line and a checkpoint."""
        if self.last - self.kept < self.every:
            return False
        self.kept = self.last
        return True


def schedule(progress, seen, warm, tail=0.3):
    """Warm-up, a plateau, then linearly down to a fiftieth over the last `tail` of the way."""
    return min(1.0, (seen + 64) / warm, max(0.02, (1 - progress) / tail))


class Average:
    """A running average of the weights, quick at first, slow later."""

    def __init__(self, module, decay):
        self.decay, self.steps = decay, 0
        self.shadow = {k: v.detach().clone().float() for k, v in module.state_dict().items() if v.is_floating_point()}

    @torch.no_grad()
    def update(self, module):
        self.steps += 1
        d = min(self.decay, (1 + self.steps) / (10 + self.steps))
        state = module.state_dict()
        keys = list(self.shadow)
        torch._foreach_lerp_([self.shadow[k] for k in keys], [state[k].float() for k in keys], 1 - d)

    def copy_to(self, module):
        module.load_state_dict({**module.state_dict(), **self.shadow})


def contact_sheet(path, pictures, columns):
    """pictures: N x H x W x C in 0..1 (or uint8); a fourth channel stands as grey beside its picture."""
    from PIL import Image
    if not isinstance(pictures, np.ndarray):
        pictures = pictures.numpy()
    if pictures.dtype != np.uint8:
        pictures = (pictures.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    if pictures.shape[-1] == 4:
        pictures = np.concatenate([pictures[..., :3], pictures[..., 3:].repeat(3, -1)], 2)
    n, h, w, _ = pictures.shape
    rows = (n + columns - 1) // columns
    out = np.full((rows * (h + 2), columns * (w + 2), 3), 40, np.uint8)
    for i, p in enumerate(pictures):
        y, x = i // columns * (h + 2), i % columns * (w + 2)
        out[y:y + h, x:x + w] = p
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(out).save(path)


def at_once(pictures, count=100):
    """How many of them go through a network together: `count` of 128x128, fewer of larger ones, as memory asks."""
    return max(1, count * 128 * 128 // (pictures.shape[1] * pictures.shape[2]))


def save_clips(path, clips, fps=8):
    """Clips beside each other as one animated WebP."""
    from PIL import Image
    frames = [Image.fromarray((np.concatenate(list(f), 1) * 255 + 0.5).astype(np.uint8)) for f in clips.transpose(1, 0, 2, 3, 4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=1000 // fps, loop=0, quality=80)


def to_tensor(pictures, dev="cpu"):
    """N x H x W x C bytes as N x C x H x W in -1..1; grey ones (C = 1) have three equal channels."""
    x = torch.from_numpy(np.array(pictures)).to(dev).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return x if x.shape[1] > 1 else x.expand(-1, 3, -1, -1).contiguous()


class Log:
    """Running means on the terminal and as JSON lines in the stage's folder."""

    def __init__(self, path, name):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.file, self.name, self.sums, self.n = open(path, "a"), name, {}, 0
        self.at, self.samples = time.time(), 0

    def add(self, samples, **values):
        self.n += 1
        self.samples += samples
        for k, v in values.items():
            self.sums[k] = self.sums.get(k, 0.0) + float(v)

    def flush(self, seen, **more):
        row = {"seen": seen, **{k: round(v / max(1, self.n), 5) for k, v in self.sums.items()},
               "per_s": round(self.samples / (time.time() - self.at), 1), **more}
        print(self.name, json.dumps(row), flush=True)
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()
        self.sums, self.n, self.at, self.samples = {}, 0, time.time(), 0
