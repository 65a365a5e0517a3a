"""Formats of weights: random blocks, and what the gguf package's dequantize makes of them; 8-bit numbers by torch."""

from pathlib import Path

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

from common import write_tensors

# Where a block's halves stand: scales, and what is added.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}
ELEMENTS = 2048
# 0, -0, the smallest subnormal, -65504, the largest subnormal, -1/3, 1, 65504
EDGES = [0x0000, 0x8000, 0x0001, 0xfbff, 0x03ff, 0xb555, 0x3c00, 0x7bff]


def blocks_of(name, generator):
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    blocks = generator.integers(0, 256, (ELEMENTS // elements, size), dtype=np.uint8)
    for place, at in enumerate(HALVES[name]):
        halves = (generator.standard_normal(len(blocks)) / 16).astype(np.float16).view(np.uint16)
        edges = min(len(blocks) // 2, len(EDGES))
        halves[:edges] = np.roll(EDGES, place)[:edges]
        blocks[:, at:at + 2] = halves.reshape(-1, 1).view(np.uint8)
    return blocks


def make(out):
    generator, tensors = np.random.default_rng(18), {}
    for name in HALVES:
        blocks = blocks_of(name, generator)
        values = dequantize(blocks.reshape(1, -1), GGMLQuantizationType[name]).reshape(-1)
        tensors[name.lower() + ".blocks"] = torch.from_numpy(blocks.reshape(-1).copy())
        tensors[name.lower() + ".values"] = torch.from_numpy(values.copy())
    every = torch.arange(256, dtype=torch.uint8)
    for name, dtype in (("f8_e4m3", torch.float8_e4m3fn), ("f8_e5m2", torch.float8_e5m2)):
        tensors[name + ".blocks"] = every
        tensors[name + ".values"] = every.view(dtype).float()
    tensors["i8.blocks"] = every
    tensors["i8.values"] = every.view(torch.int8).float()
    write_tensors(Path(out) / "formats.safetensors", tensors)
    make_rounded(out)


def make_rounded(out):
    """Numbers, and the blocks that the gguf package rounds them to."""
    generator = np.random.default_rng(19)
    values = (generator.standard_normal((32, 32)) * 0.05).astype(np.float32)
    values[0] = 0
    values[1, :4] = 1, -1, 1, -1              # of +p and -p the first counts
    values[2] = values[2, 0]                  # one number alone
    values[3] = 1e-9 * values[3]              # scales that halves hold as nothing
    values[4] = np.arange(32) / 2 - 8         # halves between two steps
    values[5] = np.abs(values[5]) + 3
    values[6, 7] = 1e4
    tensors = {"values": torch.from_numpy(values.copy())}
    for name in ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"):
        tensors[name.lower()] = torch.from_numpy(quantize(values, GGMLQuantizationType[name]).copy().reshape(-1))
    write_tensors(Path(out) / "rounded.safetensors", tensors)
