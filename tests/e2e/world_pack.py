"""A tiny pack that makes landscapes, of a tiny one that makes pictures."""
import json, shutil, struct

from lib import PACKS

SIDE = 128  # of world-tiny's own pictures


def tensors(data):
    """{name: (row, bytes)} of a safetensors file."""
    size, = struct.unpack("<Q", data[:8])
    return {n: (row, data[8 + size + row["data_offsets"][0]:8 + size + row["data_offsets"][1]])
            for n, row in json.loads(data[8:8 + size]).items() if n != "__metadata__"}


def safetensors(rows):
    header, at = {}, 0
    for name, (row, part) in rows.items():
        header[name] = {**row, "data_offsets": [at, at + len(part)]}
        at += len(part)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(part for _, part in rows.values())


def world_tiny(at):
    """taesd-tiny with a fourth channel of pixels, the height: the red one once more, upside down."""
    shutil.copytree(PACKS / "taesd-tiny", at)
    (at / "sumi.json").write_text(json.dumps({"modality": "world", "world": {"relief": 0.25, "sea_level": 0.5}}))
    for part, fields in (("vae", {"in_channels": 4, "out_channels": 4}), ("unet", {"sample_size": SIDE // 8})):
        config = at / part / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
    weights = at / "vae/diffusion_pytorch_model.safetensors"
    rows = tensors(weights.read_bytes())
    row, part = rows[(first := "encoder.layers.0.weight")]
    out, one = row["shape"][0], len(part) // row["shape"][0]
    rows[first] = ({**row, "shape": [out, 4, 3, 3]}, b"".join(part[i * one:(i + 1) * one] + bytes(one // 3) for i in range(out)))
    for name in ("decoder.layers.18.weight", "decoder.layers.18.bias"):
        row, part = rows[name]
        one = len(part) // 3
        red = struct.unpack(f"<{one // 2}e", part[:one])
        upside = struct.pack(f"<{one // 2}e", *(-v if name.endswith("weight") else 1 - v for v in red))
        rows[name] = ({**row, "shape": [4, *row["shape"][1:]]}, part + upside)
    weights.write_bytes(safetensors(rows))
