# models.py: the networks of the pack and its noise schedule, in the terms of diffusers and transformers, in two sizes.
import torch

import vocabulary

# cpu: trained on two cores at 128x128, cpu256 at 256x256; gpu: trained on a data-centre GPU at 256x256; try: a minute, to see the chain
# run. plain: how many levels have no attention.
SIZES = {
    "try": {"latent": 16, "channels": (32, 32, 64), "layers": 1, "heads": 2, "text_width": 64, "text_layers": 1, "picture": 128},
    "cpu": {"latent": 16, "channels": (64, 96, 128), "layers": 1, "heads": 4, "text_width": 128, "text_layers": 3, "picture": 128},
    "cpu256": {"latent": 32, "channels": (64, 96, 128, 192), "plain": 2, "layers": 1, "heads": 4, "text_width": 128, "text_layers": 4,
               "picture": 256},
    "gpu": {"latent": 32, "channels": (96, 128, 192), "layers": 1, "heads": 4, "text_width": 192, "text_layers": 4, "picture": 256},
}
STEPS = 1000
SCHEDULER = {"_class_name": "DDIMScheduler", "_diffusers_version": "0.30.0", "num_train_timesteps": STEPS, "beta_start": 0.00085,
             "beta_end": 0.018, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction", "timestep_spacing": "trailing",
             "rescale_betas_zero_snr": False, "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
             "thresholding": False, "trained_betas": None}


def alphas_cumprod(device="cpu"):
    b = torch.linspace(SCHEDULER["beta_start"] ** 0.5, SCHEDULER["beta_end"] ** 0.5, STEPS, dtype=torch.float32) ** 2
    return torch.cumprod(1 - b, 0).to(device)


def unet(profile, latent=None):
    """latent: height and width where they are not the profile's."""
    from diffusers import UNet2DConditionModel
    s = SIZES[profile]
    plain = s.get("plain", 1)
    seeing = len(s["channels"]) - plain
    return UNet2DConditionModel(
        sample_size=s["latent"] if latent is None or latent[0] == latent[1] else latent, in_channels=4, out_channels=4, block_out_channels=s["channels"], layers_per_block=s["layers"],
        down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",) * seeing,
        up_block_types=("CrossAttnUpBlock2D",) * seeing + ("UpBlock2D",) * plain,
        cross_attention_dim=s["text_width"], attention_head_dim=s["heads"], norm_num_groups=32)


def text_encoder(profile, vocab_size):
    from transformers import CLIPTextConfig, CLIPTextModel
    s = SIZES[profile]
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=vocab_size, hidden_size=s["text_width"], intermediate_size=4 * s["text_width"], num_hidden_layers=s["text_layers"],
        num_attention_heads=4, max_position_embeddings=vocabulary.LENGTH, hidden_act="quick_gelu", projection_dim=s["text_width"],
        bos_token_id=vocab_size - 2, eos_token_id=vocab_size - 1, pad_token_id=vocab_size - 1))


def from_v(x, v, a):
    """(x0, noise) from a noisy latent and the predicted velocity; a: alphas_cumprod at each sample's step, N x 1 x 1 x 1."""
    return a.sqrt() * x - (1 - a).sqrt() * v, (1 - a).sqrt() * x + a.sqrt() * v


@torch.no_grad()
def ddim(net, noise, text, empty, steps, scale, alphas, each=None):
    """The plain deterministic sampler, with guidance (scale 1: without), for teachers and contact sheets. each(i, x) is told where it
    stands after the i-th step, counted from 1; after the last that is the picture itself."""
    n = len(noise)
    ts = torch.linspace(STEPS, 0, steps + 1).round().long() - 1
    x = noise
    both = torch.cat([empty.expand(n, -1, -1), text])
    for i, (t, s) in enumerate(zip(ts[:-1], ts[1:])):
        if scale == 1.0:
            v = net(x, t, text).sample
        else:
            u, c = net(torch.cat([x, x]), t, both).sample.chunk(2)
            v = u + scale * (c - u)
        x0, eps = from_v(x, v, alphas[t])
        x = alphas[s].sqrt() * x0 + (1 - alphas[s]).sqrt() * eps if s >= 0 else x0
        if each:
            each(i + 1, x)
    return x
