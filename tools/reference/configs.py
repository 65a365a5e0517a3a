"""The packs: every number that the configs of Stable Diffusion 1.x and 2.x families vary, in small."""

# ---------------------------------------------------------------------------------------------------------------------
# Building blocks
# ---------------------------------------------------------------------------------------------------------------------

CROSS_DOWN, PLAIN_DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
CROSS_UP, PLAIN_UP = "CrossAttnUpBlock2D", "UpBlock2D"


def unet(channels, cross, heads, context, sample, layers=2, groups=8, **more):
    """A UNet config; `cross` has a letter per level, c with attention, p plain, from the top down."""
    config = {
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0",
        "act_fn": "silu", "attention_head_dim": heads, "block_out_channels": list(channels),
        "center_input_sample": False, "cross_attention_dim": context,
        "down_block_types": [CROSS_DOWN if c == "c" else PLAIN_DOWN for c in cross],
        "downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4,
        "layers_per_block": layers, "mid_block_scale_factor": 1, "norm_eps": 1e-05, "norm_num_groups": groups,
        "out_channels": 4, "sample_size": sample,
        "up_block_types": [CROSS_UP if c == "c" else PLAIN_UP for c in reversed(cross)],
    }
    config.update(more)
    return config


def vae(channels, layers=1, groups=8, **more):
    config = {
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu",
        "block_out_channels": list(channels), "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "in_channels": 3, "latent_channels": 4, "layers_per_block": layers, "norm_num_groups": groups,
        "out_channels": 3, "sample_size": 128, "up_block_types": ["UpDecoderBlock2D"] * len(channels),
    }
    config.update(more)
    return config


def text(width, layers, heads, act, **more):
    config = {
        "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": 2,
        "hidden_act": act, "hidden_size": width, "initializer_factor": 1.0, "initializer_range": 0.02,
        "intermediate_size": 2 * width, "layer_norm_eps": 1e-05, "max_position_embeddings": 77,
        "model_type": "clip_text_model", "num_attention_heads": heads, "num_hidden_layers": layers,
        "pad_token_id": 1, "projection_dim": width, "torch_dtype": "float32", "vocab_size": 834,
    }
    config.update(more)
    return config


def scheduler(name, **more):
    config = {
        "_class_name": name, "_diffusers_version": "0.6.0", "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "beta_start": 0.00085, "num_train_timesteps": 1000, "set_alpha_to_one": False, "steps_offset": 1,
        "trained_betas": None, "clip_sample": False,
    }
    config.update(more)
    return {k: v for k, v in config.items() if v != "absent"}


# ---------------------------------------------------------------------------------------------------------------------
# The packs
# ---------------------------------------------------------------------------------------------------------------------

PROMPT = "a painting of the mountains in the fog, туман над рекой, 2 cats 🐈!"
NEGATIVE = "blurry, low quality"

# Per pack:  the four configs;  dtype of unet, text encoder, vae;  size of stage dump and of the run in latent pixels;
# steps and guidance of the run.  "share" names a pack whose folder is linked instead of written.
PACKS = {
    "sd1-tiny": {
        "unet": unet((16, 16, 16, 32), "cccp", 8, 32, 16),
        "text": text(32, 2, 4, "quick_gelu"),
        "vae": vae((8, 16, 16, 16)),
        "scheduler": scheduler("PNDMScheduler", skip_prk_steps=True),
        "dtypes": ("f16", "f32", "f16"), "stage": (16, 16), "run": (16, 16), "steps": 5, "guidance": 7.5,
        "detail": True,
    },
}
