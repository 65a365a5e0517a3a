"""The part `files`: files of tensors that other packages wrote, and the numbers that these packages read from them."""

import collections
from pathlib import Path

import common
import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q

# No package writes these in Python: blocks of random bytes whose scales (halves at these places) are tame.
SCALES = {Q.Q2_K: (80, 82), Q.Q3_K: (108,), Q.Q4_K: (0, 2), Q.Q5_K: (0, 2), Q.Q6_K: (208,), Q.IQ4_XS: (0,),
          Q.IQ4_NL: (0,)}
WRITTEN = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0]


def blocks(kind, rng):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (2, 256 // elements, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scales = (rng.standard_normal((2, 256 // elements)) / 50).astype(np.float16)
        data[:, :, at:at + 2] = scales[..., None].view(np.uint8)
    return data.reshape(2, -1)


def make_gguf(out):
    rng = np.random.default_rng(11)
    writer = gguf.GGUFWriter(Path(out) / "files.gguf", "sd")
    writer.add_array("comfy.gguf.orig_shape.conv.weight", [8, 4, 4, 4])
    writer.add_array("tokenizer.ggml.tokens", ["a", "ring", ""])
    want = {}
    values = rng.standard_normal((2, 256)).astype(np.float32)
    for kind in WRITTEN:
        data = gguf.quants.quantize(values, kind)
        writer.add_tensor(f"{kind.name}.weight", data, raw_dtype=kind)
        want[f"{kind.name}.weight"] = gguf.quants.dequantize(data, kind)
    for kind in SCALES:
        data = blocks(kind, rng)
        writer.add_tensor(f"{kind.name}.weight", data, raw_dtype=kind)
        want[f"{kind.name}.weight"] = gguf.quants.dequantize(data, kind)
    conv = gguf.quants.quantize(values, Q.Q8_0)
    writer.add_tensor("conv.weight", conv, raw_dtype=Q.Q8_0)
    want["conv.weight"] = gguf.quants.dequantize(conv, Q.Q8_0).reshape(8, 4, 4, 4)
    for name, data in (("F32.bias", values[0, :9]), ("F16.bias", values[0, :9].astype(np.float16))):
        writer.add_tensor(name, data)
        want[name] = data.astype(np.float32)
    bf16 = torch.from_numpy(values[0, :9].copy()).bfloat16()
    writer.add_tensor("BF16.bias", bf16.view(torch.uint8).numpy(), raw_dtype=Q.BF16)
    want["BF16.bias"] = bf16.float().numpy()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in want.items()}


def make_torch(out):
    """A checkpoint as trainers write it, in both forms of torch.save(). The older one holds addresses: each run writes other
    bytes."""
    torch.manual_seed(5)
    base = torch.randn(4, 6)
    tensors = collections.OrderedDict(
        whole=base, turned=base.t(), cut=base[1:3, 2:4], half=torch.randn(3, 5).half(), brain=torch.randn(7).bfloat16(),
        double=torch.randn(3).double(), number=torch.tensor(3.5), parameter=torch.nn.Parameter(torch.randn(2, 2)))
    wrapped = {"epoch": 3, "state_dict": tensors, "rate": 1e-4, "callbacks": {"a": [None, True]}}
    torch.save(wrapped, Path(out) / "archive.ckpt")
    torch.save(wrapped, Path(out) / "archive-2019.ckpt", _use_new_zipfile_serialization=False)
    return {"archive." + name: value.detach().float().contiguous() for name, value in tensors.items()}


def make(out):
    want = make_gguf(out) | make_torch(out)
    common.write_tensors(Path(out) / "files.safetensors", want)
