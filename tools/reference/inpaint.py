"""Runs that make a part of a picture anew: diffusers' pipelines, and what ComfyUI and A1111 do around a sampler.

    python3 tools/reference/inpaint.py tests/vectors

All with sd1-tiny. Models that are shown a picture have its UNet with more inputs: the weights of those that are added are the
first ones' again, from the first on.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

import common
from common import write_json, write_tensors
from stages import decode_picture, test_image

HEIGHT, WIDTH, SEED, STEPS, GUIDANCE, PICTURE = 96, 64, 1234, 6, 5.0, 1.75
PROMPT, NEGATIVE = "a lighthouse in the fog", "blurry"

# name, sampler, channels, blend, strength; blend None: instruct-pix2pix
CASES = [
    ("nine", "pndm", 9, "diffusers", 0.7),
    ("nine.whole", "euler_a", 9, "diffusers", 1.0),
    ("four", "ddim", 4, "diffusers", 0.7),
    ("four.whole", "pndm", 4, "diffusers", 1.0),
    ("four.ancestral", "euler_a", 4, "diffusers", 0.7),
    ("four.heun", "heun", 4, "diffusers", 0.7),
    ("four.multistep", "dpmpp_2m", 4, "diffusers", 0.7),
    ("edit", "euler_a", 8, None, None),
    ("a1111", "euler", 4, "a1111", 0.7),
    ("a1111.multistep", "dpmpp_2m", 4, "a1111", 0.7),
    ("comfy", "euler", 4, "comfy", 0.7),
    ("comfy.multistep", "dpmpp_2m", 4, "comfy", 0.7),
    ("soft", "euler", 4, "soft", 0.7),
    ("nine.a1111", "euler", 9, "a1111", 0.7),
]


def test_mask():
    """Greys of whole bytes: a disc whose edge is soft, and a corner."""
    y, x = torch.meshgrid(torch.arange(HEIGHT).float(), torch.arange(WIDTH).float(), indexing="ij")
    disc = (1.6 - ((x - 30) ** 2 + (y - 45) ** 2).sqrt() / 22).clamp(0, 1)
    corner = ((x > 52) & (y > 80)).float()
    return (torch.maximum(disc, corner) * 255).round() / 255


def schedulers():
    import diffusers
    return {"pndm": diffusers.PNDMScheduler, "ddim": diffusers.DDIMScheduler, "euler": diffusers.EulerDiscreteScheduler,
            "euler_a": diffusers.EulerAncestralDiscreteScheduler, "heun": diffusers.HeunDiscreteScheduler,
            "dpmpp_2m": diffusers.DPMSolverMultistepScheduler}


def widen(unet, channels):
    old = unet.conv_in
    unet.conv_in = torch.nn.Conv2d(channels, old.out_channels, 3, padding=1)
    repeats = [i % 4 for i in range(channels)]
    unet.conv_in.weight.copy_(old.weight[:, repeats])
    unet.conv_in.bias.copy_(old.bias)
    unet.register_to_config(in_channels=channels)


def pipeline(folder, name, channels):
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionInstructPix2PixPipeline
    cls = StableDiffusionInstructPix2PixPipeline if channels == 8 else StableDiffusionInpaintPipeline
    pipe = cls.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.scheduler = schedulers()[name].from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    if channels != 4:
        widen(pipe.unet, channels)
    return pipe


def keep(out, name):
    def step_end(_pipe, i, _t, values):
        out[f"{name}.latents.{i}"] = values["latents"].clone()
        return values
    return step_end


# ---------------------------------------------------------------------------------------------------------------------
# diffusers
# ---------------------------------------------------------------------------------------------------------------------

def run_diffusers(out, pipe, name, channels, strength, image, mask):
    common_arguments = dict(prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
                            generator=torch.Generator("cpu").manual_seed(SEED), output_type="latent",
                            callback_on_step_end=keep(out, name))
    if channels == 8:
        return pipe(image=image, image_guidance_scale=PICTURE, **common_arguments).images
    return pipe(image=image, mask_image=mask[None, None], height=HEIGHT, width=WIDTH, strength=strength,
                callback_on_step_end_tensor_inputs=["latents"], **common_arguments).images


# ---------------------------------------------------------------------------------------------------------------------
# ComfyUI (comfy/samplers.py, KSamplerX0Inpaint; comfy_extras/nodes_differential_diffusion.py) and A1111
# (modules/sd_samplers_cfg_denoiser.py, modules/processing.py), around k-diffusion's x = x0 + sigma·noise
# ---------------------------------------------------------------------------------------------------------------------

def latent_mask(blend, mask):
    if blend == "a1111":
        picture = Image.fromarray((mask.numpy() * 255).round().astype(np.uint8)).convert("RGB")
        scaled = np.array(picture.resize((WIDTH // 8, HEIGHT // 8)), dtype=np.float32)[:, :, 0] / 255
        return torch.from_numpy(np.around(scaled))[None, None]
    return F.interpolate(mask[None, None], size=(HEIGHT // 8, WIDTH // 8), mode="bilinear")


def run_other(out, pipe, name, blend, channels, strength, image, mask):
    g = torch.Generator("cpu").manual_seed(SEED)
    embeds, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)
    vae, unet, scheduler = pipe.vae, pipe.unet, pipe.scheduler
    scheduler.set_timesteps(STEPS)
    begin = STEPS - int(STEPS * strength)
    scheduler.set_begin_index(begin)
    timesteps, sigmas = scheduler.timesteps[begin:], scheduler.sigmas[begin:]
    clean = vae.encode(image).latent_dist.sample(g) * vae.config.scaling_factor
    noise = torch.randn(clean.shape, generator=g)
    beside = None
    if channels == 9:
        rest = vae.encode(image * (mask < 0.5)).latent_dist.sample(g) * vae.config.scaling_factor
        sharp = F.interpolate((mask >= 0.5).float()[None, None], size=clean.shape[-2:])
        beside = torch.cat([sharp, rest], 1)
    repaint = latent_mask(blend, mask)
    mixed = scheduler.__class__.__name__.startswith("DPM")
    x = clean + noise * sigmas[0]
    for i, t in enumerate(timesteps):
        sigma = sigmas[i]
        m = repaint
        if blend == "soft":
            m = (repaint >= t / timesteps[0]).float()
        seen = x
        if blend in ("comfy", "soft"):
            seen = x * m + (clean + noise * sigma) * (1 - m)
        inputs = seen / (sigma ** 2 + 1) ** 0.5
        if beside is not None:
            inputs = torch.cat([inputs, beside], 1)
        low = unet(inputs, t, encoder_hidden_states=negative).sample
        high = unet(inputs, t, encoder_hidden_states=embeds).sample
        denoised = seen - sigma * (low + GUIDANCE * (high - low))
        denoised = denoised * m + clean * (1 - m)
        divisor = (sigma ** 2 + 1) ** 0.5 if mixed else 1
        x = scheduler.step((x - denoised) / sigma, t, x / divisor).prev_sample
        after = sigmas[i + 1]
        if i + 1 == len(timesteps) and blend == "a1111":
            x = x * m + clean * (1 - m)
        out[f"{name}.latents.{i}"] = x.clone()
        if mixed:
            x = x * (after ** 2 + 1) ** 0.5
    return x


def make(folder):
    image, mask = test_image(HEIGHT, WIDTH), test_mask()
    tensors = {"image": image, "mask": mask}
    for name, sampler, channels, blend, strength in CASES:
        pipe = pipeline(str(Path(folder) / "sd1-tiny"), sampler, channels)
        if blend in (None, "diffusers"):
            latents = run_diffusers(tensors, pipe, name, channels, strength, image, mask)
        else:
            latents = run_other(tensors, pipe, name, blend, channels, strength, image, mask)
        if name in ("nine", "four", "edit"):
            tensors[f"{name}.image"] = decode_picture(pipe, latents)[0]
    write_tensors(Path(folder) / "inpaint.safetensors", {k: v.float().contiguous() for k, v in tensors.items()})
    write_json(Path(folder) / "inpaint.json", {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": SEED, "steps": STEPS, "guidance_scale": GUIDANCE,
        "image_guidance_scale": PICTURE, "height": HEIGHT, "width": WIDTH,
        "cases": [{"name": n, "sampler": s, "channels": c, "blend": b, "strength": v} for n, s, c, b, v in CASES]})


if __name__ == "__main__":
    common.setup()
    make(sys.argv[1])
