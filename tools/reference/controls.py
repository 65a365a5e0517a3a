#!/usr/bin/env python3
"""Networks that see a picture, made at random for the small packs, and what diffusers (0.42.1) paints with them in
float32: tests/vectors/steering/. Each run has NAME.run.safetensors, latents after the last step and the picture.

    python tools/reference/controls.py          needs torch, diffusers, transformers, safetensors, pillow
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import common
import torch
from safetensors.torch import save_file

common.setup()
VECTORS = pathlib.Path(__file__).resolve().parents[2] / "tests/vectors"
OUT = VECTORS / "steering"
OUT.mkdir(parents=True, exist_ok=True)

from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, StableDiffusionXLControlNetPipeline
from diffusers import ControlNetUnionModel, StableDiffusionXLControlNetUnionPipeline
from diffusers.models.controlnets.multicontrolnet_union import MultiControlNetUnionModel
from PIL import Image

SIDE, STEPS = 64, 4


def picture(name, seed):
    """Blobs of colour, as PNG of the very size that is painted."""
    g = common.generator("control picture", seed)
    x = torch.rand((1, 3, 9, 9), generator=g)
    x = torch.nn.functional.interpolate(x, (SIDE, SIDE), mode="bicubic").clamp(0, 1)[0]
    image = Image.fromarray((x.permute(1, 2, 0) * 255).round().byte().numpy())
    image.save(OUT / f"{name}.png")
    return image


def unet_config(pack):
    return json.loads((VECTORS / pack / "unet/config.json").read_text())


def controlnet(name, pack, order="rgb", widths=(4, 8, 8, 12), model=ControlNetModel, **more):
    """A ControlNet for the pack, half as strong as its UNet would be: healthy() leaves no layer at zero."""
    u = unet_config(pack)
    keep = ("attention_head_dim", "block_out_channels", "cross_attention_dim", "down_block_types", "layers_per_block",
            "norm_num_groups", "norm_eps", "use_linear_projection", "transformer_layers_per_block",
            "addition_embed_type", "addition_time_embed_dim", "projection_class_embeddings_input_dim")
    config = {"_class_name": model.__name__, **more, **{k: u[k] for k in keep if k in u},
              "conditioning_embedding_out_channels": list(widths), "controlnet_conditioning_channel_order": order}
    net = common.healthy(model.from_config(config), "control " + name)
    for block in list(net.controlnet_down_blocks) + [net.controlnet_mid_block]:
        block.weight.mul_(0.4)
    folder = OUT / name
    folder.mkdir(exist_ok=True)
    common.write_json(folder / "config.json", config)
    save_file(common.state(net, "f16"), folder / "diffusion_pytorch_model.safetensors")
    return model.from_pretrained(folder, torch_dtype=torch.float32)


def original_name(name):
    """As lllyasviel's files call it; of a net with two residual blocks a level."""
    head = "control_model."
    piece = name.split(".")
    table = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
             "conv_in": "input_blocks.0.0", "controlnet_cond_embedding.conv_in": "input_hint_block.0",
             "controlnet_cond_embedding.conv_out": "input_hint_block.14", "controlnet_mid_block": "middle_block_out.0"}
    for key, value in table.items():
        if name.startswith(key + "."):
            return head + value + name[len(key):]
    if name.startswith("controlnet_cond_embedding.blocks."):
        return head + f"input_hint_block.{2 * int(piece[2]) + 2}.{piece[3]}"
    if name.startswith("controlnet_down_blocks."):
        return head + f"zero_convs.{piece[1]}.0.{piece[2]}"
    resnet = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
              "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
    if piece[0] == "mid_block":
        index = {"resnets0": 0, "attentions0": 1, "resnets1": 2}[piece[1] + piece[2]]
        rest = piece[3:]
        start = f"middle_block.{index}."
    else:
        level, kind, layer = int(piece[1]), piece[2], int(piece[3])
        block = 1 + 3 * level + (2 if kind == "downsamplers" else layer)
        if kind == "downsamplers":
            return head + f"input_blocks.{block}.0.op.{piece[-1]}"
        start = f"input_blocks.{block}.{0 if kind == 'resnets' else 1}."
        rest = piece[4:]
    return head + start + ".".join([resnet.get(rest[0], rest[0])] + rest[1:])


def write_run(name, pipe, seed=7, **how):
    how = dict(num_inference_steps=STEPS, guidance_scale=7.5, height=SIDE, width=SIDE, **how)
    latents = pipe("a boat", generator=torch.Generator().manual_seed(seed), output_type="latent", **how).images
    image = pipe("a boat", generator=torch.Generator().manual_seed(seed), output_type="pt", **how).images
    save_file({"latents": latents[0].contiguous(), "image": image[0].contiguous()}, OUT / f"{name}.run.safetensors")


def load(cls, pack, **parts):
    pipe = cls.from_pretrained(VECTORS / pack, torch_dtype=torch.float32, local_files_only=True,
                               **({"safety_checker": None} if "XL" not in cls.__name__ else {}), **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sd1():
    first, second = picture("first", 1), picture("second", 2)
    a, b = controlnet("sd1-a", "sd1-tiny"), controlnet("sd1-b", "sd1-tiny", "bgr", (8, 4, 4, 8))
    save_file({original_name(k): v for k, v in common.state(a, "f16").items()}, OUT / "sd1-a-original.safetensors")
    for file in ("sd1-a-original", "sd1-a/diffusion_pytorch_model"):  # groups are what no tensor tells
        (OUT / f"{file}.sumi.json").write_text('{"config": {"controlnet": {"norm_num_groups": 8}}}\n')
    pipe = load(StableDiffusionControlNetPipeline, "sd1-tiny", controlnet=a)
    write_run("sd1-one", pipe, image=first, controlnet_conditioning_scale=0.8)
    write_run("sd1-guess", pipe, image=first, controlnet_conditioning_scale=0.9, guess_mode=True)
    write_run("sd1-part", pipe, image=first, control_guidance_start=0.3, control_guidance_end=0.7)
    pipe = load(StableDiffusionControlNetPipeline, "sd1-tiny", controlnet=[a, b])
    write_run("sd1-two", pipe, image=[first, second], controlnet_conditioning_scale=[0.7, 0.5],
              control_guidance_start=[0.0, 0.25], control_guidance_end=[0.5, 1.0])
    write_run("sd1-two-guess", pipe, image=[first, second], controlnet_conditioning_scale=[0.7, 0.5], guess_mode=True)


def sdxl():
    first = picture("first", 1)
    pipe = load(StableDiffusionXLControlNetPipeline, "sdxl-tiny", controlnet=controlnet("sdxl-a", "sdxl-tiny"))
    write_run("sdxl-one", pipe, image=first, controlnet_conditioning_scale=0.8, negative_prompt="blurry")


def union():
    """One for eight kinds of maps; diffusers is shown several as several networks, as sumi has them."""
    first, second = picture("first", 1), picture("second", 2)
    net = controlnet("sdxl-union", "sdxl-tiny", model=ControlNetUnionModel, num_control_type=8, num_trans_channel=8,
                     num_trans_head=2, num_trans_layer=2, num_proj_channel=8)
    (OUT / "sdxl-union/diffusion_pytorch_model.sumi.json").write_text(
        '{"config": {"controlnet": {"norm_num_groups": 8, "num_trans_head": 2, "addition_time_embed_dim": 8, '
        '"attention_head_dim": [1, 2, 4]}}}\n')
    pipe = load(StableDiffusionXLControlNetUnionPipeline, "sdxl-tiny", controlnet=net)
    write_run("sdxl-union", pipe, control_image=[first], control_mode=[3], controlnet_conditioning_scale=0.8, negative_prompt="blurry")
    pipe = load(StableDiffusionXLControlNetUnionPipeline, "sdxl-tiny", controlnet=MultiControlNetUnionModel([net, net]))
    write_run("sdxl-union-two", pipe, control_image=[first, second], control_mode=[0, 6],
              controlnet_conditioning_scale=[0.7, 0.5], negative_prompt="blurry")


PARTS = {"sd1": sd1, "sdxl": sdxl, "union": union}
for part in sys.argv[1:] or PARTS:
    PARTS[part]()
