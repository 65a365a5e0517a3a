#!/usr/bin/env python3
"""Writes a full-size pack with random weights in the diffusers layout, for benches and memory tests.

    python3 tools/random_pack.py --arch sd15|sd21|sdxl [--dtype f16|bf16|f32] [--seed N]
                                 [--motion] [--audio] [--share PACK] OUT

--motion adds AnimateDiff's modules (sd15), --audio makes the pack one of sound, as Riffusion is; with --share the
models are links to those of another pack.

Shapes come from diffusers and transformers (on the meta device); the numbers are drawn and written in pieces, so that
memory stays at a few hundred MiB whatever the model. The tokenizer has a small vocabulary; its marks have the usual
ids 49406 and 49407. Weights are scaled so that activations stay healthy in half precision.
"""

import argparse
import json
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "reference"))

import numpy as np

from common import NORMS, write_json
from vocab import write_tokenizer

PIECE = 1 << 22
WIDTH = {"f32": 4, "f16": 2, "bf16": 2}

# ---------------------------------------------------------------------------------------------------------------------
# The architectures
# ---------------------------------------------------------------------------------------------------------------------

UNET = {
    "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.22.0", "act_fn": "silu",
    "center_input_sample": False,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3, "downsample_padding": 1, "flip_sin_to_cos": True,
    "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-05,
    "norm_num_groups": 32, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "attention_head_dim": 8,
    "cross_attention_dim": 768, "sample_size": 64,
}
VAE = {
    "_class_name": "AutoencoderKL", "_diffusers_version": "0.22.0", "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3,
    "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3, "sample_size": 512,
    "scaling_factor": 0.18215, "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TEXT = {
    "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 2,
    "hidden_act": "quick_gelu", "hidden_size": 768, "initializer_factor": 1.0, "initializer_range": 0.02,
    "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
    "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768, "vocab_size": 49408,
}
SCHEDULER = {
    "_class_name": "PNDMScheduler", "_diffusers_version": "0.22.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False,
    "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None,
}
MOTION = {
    "_class_name": "MotionAdapter", "_diffusers_version": "0.22.0", "block_out_channels": [320, 640, 1280, 1280],
    "motion_layers_per_block": 2, "motion_max_seq_length": 32, "motion_mid_block_layers_per_block": 1,
    "motion_norm_num_groups": 32, "motion_num_attention_heads": 8, "use_motion_mid_block": True,
}
WIDE_TEXT = {**TEXT, "hidden_act": "gelu", "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16,
             "num_hidden_layers": 23, "projection_dim": 512}
BIG_TEXT = {**WIDE_TEXT, "architectures": ["CLIPTextModelWithProjection"], "hidden_size": 1280, "num_hidden_layers": 32,
            "intermediate_size": 5120, "num_attention_heads": 20, "projection_dim": 1280}

ARCHS = {
    "sd15": {"pipeline": "StableDiffusionPipeline", "unet": UNET, "vae": VAE, "text_encoder": TEXT,
             "scheduler": SCHEDULER},
    "sd21": {"pipeline": "StableDiffusionPipeline", "vae": VAE, "text_encoder": WIDE_TEXT, "pad": "!",
             "unet": {**UNET, "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "sample_size": 96,
                      "use_linear_projection": True, "upcast_attention": True},
             "scheduler": {**SCHEDULER, "_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}},
    "sdxl": {"pipeline": "StableDiffusionXLPipeline", "text_encoder": TEXT, "text_encoder_2": BIG_TEXT,
             "vae": {**VAE, "scaling_factor": 0.13025, "sample_size": 1024},
             "unet": {**UNET, "block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20],
                      "cross_attention_dim": 2048, "sample_size": 128, "use_linear_projection": True,
                      "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2,
                      "up_block_types": ["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"],
                      "transformer_layers_per_block": [1, 2, 10], "addition_embed_type": "text_time",
                      "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816},
             "scheduler": {**SCHEDULER, "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}},
}


# ---------------------------------------------------------------------------------------------------------------------
# Shapes
# ---------------------------------------------------------------------------------------------------------------------

def build(config):
    """The model on the meta device: shapes without memory."""
    import torch
    with torch.device("meta"):
        if "_class_name" in config:
            import diffusers
            return getattr(diffusers, config["_class_name"]).from_config(config)
        import transformers
        plain = {k: v for k, v in config.items() if k != "architectures"}
        return getattr(transformers, config["architectures"][0])(transformers.CLIPTextConfig(**plain))


def plan(config):
    """[(name, shape, mean, spread)] of all tensors, by the kind of the module that owns them."""
    import torch
    rows = []
    for module_name, module in build(config).named_modules():
        for name, p in module.named_parameters(recurse=False):
            shape = tuple(p.shape)
            if isinstance(module, NORMS):
                mean, spread = (1.0, 0.1) if name == "weight" else (0.0, 0.1)
            elif isinstance(module, torch.nn.Embedding):
                mean, spread = 0.0, 1.0
            elif len(shape) >= 2:
                mean, spread = 0.0, int(np.prod(shape[1:])) ** -0.5
            else:
                mean, spread = 0.0, 0.1
            full = f"{module_name}.{name}" if module_name else name
            if "architectures" in config and not full.startswith(("text_model.", "text_projection.")):
                full = "text_model." + full
            rows.append((full, shape, mean, spread))
    return sorted(rows)


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------

def encode(values, dtype):
    if dtype == "f32":
        return values.tobytes()
    if dtype == "f16":
        return values.astype(np.float16).tobytes()
    bits = values.view(np.uint32)
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()


def write_weights(path, rows, dtype, seed):
    """A safetensors file, streamed; returns its size."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _, _ in rows:
        end = offset + int(np.prod(shape)) * WIDTH[dtype]
        header[name] = {"dtype": dtype.upper(), "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.SFC64(seed))
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, shape, mean, spread in rows:
            left = int(np.prod(shape))
            while left:
                values = random.standard_normal(min(left, PIECE), np.float32)
                values *= np.float32(spread)
                values += np.float32(mean)
                out.write(encode(values, dtype))
                left -= len(values)
    return path.stat().st_size


def link(root, other, part):
    """root/part → other/part, relative where both stand below one folder."""
    place = root / part
    if place.is_symlink():
        place.unlink()
    place.symlink_to(os.path.relpath(other.resolve() / part, root.resolve()))


def write_part(root, part, config, dtype, seed, share):
    """The config and weights of one model; returns what model_index.json says of it."""
    text = "architectures" in config
    if share:
        link(root, share, part)
    else:
        name = "model.safetensors" if text else "diffusion_pytorch_model.safetensors"
        write_json(root / part / "config.json", config)
        size = write_weights(root / part / name, plan(config), dtype, seed)
        print(f"{part}: {size / 2**20:.0f} MiB", flush=True)
    return ["transformers", config["architectures"][0]] if text else ["diffusers", config["_class_name"]]


def write_pack(root, args):
    spec, share = ARCHS[args.arch], args.share and Path(args.share)
    index = {"_class_name": spec["pipeline"], "_diffusers_version": "0.22.0"}
    write_json(root / "scheduler/scheduler_config.json", spec["scheduler"])
    index["scheduler"] = ["diffusers", spec["scheduler"]["_class_name"]]
    for number, part in enumerate(("text_encoder", "text_encoder_2", "unet", "vae")):
        if part not in spec:
            continue
        index[part] = write_part(root, part, spec[part], args.dtype, [args.seed, number], share)
        if "architectures" in spec[part]:
            tokenizer = part.replace("text_encoder", "tokenizer")
            pad = "!" if part == "text_encoder_2" else spec.get("pad", "<|endoftext|>")
            write_tokenizer(root / tokenizer, pad=pad, at=(49406, 49407))
            index[tokenizer] = ["transformers", "CLIPTokenizer"]
    if args.motion:
        index["motion_adapter"] = write_part(root, "motion_adapter", MOTION, args.dtype, [args.seed, 4], None)
        index["_class_name"] = "AnimateDiffPipeline"
    if args.audio:
        write_json(root / "sumi.json", {"modality": "audio"})
    if args.arch != "sdxl":
        index.update({"feature_extractor": [None, None], "safety_checker": [None, None]})
    write_json(root / "model_index.json", index)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", required=True, choices=sorted(ARCHS))
    parser.add_argument("--dtype", default="f16", choices=sorted(WIDTH))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--motion", action="store_true")
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--share", metavar="PACK")
    parser.add_argument("out", metavar="OUT")
    args = parser.parse_args()
    if args.seed < 0:
        parser.error("--seed must not be negative")
    if args.motion and args.arch != "sd15":
        parser.error("--motion goes with --arch sd15")
    write_pack(Path(args.out), args)


if __name__ == "__main__":
    main()
