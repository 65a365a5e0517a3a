"""Shared by all reference generators: fixed seeds, healthy random weights, files written the same way each time."""

import hashlib
import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import numpy as np
import torch
from safetensors.torch import save_file

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


# ---------------------------------------------------------------------------------------------------------------------
# Determinism
# ---------------------------------------------------------------------------------------------------------------------

def setup():
    """One thread and deterministic kernels: the same machine writes the same bytes again."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_grad_enabled(False)
    import diffusers
    import transformers
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def generator(*parts):
    """A torch generator seeded from any names and numbers."""
    digest = hashlib.sha256("/".join(str(p) for p in parts).encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:7], "little"))


# ---------------------------------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------------------------------

NORMS = (torch.nn.GroupNorm, torch.nn.LayerNorm)


def healthy(model, seed):
    """Random weights with which activations neither vanish nor explode, and nothing is left at zero or one."""
    for module_name, module in model.named_modules():
        for name, p in module.named_parameters(recurse=False):
            g = generator(seed, module_name, name)
            noise = torch.randn(p.shape, generator=g)
            if isinstance(module, NORMS):
                value = 1.0 + 0.1 * noise if name == "weight" else 0.1 * noise
            elif isinstance(module, torch.nn.Embedding):
                value = noise
            elif p.dim() >= 2:
                value = noise / (p[0].numel() ** 0.5)
            else:
                value = 0.1 * noise
            p.copy_(value)
    return model.eval()


def state(model, dtype):
    """The weights as they go into a file."""
    return {k: v.detach().to(DTYPES[dtype]).contiguous().clone() for k, v in model.state_dict().items()}


# ---------------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------------

def write_json(path, value, indent=2):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tensors(path, tensors):
    """A safetensors file; only one metadata key, because the order of several is not fixed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    out = {}
    for name, t in tensors.items():
        if isinstance(t, np.ndarray):
            t = torch.from_numpy(np.ascontiguousarray(t))
        out[name] = t.detach().clone().contiguous()
    save_file(out, str(path), metadata={"format": "pt"})
    path.chmod(0o644)


def write_ppm(path, rgb):
    """A binary PPM (P6) of a uint8 array [height, width, 3]."""
    height, width, _ = rgb.shape
    Path(path).write_bytes(b"P6\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(rgb, np.uint8).tobytes())


def f32(values):
    """Any list of numbers as a float32 tensor (token ids and timesteps are exact in float32)."""
    return torch.as_tensor(values).to(torch.float32)
