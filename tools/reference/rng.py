"""Random numbers: torch's CPU generator (MT19937), Philox4x32-10, and the noise that CUDA's generator gives."""

from pathlib import Path

import numpy as np
import torch

from common import write_json, write_tensors

SEEDS = [0, 1, 42, 2**31, 2**63 - 1, 12345678901]
SIZES = [1, 5, 15, 16, 17, 64, 257]
LARGE = 4 * 64 * 64
CALLS = [5, 3, 17, 3, 16, 1, 1, 20, 2]

# Random123's kat_vectors, philox4x32 10: counter, key, result.
KNOWN = [
    ([0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
    ([0xffffffff] * 4, [0xffffffff] * 2, [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
    ([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0],
     [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]),
]


# ---------------------------------------------------------------------------------------------------------------------
# torch on the CPU
# ---------------------------------------------------------------------------------------------------------------------

def raw_words(seed, count):
    """MT19937's 32-bit outputs: torch keeps the low 32 bits of the seed. Checked against torch itself."""
    words = np.random.RandomState(seed & 0xffffffff).randint(0, 2**32, count, dtype=np.uint32).astype(np.int64)
    low = torch.empty(count, dtype=torch.int64).random_(0, 2**24, generator=torch.Generator("cpu").manual_seed(seed))
    assert np.array_equal(words & 0xffffff, low.numpy()), "torch does not draw the stream of init_genrand"
    return words


def torch_part(tensors, info):
    for seed in SEEDS:
        words = raw_words(seed, 1300)
        info["mt19937"].append({"seed": str(seed), "first": words[:16].tolist(), "from_616": words[616:632].tolist(),
                                "from_1240": words[1240:1256].tolist(), "xor_1300": int(np.bitwise_xor.reduce(words))})
        for size in SIZES:
            g = torch.Generator("cpu").manual_seed(seed)
            tensors[f"randn.{seed}.{size}"] = torch.randn(size, generator=g)
        big = torch.randn(LARGE, generator=torch.Generator("cpu").manual_seed(seed))
        tensors[f"randn.{seed}.{LARGE}.first32"] = big[:32]
        tensors[f"randn.{seed}.{LARGE}.last32"] = big[-32:]
        info["sums"].append({"seed": str(seed), "size": LARGE, "sum": big.double().sum().item(),
                             "sum_abs": big.double().abs().sum().item()})
    for seed in (0, 42):
        g = torch.Generator("cpu").manual_seed(seed)
        for i, size in enumerate(CALLS):
            tensors[f"calls.{seed}.{i}"] = torch.randn(size, generator=g)
    g = torch.Generator("cpu").manual_seed(42)
    info["randperm"] = {"seed": 42, "calls": [torch.randperm(n, generator=g).tolist() for n in (4, 3, 1, 16, 5)]}
    info["calls"] = {"sizes": CALLS, "seeds": [0, 42]}


# ---------------------------------------------------------------------------------------------------------------------
# Philox
# ---------------------------------------------------------------------------------------------------------------------

def philox(counter, key):
    """Philox4x32-10 on arrays: counter [4, n], key [2, n], both uint32."""
    c, k = [x.astype(np.uint64) for x in counter], [x.astype(np.uint64) for x in key]
    mask = np.uint64(0xffffffff)
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ k[0], b & mask, (a >> np.uint64(32)) ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + np.uint64(0x9E3779B9)) & mask, (k[1] + np.uint64(0xBB67AE85)) & mask]
    return np.stack(c).astype(np.uint32)


def cuda_randn(seed, offset, size):
    """torch.randn on CUDA for small tensors, as A1111's rng_philox does it: constants in float32, sums in float64."""
    counter = np.zeros((4, size), np.uint32)
    counter[0] = offset
    counter[2] = np.arange(size)
    key = np.zeros((2, size), np.uint32)
    key[0], key[1] = seed & 0xffffffff, seed >> 32
    x, y = philox(counter, key)[:2].astype(np.float64)
    scale = np.float64(np.float32(2.3283064e-10))
    turn = np.float64(np.float32(2.3283064e-10 * 6.2831855))
    u, v = x * scale + scale / 2, y * turn + turn / 2
    return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)


def philox_part(tensors, info):
    for counter, key, want in KNOWN:
        got = philox(np.array(counter, np.uint32)[:, None], np.array(key, np.uint32)[:, None])[:, 0].tolist()
        assert got == want, "Philox4x32-10 is wrong"
        info["philox4x32_10"].append({"counter": counter, "key": key, "result": want})
    published = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122, -0.32838709]
    assert np.allclose(cuda_randn(0, 0, 8), published, atol=1e-6), "not the noise that CUDA gives"
    for seed in SEEDS:
        for offset in (0, 1, 2):
            tensors[f"philox.{seed}.{offset}.64"] = cuda_randn(seed, offset, 64)


def make(root):
    tensors, info = {}, {"mt19937": [], "sums": [], "philox4x32_10": []}
    torch_part(tensors, info)
    philox_part(tensors, info)
    write_tensors(Path(root) / "rng.safetensors", tensors)
    write_json(Path(root) / "rng.json", info, indent=None)
    print("rng", len(tensors), "tensors")
