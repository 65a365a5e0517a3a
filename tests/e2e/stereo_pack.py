"""A tiny pack that makes music in two channels, of one that makes it in one."""
import json, shutil, struct

from lib import PACKS
from world_pack import safetensors, tensors

# As ink-music is to become, with a picture a quarter as wide and fewer bands.
LAYOUT = {"sample_rate": 32000, "hop_length": 640, "win_length": 2048, "n_fft": 2048, "n_mels": 80, "f_min": 30, "f_max": 15500, "power": 0.35,
          "loud": "white", "stereo": True, "red": "both", "phases": "together", "window_columns": 64, "overlap_columns": 32}
RATE, HOP = LAYOUT["sample_rate"], LAYOUT["hop_length"]


def stereo_tiny(at, **layout):
    """sound-tiny in stereo; the right channel (blue) is mostly the left one (green), as in music, and darker."""
    shutil.copytree(PACKS / "sound-tiny", at)
    manifest = json.loads((at / "sumi.json").read_text())
    manifest["name"] = at.name
    manifest["defaults"].update(width=LAYOUT["window_columns"], height=LAYOUT["n_mels"])
    manifest["spectrogram"].update({**LAYOUT, **layout})
    (at / "sumi.json").write_text(json.dumps(manifest))
    weights = at / "vae/diffusion_pytorch_model.safetensors"
    rows = tensors(weights.read_bytes())
    for name in ("decoder.layers.18.weight", "decoder.layers.18.bias"):
        row, part = rows[name]
        one = len(part) // 3
        red, green, _ = (struct.unpack(f"<{one // 2}e", part[k * one:(k + 1) * one]) for k in range(3))
        blue = struct.pack(f"<{one // 2}e", *(0.45 * g + 0.2 * r for r, g in zip(red, green)))
        rows[name] = row, part[:2 * one] + blue
    weights.write_bytes(safetensors(rows))
