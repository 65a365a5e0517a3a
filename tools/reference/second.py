"""Pictures that are made in two runs: A1111's second pass at a higher resolution, and SDXL's refiner.

    python3 tools/reference/second.py tests/vectors
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
from inpaint import schedulers

SEED, STEPS, GUIDANCE, SIDE, SCALE, SECOND, STRENGTH, SWITCH = 99, 4, 4.0, 64, 1.5, 3, 0.6, 0.6
PROMPT, NEGATIVE = "a lighthouse in the fog", "blurry"

# name, sampler, A1111's upscaler {mode, antialias} or PIL's filter
HIRES = [("latent", "euler", ("bilinear", False)), ("latent_antialiased", "euler_a", ("bilinear", True)),
         ("latent_bicubic", "dpmpp_2m", ("bicubic", False)), ("latent_bicubic_antialiased", "euler", ("bicubic", True)),
         ("latent_nearest", "heun", ("nearest", False)), ("latent_nearest_exact", "ddim", ("nearest-exact", False)),
         ("lanczos", "euler", Image.LANCZOS)]
REFINER = ["euler", "dpmpp_2m", "heun", "euler_a"]


def hires(out, folder, name, sampler, how):
    """modules/processing.py, sample_hr_pass; modules/sd_samplers_kdiffusion.py, sample_img2img."""
    from diffusers import StableDiffusionPipeline
    pipe = StableDiffusionPipeline.from_pretrained(folder / "sd1-tiny", torch_dtype=torch.float32)
    pipe.scheduler = schedulers()[sampler].from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    latents = pipe(prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE, height=SIDE,
                   width=SIDE, generator=torch.Generator("cpu").manual_seed(SEED), output_type="latent").images
    out[f"{name}.first"] = latents
    size, g = int(SIDE * SCALE), torch.Generator("cpu").manual_seed(SEED)
    if isinstance(how, tuple):
        kind = {"antialias": how[1]} if how[0].startswith("bi") else {}
        clean = F.interpolate(latents, size=(size // 8, size // 8), mode=how[0], **kind)
    else:
        decoded = ((pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample + 1) / 2).clamp(0, 1)
        picture = Image.fromarray((255. * decoded[0].permute(1, 2, 0).numpy()).astype(np.uint8)).resize((size, size), how)
        pixels = torch.from_numpy(np.array(picture).astype(np.float32) / 255).permute(2, 0, 1)[None] * 2 - 1
        clean = pipe.vae.encode(pixels).latent_dist.sample(g) * pipe.vae.config.scaling_factor
    noise = torch.randn(clean.shape, generator=g)
    embeds, negative = pipe.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE)
    scheduler, unet = pipe.scheduler, pipe.unet
    steps = int(SECOND / min(STRENGTH, 0.999))
    scheduler.set_timesteps(steps)
    begin = (steps - SECOND) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    timesteps = scheduler.timesteps[begin:]
    x = scheduler.add_noise(clean, noise, timesteps[:1])
    for i, t in enumerate(timesteps):
        inputs = scheduler.scale_model_input(x, t)
        low = unet(inputs, t, encoder_hidden_states=negative).sample
        high = unet(inputs, t, encoder_hidden_states=embeds).sample
        random = {"generator": g} if sampler == "euler_a" else {}
        x = scheduler.step(low + GUIDANCE * (high - low), t, x, **random).prev_sample
        out[f"{name}.latents.{i}"] = x.clone()


def refiner(out, folder, sampler):
    from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
    base = StableDiffusionXLPipeline.from_pretrained(folder / "sdxl-tiny", torch_dtype=torch.float32)
    refine = StableDiffusionXLImg2ImgPipeline.from_pretrained(folder / "refiner-tiny", torch_dtype=torch.float32)
    for pipe in (base, refine):
        pipe.scheduler = schedulers()[sampler].from_config(pipe.scheduler.config)
        pipe.set_progress_bar_config(disable=True)
    common_arguments = dict(prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS * 2, guidance_scale=GUIDANCE,
                            output_type="latent")
    first = base(height=SIDE, width=SIDE, denoising_end=SWITCH, generator=torch.Generator("cpu").manual_seed(SEED),
                 **common_arguments).images
    out[f"refiner.{sampler}.first"] = first

    def step_end(_pipe, i, _t, values):
        out[f"refiner.{sampler}.latents.{i}"] = values["latents"].clone()
        return values

    refine(image=first, denoising_start=SWITCH, generator=torch.Generator("cpu").manual_seed(SEED),
           callback_on_step_end=step_end, **common_arguments)


def sizes(out, folder):
    """What SDXL is told of sizes, (height, width) and (top, left)."""
    from diffusers import StableDiffusionXLPipeline
    base = StableDiffusionXLPipeline.from_pretrained(folder / "sdxl-tiny", torch_dtype=torch.float32)
    base.scheduler = schedulers()["euler"].from_config(base.scheduler.config)
    base.set_progress_bar_config(disable=True)
    out["sizes.latents"] = base(prompt=PROMPT, negative_prompt=NEGATIVE, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
                                height=SIDE, width=SIDE, original_size=(50, 70), crops_coords_top_left=(3, 9),
                                target_size=(40, 30), generator=torch.Generator("cpu").manual_seed(SEED),
                                output_type="latent").images


def make(folder):
    folder, tensors = Path(folder), {}
    sizes(tensors, folder)
    for row in HIRES:
        hires(tensors, folder, *row)
    for sampler in REFINER:
        refiner(tensors, folder, sampler)
    write_tensors(folder / "second.safetensors", {k: v.float().contiguous() for k, v in tensors.items()})
    write_json(folder / "second.json", {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "seed": SEED, "steps": STEPS, "guidance_scale": GUIDANCE, "side": SIDE,
        "hires": SCALE, "hires_steps": SECOND, "hires_strength": STRENGTH, "refiner_at": SWITCH,
        "upscalers": [{"name": n, "sampler": s} for n, s, _ in HIRES], "refiners": REFINER})


if __name__ == "__main__":
    common.setup()
    make(sys.argv[1])
