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
    # Stable Diffusion 1.5 in small: four levels, eight heads everywhere, PNDM.
    "sd1-tiny": {
        "unet": unet((16, 16, 16, 32), "cccp", 8, 32, 16),
        "text": text(32, 2, 4, "quick_gelu"),
        "vae": vae((8, 16, 16, 16)),
        "scheduler": scheduler("PNDMScheduler", skip_prk_steps=True),
        "dtypes": ("f16", "f16", "f16"), "vae_stage": (3, 2), "stage": (16, 16), "run": (16, 8), "steps": 5,
        "guidance": 7.5, "detail": True,
    },
    # The same weights at a size that the levels do not divide (12x20, 6x10, 3x5, 2x3), another scheduler.
    "sd1-odd": {
        "share": {"unet": "sd1-tiny", "text_encoder": "sd1-tiny", "tokenizer": "sd1-tiny", "vae": "sd1-tiny"},
        "scheduler": scheduler("DPMSolverMultistepScheduler", use_karras_sigmas=True, algorithm_type="dpmsolver++",
                               clip_sample="absent", set_alpha_to_one="absent"),
        "stage": (12, 20), "run": (10, 6), "steps": 4, "guidance": 4.0,
        "prompt": "ночная река, луна над озером, " * 12, "negative": "",
    },
    # Stable Diffusion 2.1 in small: v-prediction, heads per level, linear projections, pad token "!", bf16.
    "sd2-tiny": {
        "unet": unet((8, 16, 24, 24), "cccp", [1, 2, 4, 4], 40, 96, layers=1, dual_cross_attention=False,
                     num_class_embeds=None, only_cross_attention=False, upcast_attention=True,
                     use_linear_projection=True),
        "text": text(40, 3, 5, "gelu", intermediate_size=96, projection_dim=64, vocab_size=834),
        "share": {"vae": "sd1-tiny"}, "tokenizer": {"pad": "!"},
        "scheduler": scheduler("DDIMScheduler", prediction_type="v_prediction", skip_prk_steps=True),
        "dtypes": ("bf16", "bf16", "f16"), "stage": (8, 16), "run": (8, 8), "steps": 4, "guidance": 7.5,
        "prompt": "calm piano! a cat's house, 東京の夜", "negative": "",
    },
    # Two levels, the first without attention; a head of 30; other groups; shards; short positions; an end token that
    # is not the highest id; text encoder and autoencoder with the other names of their weights.
    "levels-tiny": {
        "unet": unet((10, 30), "pc", [2, 1], 24, 32, layers=1, groups=5, norm_eps=1e-06,
                     resnet_time_scale_shift="default", time_cond_proj_dim=None),
        "text": text(24, 2, 2, "quick_gelu", max_position_embeddings=32, vocab_size=839, bos_token_id=832,
                     eos_token_id=833, pad_token_id=833, layer_norm_eps=1e-06),
        "vae": vae((8, 12, 16), groups=4, scaling_factor=0.5, layers=2),
        "tokenizer": {"extra": 5, "max_length": 32},
        "scheduler": scheduler("EulerDiscreteScheduler", timestep_spacing="leading", clip_sample="absent",
                               set_alpha_to_one="absent"),
        "dtypes": ("f16", "f16", "f16"), "stage": (10, 6), "run": (8, 12), "steps": 4, "guidance": 3.0,
        "vae_stage": (6, 8), "img2img": 0.6,
        "text_prefix": False, "deprecated_vae": True, "shard": {"unet": "150KB"},
        "prompt": "an old tree in the snow, birds over the sea, a small house by the river, detailed, high quality",
    },
    # A distilled model: guidance as an embedding, no negative prompt, LCM, and the tiny autoencoder.
    "taesd-tiny": {
        "share": {"text_encoder": "sd1-tiny", "tokenizer": "sd1-tiny"},
        "unet": unet((8, 16), "cc", 4, 32, 64, layers=1, groups=4, time_cond_proj_dim=16, only_cross_attention=False,
                     resnet_time_scale_shift="default"),
        "vae": {"_class_name": "AutoencoderTiny", "_diffusers_version": "0.20.0", "act_fn": "relu",
                "decoder_block_out_channels": [8] * 4, "encoder_block_out_channels": [8] * 4,
                "force_upcast": False, "in_channels": 3, "latent_channels": 4, "latent_magnitude": 3,
                "latent_shift": 0.5, "num_decoder_blocks": [3, 3, 3, 1], "num_encoder_blocks": [1, 3, 3, 3],
                "out_channels": 3, "scaling_factor": 1.0, "upsampling_scaling_factor": 2},
        "scheduler": scheduler("LCMScheduler", original_inference_steps=50),
        "dtypes": ("f32", "f16", "f16"), "stage": (8, 8), "vae_stage": (2, 3), "run": (8, 8), "steps": 4,
        "guidance": 7.5, "negative": "",
    },
    # Three levels, zero terminal SNR, an empty prompt, a sampler that draws noise at every step.
    "snr-tiny": {
        "share": {"text_encoder": "sd2-tiny", "tokenizer": "sd2-tiny", "vae": "taesd-tiny"},
        "unet": unet((8, 16, 16), "pcc", [1, 2, 4], 40, 32, layers=1, groups=4, use_linear_projection=True),
        "scheduler": scheduler("EulerAncestralDiscreteScheduler", prediction_type="v_prediction",
                               rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample="absent",
                               set_alpha_to_one="absent"),
        "dtypes": ("f16", "bf16", "f16"), "stage": (8, 4), "run": (12, 8), "steps": 5, "guidance": 5.0,
        "prompt": "", "negative": "!!! 🐈",
    },
    # Stable Diffusion XL in small: two text encoders of unequal depth, the pooled text and the sizes beside the time,
    # transformers of unequal length.
    "sdxl-tiny": {
        "pipeline": "StableDiffusionXLPipeline",
        "share": {"text_encoder": "sd1-tiny", "tokenizer": "sd1-tiny", "tokenizer_2": "sd2-tiny/tokenizer", "vae": "sd1-tiny"},
        "text_2": text(40, 3, 5, "gelu", architectures=["CLIPTextModelWithProjection"], intermediate_size=96,
                       projection_dim=24, vocab_size=834),
        "unet": unet((8, 16, 16), "pcc", [1, 2, 4], 72, 16, layers=1, use_linear_projection=True,
                     transformer_layers_per_block=[1, 2, 3], addition_embed_type="text_time",
                     addition_time_embed_dim=8, projection_class_embeddings_input_dim=72),
        "scheduler": scheduler("EulerDiscreteScheduler", timestep_spacing="leading", interpolation_type="linear",
                               clip_sample="absent", set_alpha_to_one="absent"),
        "dtypes": ("f16", "f16", "f16"), "stage": (8, 12), "run": (16, 12), "steps": 4, "guidance": 5.0,
    },
    # Its refiner: the second encoder alone, a score instead of a size, from a picture only.
    "refiner-tiny": {
        "pipeline": "StableDiffusionXLImg2ImgPipeline",
        "share": {"text_encoder_2": "sdxl-tiny", "tokenizer_2": "sd2-tiny/tokenizer", "vae": "sd1-tiny"},
        "index": {"force_zeros_for_empty_prompt": False, "requires_aesthetics_score": True,
                  "text_encoder": [None, None], "tokenizer": [None, None]},
        "unet": unet((8, 16), "pc", [1, 2], 40, 8, layers=1, use_linear_projection=True,
                     transformer_layers_per_block=2, addition_embed_type="text_time", addition_time_embed_dim=8,
                     projection_class_embeddings_input_dim=64),
        "scheduler": scheduler("EulerDiscreteScheduler", timestep_spacing="leading", interpolation_type="linear",
                               clip_sample="absent", set_alpha_to_one="absent"),
        "dtypes": ("f16", "f16", "f16"), "run": (8, 6), "steps": 5, "guidance": 5.0, "img2img": 0.6,
    },
    # Cut out of larger models, as BK-SDM, tiny-sd and SSD-1B are: nothing in the middle, transformers of unequal length
    # within a level.
    "cut-tiny": {
        "share": {"text_encoder": "sd1-tiny", "tokenizer": "sd1-tiny", "vae": "taesd-tiny"},
        "unet": unet((8, 16), "cc", 4, 32, 16, layers=2, groups=4, mid_block_type=None,
                     transformer_layers_per_block=[[1, 2], 1], reverse_transformer_layers_per_block=[2, [2, 1, 1]]),
        "scheduler": scheduler("DPMSolverMultistepScheduler"),
        "dtypes": ("f16", "f16", "f16"), "stage": (8, 6), "run": (8, 8), "steps": 4, "guidance": 5.0,
    },
    # One residual block in the middle, a single step without guidance.
    "plain-tiny": {
        "share": {"text_encoder": "sd1-tiny", "tokenizer": "sd1-tiny", "vae": "taesd-tiny"},
        "unet": unet((8, 16), "pc", 4, 32, 16, layers=1, groups=4, mid_block_type="UNetMidBlock2D"),
        "scheduler": scheduler("EulerDiscreteScheduler", timestep_spacing="trailing", prediction_type="epsilon"),
        "dtypes": ("f16", "f16", "f16"), "stage": (8, 6), "run": (8, 8), "steps": 2, "guidance": 1.0, "negative": "",
    },
}


def resolve():
    """Fills the configs of shared parts from the pack that owns them."""
    for spec in PACKS.values():
        for part, key in (("unet", "unet"), ("vae", "vae"), ("text_encoder", "text"),
                          ("text_encoder_2", "text_2")):
            other = spec.get("share", {}).get(part)
            if other:
                spec[key] = PACKS[other][key]
        if "dtypes" not in spec:
            spec["dtypes"] = PACKS[spec["share"]["unet"]]["dtypes"]


resolve()
