"""Upscalers: small random networks in the ways that people name them, and what spandrel computes with them; a picture
that ncnn has enlarged with Real-ESRGAN's own weights, where the folder with these is given (SUMI_REAL).

Packages: spandrel 0.4.2, ncnn 1.0.20261020."""

import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import common

HEIGHT, WIDTH = 10, 14


def picture():
    """A picture with edges, slopes and noise."""
    g = common.generator("upscalers", "picture")
    y, x = torch.meshgrid(torch.arange(HEIGHT) / HEIGHT, torch.arange(WIDTH) / WIDTH, indexing="ij")
    planes = [y, x, ((x + y) > 0.9).float()]
    return (0.8 * torch.stack(planes) + 0.2 * torch.rand(3, HEIGHT, WIDTH, generator=g)).clamp(0, 1)


def new_names(state, blocks, ups):
    """ESRGAN's names of before to those of Real-ESRGAN's trainer."""
    words = {"model.0": "conv_first", f"model.1.sub.{blocks}": "conv_body", f"model.{3 * ups + 2}": "conv_hr",
             f"model.{3 * ups + 4}": "conv_last"}
    words.update({f"model.{3 * i}": f"conv_up{i}" for i in range(1, ups + 1)})
    out = {}
    for name, value in state.items():
        stem, end = name.rsplit(".", 1)
        if stem not in words:
            _, _, _, block, dense, conv, _ = stem.split(".")
            stem = f"body.{block}.{dense.lower()}.{conv}"
        out[f"{words.get(stem, stem)}.{end}"] = value
    return out


def networks():
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
    from spandrel.architectures.SPAN.__arch.span import SPAN
    compact = SRVGGNetCompact(num_feat=24, num_conv=3, upscale=2)
    plain = RRDBNet(num_filters=8, num_blocks=2, scale=4)
    half = RRDBNet(in_nc=12, num_filters=8, num_blocks=1, scale=4, shuffle_factor=2)
    span = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2)
    bare = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=4, upscale=1, norm=False)
    for name, net in (("compact", compact), ("plain", plain), ("half", half), ("span", span), ("bare", bare)):
        common.healthy(net, "upscaler-" + name)
        net.eval()
    for name, p in compact.named_parameters():
        if p.dim() == 1 and "bias" not in name:
            p.data = 0.3 * torch.rand(p.shape, generator=common.generator(name)) - 0.05
    for p in span.conv_1.parameters():  # it reads colours up to 255
        p.data = p.data / 64
    for net in (compact, plain, half, span, bare):  # what the files hold
        for p in net.parameters():
            p.data = p.data.half().float()
    return compact, plain, half, span, bare


def real(folder, name, image):
    import ncnn
    net = ncnn.Net()
    net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = net.opt.use_fp16_storage = False
    net.load_param(str(folder / f"realesr-animevideov3-{name}.param"))
    net.load_model(str(folder / "realesr-animevideov3-x2.bin"))
    extractor = net.create_extractor()
    extractor.input(net.input_names()[0], ncnn.Mat(image.numpy()).clone())
    return torch.from_numpy(np.array(extractor.extract(net.output_names()[0])[1])).clone()


def make(out):
    out = Path(out) / "upscalers"
    out.mkdir(parents=True, exist_ok=True)
    compact, plain, half, span, bare = networks()
    image = picture()
    results = {"picture": image}
    for name, net, state in (("compact", compact, compact.state_dict()),
                             ("plain", plain, plain.state_dict()),
                             ("half", half, new_names(half.state_dict(), 1, 2)),
                             ("span", span, span.state_dict()), ("bare", bare, bare.state_dict())):
        results[name] = net(image[None])[0]
        state = {key: value.half().contiguous() for key, value in state.items()}
        for key in [k for k in state if ".eval_conv." in k]:  # of some moment of the training: nobody uses them
            state[key] = torch.full_like(state[key], 7)
        if name == "half":
            torch.save({"params_ema": state}, out / "half.pth")
        else:
            save_file(state, out / f"{name}.safetensors")
    if os.environ.get("SUMI_REAL"):
        folder = Path(os.environ["SUMI_REAL"]) / "upscale"
        for name in ("x2", "x4"):
            results["ncnn." + name] = real(folder, name, image)
    save_file({key: value.contiguous() for key, value in results.items()}, out.with_suffix(".safetensors"))
