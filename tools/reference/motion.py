"""Motion packs (AnimateDiff): a UNet with motion modules, a whole short video, and the windows of FreeNoise."""

from pathlib import Path

import numpy as np
import torch

import configs
import packs
from common import f32, generator, healthy, state, write_json, write_ppm, write_tensors
from stages import Recorder, token_ids

OWNER = "snr-tiny"
SHARE = {"unet": OWNER, "text_encoder": "sd2-tiny", "tokenizer": "sd2-tiny", "vae": "sd1-tiny"}
SCHEDULER = configs.scheduler("DDIMScheduler", beta_schedule="linear", timestep_spacing="linspace")


def adapter_config(**more):
    config = {"_class_name": "MotionAdapter", "_diffusers_version": "0.21.0", "block_out_channels": [8, 16, 16],
              "motion_layers_per_block": 1, "motion_mid_block_layers_per_block": 1, "motion_norm_num_groups": 4,
              "motion_num_attention_heads": 4, "motion_max_seq_length": 24, "use_motion_mid_block": True}
    config.update(more)
    return config


# v1/v2 have a module in the middle block (24 and 32 positions), v3 has none.
PACKS = {
    "motion-tiny": {"adapter": adapter_config(), "steps": 3, "frames": 8, "guidance": 7.5, "video": (6, 4),
                    "long": {"frames": 21, "video": (2, 4), "seed": 78}},
    "motion3-tiny": {"adapter": adapter_config(use_motion_mid_block=False, motion_max_seq_length=16,
                                               motion_num_attention_heads=2), "original": True},
}
PROMPT, NEGATIVE = "birds over the sea, ветер и волны", "blurry"
STAGE = (6, 4)


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------

def original_names(weights):
    """The names of AnimateDiff's own files (mm_sd_v15_v2.ckpt and its kind), position tables included."""
    table = (("norm1.", "norms.0."), ("norm2.", "norms.1."), ("norm3.", "ff_norm."), ("attn1.", "attention_blocks.0."),
             ("attn2.", "attention_blocks.1."))
    out = {}
    for key, value in weights.items():
        head, rest = key.split("motion_modules.")
        number, rest = rest.split(".", 1)
        base = f"{head}motion_modules.{number}.temporal_transformer."
        if rest.endswith("pos_embed.pe"):
            block = rest[:-len("pos_embed.pe")]
            for i in (0, 1):
                out[f"{base}{block}attention_blocks.{i}.pos_encoder.pe"] = value
            continue
        for new, old in table:
            rest = rest.replace(new, old) if "transformer_blocks" in rest else rest
        out[base + rest] = value
    return out


def write_pack(root, name, spec):
    import shutil
    from diffusers import MotionAdapter
    folder = Path(root) / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for part, other in SHARE.items():
        packs.link(folder, part, other)
    weights = state(healthy(MotionAdapter.from_config(spec["adapter"]), name + "/motion_adapter"), "f16")
    write_tensors(folder / "motion_adapter/diffusion_pytorch_model.safetensors", weights)
    write_json(folder / "motion_adapter/config.json", spec["adapter"])
    write_json(folder / "scheduler/scheduler_config.json", SCHEDULER)
    write_json(folder / "model_index.json", {
        "_class_name": "AnimateDiffPipeline", "_diffusers_version": "0.21.0", "feature_extractor": [None, None],
        "image_encoder": [None, None], "motion_adapter": ["diffusers", "MotionAdapter"],
        "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"]})
    if spec.get("original"):
        write_tensors(Path(root) / (name + ".original.safetensors"), original_names(weights))


# ---------------------------------------------------------------------------------------------------------------------
# Dumping
# ---------------------------------------------------------------------------------------------------------------------

def load(root, name):
    from diffusers import AnimateDiffPipeline
    pipe = AnimateDiffPipeline.from_pretrained(Path(root) / name, dtype=torch.float32, local_files_only=True,
                                               low_cpu_mem_usage=False)
    pipe.set_progress_bar_config(disable=True)
    for model in (pipe.unet, pipe.vae, pipe.text_encoder):
        model.eval()
    return pipe


def call(pipe, sample, context):
    frames = sample.shape[2]
    return pipe.unet(sample, 501, encoder_hidden_states=context.repeat_interleave(frames, dim=0)).sample


def unet_part(rec, pipe, name):
    """8 frames block by block, then 16 frames, then 12 frames through windows of 8."""
    unet = pipe.unet
    context = pipe.text_encoder(token_ids(pipe.tokenizer, PROMPT)).last_hidden_state
    rec.put("motion.in.context", context)
    sample = torch.randn((1, 4, 16, *STAGE), generator=generator(name, "motion input"))
    rec.put("motion.in.sample", sample)
    rec.put("motion.in.timestep", f32([501]))
    for i, block in enumerate(unet.down_blocks):
        rec.watch(block, f"motion.down.{i}")
    rec.watch(unet.mid_block, "motion.mid")
    for i, block in enumerate(unet.up_blocks):
        rec.watch(block, f"motion.up.{i}")
    rec.watch(unet.down_blocks[0].resnets[0], "motion.first.in")
    rec.watch(unet.down_blocks[0].motion_modules[0], "motion.first.out")
    out = call(pipe, sample[:, :, :8], context)
    rec.stop()
    rec.put("motion.out.8", out)
    rec.put("motion.out.16", call(pipe, sample, context))
    pipe.enable_free_noise(context_length=8, context_stride=3)
    rec.put("motion.out.12.free", call(pipe, sample[:, :, :12], context))
    rec.put("free.noise", pipe.prepare_latents(1, 4, 12, 16, 16, torch.float32, "cpu",
                                               torch.Generator("cpu").manual_seed(5)))
    if hasattr(unet.mid_block, "motion_modules"):  # diffusers 0.42 fails here without a motion module in the middle
        pipe.disable_free_noise()


def tall_picture(frames):
    """Frames [f, height, width, 3] in 0..1 below each other, as bytes."""
    tall = (frames * 255).round().astype(np.uint8)
    return tall.reshape(-1, tall.shape[2], 3)


def long_part(pipe, spec):
    """A whole video through FreeNoise's windows of 16 frames, 4 apart, its noise shuffled: frames as one tall picture."""
    long, scale = spec["long"], pipe.vae_scale_factor
    pipe.enable_free_noise(context_length=16, context_stride=4)
    frames = pipe(prompt=PROMPT, negative_prompt=NEGATIVE, num_frames=long["frames"], height=long["video"][0] * scale,
                  width=long["video"][1] * scale, num_inference_steps=spec["steps"], guidance_scale=spec["guidance"],
                  generator=torch.Generator("cpu").manual_seed(long["seed"]), output_type="np").frames
    pipe.disable_free_noise()
    return tall_picture(frames[0])


def video_part(rec, pipe, spec, seed):
    """A whole video: latents after every step, and the frames as one tall picture."""
    def step_end(_pipe, i, t, values):
        rec.put(f"video.latents.{i}", values["latents"])
        timesteps.append(float(t))
        return values

    timesteps = []
    height, width = spec["video"]
    scale = pipe.vae_scale_factor
    shape = (1, 4, spec["frames"], height, width)
    rec.put("video.noise", torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed)))
    frames = pipe(prompt=PROMPT, negative_prompt=NEGATIVE, num_frames=spec["frames"], height=height * scale,
                  width=width * scale, num_inference_steps=spec["steps"], guidance_scale=spec["guidance"],
                  generator=torch.Generator("cpu").manual_seed(seed), output_type="np",
                  callback_on_step_end=step_end).frames
    rec.put("video.timesteps", f32(timesteps))
    return tall_picture(frames[0])


def dump(root, name, spec):
    pipe = load(root, name)
    rec = Recorder()
    unet_part(rec, pipe, name)
    info = {"pack": name, "prompt": PROMPT, "negative_prompt": NEGATIVE, "free_noise": {
        "context_length": 8, "context_stride": 3, "frames": 12, "seed": 5}}
    if "video" in spec:
        seed = 77
        write_ppm(Path(root) / (name + ".ppm"), video_part(rec, pipe, spec, seed))
        scale = pipe.vae_scale_factor
        info.update({"seed": seed, "steps": spec["steps"], "frames": spec["frames"], "guidance_scale": spec["guidance"],
                     "height": spec["video"][0] * scale, "width": spec["video"][1] * scale})
        write_ppm(Path(root) / (name + ".long.ppm"), long_part(pipe, spec))
        info["long"] = {"seed": spec["long"]["seed"], "frames": spec["long"]["frames"],
                        "height": spec["long"]["video"][0] * scale, "width": spec["long"]["video"][1] * scale}
    packs.check_health(rec.tensors, name)
    still = rec.tensors["motion.out.8"]
    assert (still[:, :, 0] - still[:, :, 1]).std() > 0.1
    write_tensors(Path(root) / (name + ".safetensors"), rec.tensors)
    write_json(Path(root) / (name + ".json"), info, indent=None)


def check_original(root, name, spec):
    """diffusers reads the file with the original names as the same adapter."""
    from diffusers import MotionAdapter
    from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
    from safetensors.torch import load_file
    ours = load_file(str(Path(root) / name / "motion_adapter/diffusion_pytorch_model.safetensors"))
    theirs = convert_animatediff_checkpoint_to_diffusers(load_file(str(Path(root) / (name + ".original.safetensors"))))
    wanted = {k for k in ours if not k.endswith("pos_embed.pe")}
    assert set(theirs) == wanted and all(torch.equal(theirs[k], ours[k]) for k in wanted), name
    assert wanted <= set(MotionAdapter.from_config(spec["adapter"]).state_dict())


def make(root, only=None):
    for name, spec in PACKS.items():
        if only and name not in only:
            continue
        write_pack(root, name, spec)
        dump(root, name, spec)
        if spec.get("original"):
            check_original(root, name, spec)
        print("pack", name)
