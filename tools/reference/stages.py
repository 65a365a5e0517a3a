"""Runs a pack with float32 diffusers, read back from its files, and records what comes out of every stage."""

import numpy as np
import torch

from common import f32, generator


# ---------------------------------------------------------------------------------------------------------------------
# Recording
# ---------------------------------------------------------------------------------------------------------------------

class Recorder:
    """Keeps the outputs of chosen modules under chosen names."""

    def __init__(self):
        self.tensors, self.handles = {}, []

    def put(self, name, value):
        self.tensors[name] = value.detach().clone().to(torch.float32)

    def watch(self, module, name):
        def hook(_module, _args, output):
            value = output[0] if isinstance(output, tuple) else getattr(output, "sample", output)
            self.put(name, value)
        self.handles.append(module.register_forward_hook(hook))

    def stop(self):
        for handle in self.handles:
            handle.remove()
        self.handles = []


def test_image(height, width):
    """The picture that the encoders read: [1, 3, h, w], in -1..1; C reads it from the dump."""
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    planes = [torch.sin(6 * x + 3 * y), torch.cos(5 * x * y + 1), torch.sin(9 * (x - 0.5) ** 2 + 7 * y)]
    return (torch.stack(planes)[None] * 0.9).to(torch.float32)


# ---------------------------------------------------------------------------------------------------------------------
# Stages
# ---------------------------------------------------------------------------------------------------------------------

def token_ids(tokenizer, prompt):
    return tokenizer(prompt, padding="max_length", max_length=tokenizer.model_max_length, truncation=True,
                     return_tensors="pt").input_ids


def text_stages(rec, pipe, spec, full):
    """Token ids and embeddings; in full: the text encoder's layers, and the embedding of clip skip."""
    encoder = pipe.text_encoder
    for key, prompt in (("text", spec["prompt"]), ("negative", spec["negative"])):
        ids = token_ids(pipe.tokenizer, prompt)
        rec.put(key + ".ids", f32(ids[0]))
        out = encoder(ids, output_hidden_states=True)
        rec.put(key + ".last_hidden", out.last_hidden_state)
        rec.put(key + ".pooled", out.pooler_output)
        if key == "negative" or not full:
            continue
        for i, hidden in enumerate(out.hidden_states):
            rec.put(f"text.hidden.{i}", hidden)
        rec.put("text.penultimate_ln", encoder.final_layer_norm(out.hidden_states[-2]))


def pair_stages(rec, pipe, spec):
    """Stable Diffusion XL: both encoders' ids, the second one's layers, and what the UNet gets of each text."""
    for key, prompt in (("text", spec["prompt"]), ("negative", spec["negative"])):
        rec.put(key + ".ids", f32(token_ids(pipe.tokenizer, prompt)[0]))
        rec.put(key + ".2.ids", f32(token_ids(pipe.tokenizer_2, prompt)[0]))
    out = pipe.text_encoder_2(token_ids(pipe.tokenizer_2, spec["prompt"]), output_hidden_states=True)
    for i, hidden in enumerate(out.hidden_states):
        rec.put(f"text.2.hidden.{i}", hidden)
    rec.put("text.2.pooled", out.text_embeds)
    for name, skip, prompt, negative in (("pair", None, spec["prompt"], spec["negative"]),
                                         ("pair.skip", 1, spec["prompt"], spec["negative"]),
                                         ("pair.absent", None, spec["prompt"], None),
                                         ("pair.empty", None, spec["prompt"], "")):
        parts = pipe.encode_prompt(prompt=prompt, negative_prompt=negative, clip_skip=skip,
                                   do_classifier_free_guidance=True, num_images_per_prompt=1)
        for part, value in zip(("tokens", "negative.tokens", "pooled", "negative.pooled"), parts):
            if name == "pair" or (name == "pair.skip") == (not part.startswith("negative")):
                rec.put(f"{name}.{part}", value)
    for name, (height, width) in (("run.ids", spec["run"]), ("pair.ids", spec["stage"])):
        size = (height * pipe.vae_scale_factor, width * pipe.vae_scale_factor)
        ids = pipe._get_add_time_ids(size, (0, 0), size, torch.float32,
                                     text_encoder_projection_dim=pipe.text_encoder_2.config.projection_dim)
        rec.put(name, ids)
    return rec.tensors["pair.tokens"], {"text_embeds": rec.tensors["pair.pooled"], "time_ids": ids}


def unet_stages(rec, pipe, spec, context, added=None):
    """One call of the UNet, batch of one."""
    unet, (height, width) = pipe.unet, spec["stage"]
    g = generator(spec["name"], "unet input")
    sample = torch.randn((1, unet.config.in_channels, height, width), generator=g)
    timestep = 801
    rec.put("unet.in.sample", sample)
    rec.put("unet.in.timestep", f32([timestep]))
    rec.put("unet.in.context", context)
    cond = None
    if unet.config.time_cond_proj_dim:
        cond = pipe.get_guidance_scale_embedding(torch.tensor([6.5]), unet.config.time_cond_proj_dim)
        rec.put("unet.in.time_cond", cond)
    rec.watch(unet.time_proj, "unet.time_proj")
    rec.watch(unet.time_embedding, "unet.time_embedding")
    if added:
        rec.put("unet.in.pooled", added["text_embeds"])
        rec.put("unet.in.ids", added["time_ids"])
        rec.watch(unet.add_embedding, "unet.add_embedding")
    rec.watch(unet.conv_in, "unet.conv_in")
    for i, block in enumerate(unet.down_blocks):
        rec.watch(block, f"unet.down.{i}")
    if unet.mid_block is not None:
        rec.watch(unet.mid_block, "unet.mid")
    for i, block in enumerate(unet.up_blocks):
        rec.watch(block, f"unet.up.{i}")
    if spec.get("detail"):
        detail(rec, unet)
    out = unet(sample, timestep, encoder_hidden_states=context, timestep_cond=cond,
               added_cond_kwargs=added).sample
    rec.put("unet.out", out)
    rec.stop()


def detail(rec, unet):
    """The inside of the first block with attention and of the middle block, by the modules' own names."""
    for name, module in unet.named_modules():
        inside = name.startswith(("down_blocks.0.", "mid_block.attentions.0"))
        leaf = name.split(".")[-1] in ("conv1", "attn1", "attn2", "ff", "proj_in", "time_emb_proj")
        block = name.split(".")[-2:-1] in (["resnets"], ["attentions"], ["downsamplers"])
        if inside and (block or leaf) and ".1." not in name and "attentions.1" not in name:
            rec.watch(module, "unet.module." + name)


def vae_stages(rec, pipe, spec):
    """Decoder and encoder of the autoencoder, on small inputs."""
    vae, (height, width) = pipe.vae, spec.get("vae_stage", (4, 4))
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    g = generator(spec["name"], "vae input")
    latent = torch.randn((1, vae.config.latent_channels, height, width), generator=g)
    image = test_image(height * scale, width * scale)
    rec.put("vae.dec.in", latent)
    rec.put("vae.enc.in", image)
    if vae.config._class_name == "AutoencoderTiny":
        for i, layer in enumerate(vae.decoder.layers):
            rec.watch(layer, f"vae.dec.layer.{i}")
        for i, layer in enumerate(vae.encoder.layers):
            rec.watch(layer, f"vae.enc.layer.{i}")
        rec.put("vae.dec.out", vae.decode(latent).sample)
        rec.put("vae.enc.out", vae.encode(image).latents)
        rec.stop()
        return
    rec.watch(vae.decoder.conv_in, "vae.dec.conv_in")
    rec.watch(vae.decoder.mid_block, "vae.dec.mid")
    rec.watch(vae.encoder.conv_in, "vae.enc.conv_in")
    rec.watch(vae.encoder.mid_block, "vae.enc.mid")
    for i, block in enumerate(vae.decoder.up_blocks):
        rec.watch(block, f"vae.dec.up.{i}")
    for i, block in enumerate(vae.encoder.down_blocks):
        rec.watch(block, f"vae.enc.down.{i}")
    rec.put("vae.dec.out", vae.decode(latent).sample)
    posterior = vae.encode(image).latent_dist
    rec.put("vae.enc.moments", posterior.parameters)
    rec.put("vae.enc.mean", posterior.mean)
    rec.put("vae.enc.std", posterior.std)
    rec.stop()


# ---------------------------------------------------------------------------------------------------------------------
# A whole picture
# ---------------------------------------------------------------------------------------------------------------------

def decode_picture(pipe, latents):
    """[-1, 1] clamped to [0, 1], and the bytes of the picture."""
    image = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    image = (image / 2 + 0.5).clamp(0, 1)
    rgb = (image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return image, rgb


def whole_run(rec, pipe, spec):
    """Text to picture: latents after every step, the first UNet call, and the picture."""
    height, width = spec["run"]
    scale = pipe.vae_scale_factor
    first, timesteps = {}, []

    def before(_module, args, kwargs):
        if not first:
            first["sample"] = args[0] if args else kwargs["sample"]

    def after(_module, _args, output):
        if "out" not in first:
            first["out"] = output[0] if isinstance(output, tuple) else output.sample

    def step_end(_pipe, i, t, values):
        rec.put(f"run.latents.{i}", values["latents"])
        timesteps.append(float(t))
        return values

    seed = spec["seed"]
    noise = torch.randn((1, 4, height, width), generator=torch.Generator("cpu").manual_seed(seed))
    rec.put("run.noise", noise)
    handles = [pipe.unet.register_forward_pre_hook(before, with_kwargs=True), pipe.unet.register_forward_hook(after)]
    latents = pipe(prompt=spec["prompt"], negative_prompt=spec["negative"], height=height * scale, width=width * scale,
                   num_inference_steps=spec["steps"], guidance_scale=spec["guidance"],
                   generator=torch.Generator("cpu").manual_seed(seed), output_type="latent",
                   callback_on_step_end=step_end).images
    for handle in handles:
        handle.remove()
    rec.put("run.unet_in.0", first["sample"])
    rec.put("run.unet_out.0", first["out"])
    rec.put("run.timesteps", f32(timesteps))
    image, rgb = decode_picture(pipe, latents)
    rec.put("run.image", image)
    return rgb


def absent_run(rec, pipe, spec):
    """The same without a negative prompt, which Stable Diffusion XL takes for another thing than an empty one."""
    height, width = (v * pipe.vae_scale_factor for v in spec["run"])

    def step_end(_pipe, i, _t, values):
        rec.put(f"absent.latents.{i}", values["latents"])
        return values

    pipe(prompt=spec["prompt"], height=height, width=width, num_inference_steps=spec["steps"],
         guidance_scale=spec["guidance"], generator=torch.Generator("cpu").manual_seed(spec["seed"]),
         output_type="latent", callback_on_step_end=step_end)


def refine(rec, pipe, spec):
    """SDXL's refiner: what the UNet gets, and a run from `vae.enc.in`, with a negative prompt and without."""
    image = test_image(*(v * pipe.vae_scale_factor for v in spec["run"]))
    rec.put("vae.enc.in", image)

    def before(_module, _args, kwargs):
        added = kwargs["added_cond_kwargs"]
        if "refine.ids" not in rec.tensors:
            rec.put("refine.tokens", kwargs["encoder_hidden_states"])
            rec.put("refine.pooled", added["text_embeds"])
            rec.put("refine.ids", added["time_ids"])

    handle = pipe.unet.register_forward_pre_hook(before, with_kwargs=True)
    for rows, negative in (("refine", spec["negative"]), ("absent", None)):
        def step_end(_pipe, i, _t, values, rows=rows):
            rec.put(f"{rows}.latents.{i}", values["latents"])
            return values

        pipe(prompt=spec["prompt"], negative_prompt=negative, image=image, strength=spec["img2img"],
             num_inference_steps=spec["steps"], guidance_scale=spec["guidance"],
             generator=torch.Generator("cpu").manual_seed(spec["seed"]), output_type="latent",
             callback_on_step_end=step_end)
    handle.remove()


def image_run(rec, pipe, spec):
    """Image to image from `vae.enc.in`: the generator draws the posterior's noise first, then the noise to add."""
    from diffusers import StableDiffusionImg2ImgPipeline
    other = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    other.set_progress_bar_config(disable=True)
    image = rec.tensors["vae.enc.in"]

    def before(_module, args, kwargs):
        if "i2i.unet_in.0" not in rec.tensors:
            rec.put("i2i.unet_in.0", args[0] if args else kwargs["sample"])

    def step_end(_pipe, i, _t, values):
        rec.put(f"i2i.latents.{i}", values["latents"])
        return values

    handle = pipe.unet.register_forward_pre_hook(before, with_kwargs=True)
    other(prompt=spec["prompt"], negative_prompt=spec["negative"], image=image, strength=spec["img2img"],
          num_inference_steps=spec["steps"] * 2, guidance_scale=spec["guidance"],
          generator=torch.Generator("cpu").manual_seed(spec["seed"]), output_type="latent",
          callback_on_step_end=step_end)
    handle.remove()
    rec.put("i2i.timesteps", f32(other.scheduler.timesteps))
