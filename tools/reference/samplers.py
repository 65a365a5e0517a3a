"""Trajectories of diffusers' schedulers over a tiny latent, with a model that C can repeat."""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from common import f32, write_tensors

SHAPE = (1, 4, 4, 4)
NOISE_SEED, DRAW_SEED = 7, 99
BASE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
        "prediction_type": "epsilon"}
LEADING = {"timestep_spacing": "leading", "steps_offset": 1}
TRAILING, LINSPACE = {"timestep_spacing": "trailing"}, {"timestep_spacing": "linspace"}
KARRAS, EXPONENTIAL = {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}
V, X0 = {"prediction_type": "v_prediction"}, {"prediction_type": "sample"}
LINEAR = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}
COSINE = {"beta_schedule": "squaredcos_cap_v2"}
ZERO_SNR = {"rescale_betas_zero_snr": True}
NO_CLIP = {"clip_sample": False}

CLASSES = {
    "ddpm": "DDPMScheduler", "ddim": "DDIMScheduler", "pndm": "PNDMScheduler", "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler", "heun": "HeunDiscreteScheduler",
    "dpmpp_2m": "DPMSolverMultistepScheduler", "dpmpp_2m_sde": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler", "dpm2": "KDPM2DiscreteScheduler", "dpm2_a": "KDPM2AncestralDiscreteScheduler",
    "lms": "LMSDiscreteScheduler", "deis": "DEISMultistepScheduler", "dpmpp_2s": "DPMSolverSinglestepScheduler",
    "dpmpp_2s_sde": "DPMSolverSinglestepScheduler", "lcm": "LCMScheduler", "tcd": "TCDScheduler",
}
ALWAYS = {"ddpm": NO_CLIP, "ddim": NO_CLIP, "pndm": {"skip_prk_steps": True},
          "dpmpp_2m_sde": {"algorithm_type": "sde-dpmsolver++"},
          "dpmpp_2s_sde": {"algorithm_type": "sde-dpmsolver++"}}


# ---------------------------------------------------------------------------------------------------------------------
# The cases: sampler -> (steps, config on top of BASE and ALWAYS, arguments of step())
# ---------------------------------------------------------------------------------------------------------------------

SIGMA_CASES = [
    (5, {**LEADING}, {}), (10, {**LINSPACE}, {}), (4, {**TRAILING}, {}), (20, {**LEADING, **V}, {}),
    (5, {**TRAILING, **COSINE, **V}, {}), (5, {**LEADING, **LINEAR}, {}),
]
SNR_CASE = (5, {**TRAILING, **ZERO_SNR, **V}, {})
SPACED_SIGMA_CASES = [
    (10, {**LEADING, **KARRAS}, {}), (5, {**LINSPACE, **KARRAS, **V}, {}), (5, {**LEADING, **EXPONENTIAL}, {}),
    (4, {**TRAILING, **KARRAS, **LINEAR}, {}), (1, {**LEADING}, {}), (2, {**TRAILING, **KARRAS}, {}),
]
DPM_CASES = [
    (5, {**LEADING, **X0}, {}), SNR_CASE, (20, {**LEADING, **KARRAS}, {}), (5, {**LEADING, "solver_type": "heun"}, {}),
    (5, {**LEADING, "final_sigmas_type": "sigma_min"}, {}), (5, {**LEADING, "euler_at_final": True}, {}),
    (5, {**LEADING, "lower_order_final": False}, {}), (5, {**LEADING, "solver_order": 1}, {}),
]

# What each of these classes has beside the cases that all samplers with sigmas share.
BETA_CASE = (10, {**LEADING, "use_beta_sigmas": True}, {})
DEEP_CASES = [(n, {**LINSPACE, "solver_order": order}, {}) for order in (1, 2, 3) for n in (1, 2, 3, 4, 6, 7, 8, 20)]
SINGLE_CASES = [
    (5, {**X0}, {}), (5, {"solver_type": "heun"}, {}), (9, {"solver_type": "heun", "solver_order": 3}, {}),
    (8, {"final_sigmas_type": "sigma_min"}, {}), (8, {"final_sigmas_type": "sigma_min", "lower_order_final": True}, {}),
    (9, {"final_sigmas_type": "sigma_min", "solver_order": 3}, {}), (7, {"final_sigmas_type": "sigma_min"}, {}),
    (6, {"final_sigmas_type": "sigma_min", "solver_order": 3, "solver_type": "heun"}, {}),
    (5, {**COSINE, **V, "lambda_min_clipped": -5.1}, {}), (6, {**KARRAS, "final_sigmas_type": "sigma_min"}, {}),
]

CASES = {
    "ddpm": SIGMA_CASES + [SNR_CASE, (5, {**LEADING, **X0}, {}), (5, {**LEADING, "variance_type": "fixed_large"}, {})],
    "ddim": SIGMA_CASES + [
        SNR_CASE, (5, {**LEADING, **X0}, {}), (5, {**LEADING, "set_alpha_to_one": False}, {}),
        (10, {**LEADING, "set_alpha_to_one": False}, {"eta": 1.0}), (5, {**TRAILING}, {"eta": 0.5}),
        (5, {**TRAILING, **ZERO_SNR, **V}, {"eta": 1.0}), (1, {**LEADING}, {})],
    "pndm": SIGMA_CASES + [(5, {**LEADING, "set_alpha_to_one": True}, {}), (1, {**LEADING}, {}), (2, {**LEADING}, {}),
                           (10, {**LEADING, **COSINE}, {})],
    "euler": SIGMA_CASES + SPACED_SIGMA_CASES + [
        SNR_CASE, (5, {**LEADING, **X0}, {}), (5, {**LEADING, "final_sigmas_type": "sigma_min"}, {})],
    "euler_a": SIGMA_CASES + [SNR_CASE, (1, {**LEADING}, {})],
    "heun": SIGMA_CASES + SPACED_SIGMA_CASES + [(5, {**LEADING, **X0}, {})],
    "dpmpp_2m": SIGMA_CASES + SPACED_SIGMA_CASES + DPM_CASES + [
        (5, {**LEADING, "use_lu_lambdas": True}, {}), (5, {**LEADING, "solver_order": 3}, {})],
    "dpmpp_2m_sde": SIGMA_CASES + SPACED_SIGMA_CASES + DPM_CASES,
    "unipc": SIGMA_CASES + SPACED_SIGMA_CASES + [
        SNR_CASE, (5, {**LEADING, **X0}, {}),
        (5, {**LEADING, "solver_type": "bh1", "final_sigmas_type": "sigma_min"}, {}),
        (10, {**LEADING, "solver_order": 3}, {}), (5, {**LEADING, "solver_order": 1}, {}),
        (10, {**LEADING, "disable_corrector": [0, 1]}, {}),
        (5, {**LEADING, "lower_order_final": False, "final_sigmas_type": "sigma_min"}, {}),
        (5, {**LEADING, "final_sigmas_type": "sigma_min"}, {}), (20, {**LEADING, **KARRAS}, {})],
    "dpm2": SIGMA_CASES + SPACED_SIGMA_CASES + [BETA_CASE, SNR_CASE, (5, {**LEADING, "use_lu_lambdas": True}, {})],
    "dpm2_a": SIGMA_CASES[:4] + SIGMA_CASES[5:] + SPACED_SIGMA_CASES + [BETA_CASE, SNR_CASE],
    "lms": SIGMA_CASES + SPACED_SIGMA_CASES + [BETA_CASE, SNR_CASE, (5, {**LEADING, **X0}, {}), (3, {**LEADING, **KARRAS}, {})],
    "deis": SIGMA_CASES + SPACED_SIGMA_CASES + DEEP_CASES + [
        BETA_CASE, SNR_CASE, (5, {**LEADING, **X0}, {}), (20, {**LEADING, **KARRAS}, {}),
        (6, {**LEADING, "lower_order_final": False, "solver_order": 3}, {}),
        (5, {**LEADING, "solver_type": "midpoint", "algorithm_type": "dpmsolver++"}, {})],
    "dpmpp_2s": SIGMA_CASES + SPACED_SIGMA_CASES + DEEP_CASES + SINGLE_CASES + [BETA_CASE, SNR_CASE],
    "dpmpp_2s_sde": SIGMA_CASES + SPACED_SIGMA_CASES + DEEP_CASES + SINGLE_CASES + [BETA_CASE],
    "lcm": [(4, {}, {}), (1, {}, {}), (2, {}, {}), (8, {}, {}), (4, {**V}, {}), (4, {**X0}, {}), (4, {**COSINE}, {}),
            (4, {"set_alpha_to_one": False}, {}), (4, {**ZERO_SNR, **V}, {}),
            (10, {"original_inference_steps": 100}, {}),
            (4, {"timestep_scaling": 1.0}, {}), (5, {"original_inference_steps": 7}, {})],
    "tcd": [(4, {}, {"eta": 0.3}), (4, {}, {"eta": 0.0}), (4, {}, {"eta": 1.0}), (1, {}, {"eta": 0.3}),
            (8, {}, {"eta": 0.3}), (4, {**V}, {"eta": 0.3}), (4, {**X0}, {"eta": 0.3}),
            (4, {**ZERO_SNR, **V}, {"eta": 0.3}), (4, {"set_alpha_to_one": False}, {"eta": 0.3})],
}
# Flow matching: (sampler, class, steps, config, arguments). A class of its own is handed sigmas as pipelines do it, but where
# the spacing is linspace; `tokens` becomes mu as pipelines make it.
FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
DYNAMIC = {"use_dynamic_shifting": True}
FLOW_EULER, FLOW_HEUN = "FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"
FLOW_CASES = [
    *[("euler", FLOW_EULER, n, config, arguments) for n, config, arguments in [
        (8, {"shift": 3.0}, {}), (5, {}, {}), (1, {"shift": 3.0}, {}), (4, {"shift": 3.0}, {}), (28, {"shift": 3.0, **LINSPACE}, {}),
        (5, {**LINSPACE}, {}), (1, {"shift": 3.0, **LINSPACE}, {}), (6, DYNAMIC, {"mu": 1.15}), (6, DYNAMIC, {"tokens": 1024}),
        (6, DYNAMIC, {"tokens": 4096}), (6, {**DYNAMIC, **LINSPACE}, {"tokens": 64}),
        (6, {**DYNAMIC, "base_shift": 0.95, "max_shift": 2.05, "base_image_seq_len": 1024, "shift_terminal": 0.1}, {"tokens": 2048}),
        (6, {**DYNAMIC, "time_shift_type": "linear"}, {"mu": 1.6}), (8, {"shift": 3.0, "shift_terminal": 0.02}, {}),
        (8, {"shift": 3.0, **KARRAS}, {}), (8, {"shift": 3.0, **EXPONENTIAL}, {}), (8, {"shift": 3.0, "use_beta_sigmas": True}, {}),
        (7, {"num_train_timesteps": 500, "shift": 2.0, **LINSPACE}, {})]],
    *[("heun", FLOW_HEUN, n, {"shift": s, **LINSPACE}, {}) for n, s in [(5, 1.0), (8, 3.0), (1, 3.0)]],
    *[(name, CLASSES[name], n, {**FLOW, **config}, arguments)
      for name in ("dpmpp_2m", "dpmpp_2m_sde", "unipc", "deis", "dpmpp_2s", "dpmpp_2s_sde")
      for n, config, arguments in [(8, {"flow_shift": 3.0}, {}), (5, {}, {}), (2, {"flow_shift": 5.0}, {}),
                                   (20, {"flow_shift": 3.0, "solver_order": 3}, {}),
                                   (6, {**DYNAMIC, "time_shift_type": "exponential"}, {"mu": 1.15})]],
    ("unipc", CLASSES["unipc"], 6, {**FLOW, "flow_shift": 3.0, "shift_terminal": 0.1, "final_sigmas_type": "sigma_min"}, {}),
]
# What packs of SDXL bring: its own config, Turbo (1 to 4 steps), Lightning (2, 4, 8; a single step predicts x0), LCM, beta, and Align
# Your Steps, whose sigmas are handed to the scheduler. dialect: "ays" has n + 1 points of which the last becomes zero (its authors,
# ComfyUI), "ays_a1111" n points and zero behind them.
SDXL = {"steps_offset": 1, "interpolation_type": "linear", "set_alpha_to_one": False, "skip_prk_steps": True, "clip_sample": False}
AYS = {"sd": [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
       "sdxl": [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029]}
FEW_STEPS = [
    *[("euler_a", n, {**SDXL, **TRAILING}, {}) for n in (1, 2, 3, 4)], *[("euler", n, {**SDXL, **TRAILING}, {}) for n in (1, 2, 4, 8)],
    ("euler", 1, {**SDXL, **TRAILING, **X0}, {}), *[("lcm", n, {**SDXL, "original_inference_steps": 50}, {}) for n in (2, 4, 6)],
    ("ddim", 2, {**SDXL, **TRAILING}, {}), ("ddim", 8, {**SDXL, **TRAILING}, {}), ("tcd", 2, {**SDXL}, {"eta": 0.3}),
    *[(name, n, {**SDXL, **LEADING, "use_beta_sigmas": True}, {})
      for name in ("euler", "heun", "dpmpp_2m", "dpmpp_2m_sde", "unipc") for n in (1, 4, 25)],
    *[("euler", n, {**SDXL, **LEADING}, {"schedule": dialect, "table": table})
      for dialect in ("ays", "ays_a1111") for table in AYS for n in (4, 10, 11, 25)],
    *[("euler_a", 10, {**SDXL, **TRAILING}, {"schedule": "ays", "table": "sdxl"})],
]
IMG2IMG_FLOW = [("euler", FLOW_EULER, 10, {"shift": 3.0}, {}), ("dpmpp_2m", CLASSES["dpmpp_2m"], 10, {**FLOW, "flow_shift": 3.0}, {})]
IMG2IMG = {name: (10, {**LEADING}, {"eta": 0.3} if name == "tcd" else {}) for name in CASES}


# ---------------------------------------------------------------------------------------------------------------------
# One trajectory
# ---------------------------------------------------------------------------------------------------------------------

WAVE = torch.from_numpy((np.float32(0.1) * np.sin(np.arange(64)).astype(np.float32)).reshape(SHAPE))


def model(x, t):
    """0.7·x + 0.1·sin(i) − 0.05·(t/1000), every operation in float32 in this order."""
    shift = np.float32(0.05) * (np.float32(t) / np.float32(1000))
    return (x * torch.tensor(0.7, dtype=torch.float32) + WAVE) - torch.tensor(shift)


class Draws:
    """Stands in for randn_tensor: the same numbers, and a note of which call of step() drew them."""

    def __init__(self, module):
        self.module, self.original = module, getattr(module, "randn_tensor", None)
        self.generator, self.steps, self.now, self.noise = torch.Generator("cpu").manual_seed(DRAW_SEED), [], 0, []

    def __call__(self, shape, generator=None, device=None, dtype=None, layout=None):
        assert generator is self.generator and tuple(shape) == SHAPE
        value = self.original(shape, generator=generator, device=device, dtype=dtype)
        self.noise.append(value)
        self.steps.append(self.now)
        return value

    def __enter__(self):
        if self.original:
            self.module.randn_tensor = self
        return self

    def __exit__(self, *_):
        if self.original:
            self.module.randn_tensor = self.original


def build(sampler, config, class_name):
    import diffusers
    config = {**BASE, **ALWAYS.get(sampler, {}), **config}
    # As from a file: options that the class does not have are passed over.
    return getattr(diffusers, class_name).from_config(dict(config)), config


def walk(scheduler, timesteps, x, arguments):
    """Steps through; returns inputs, samples, the recorded draws and how often each timestep came."""
    inputs, samples = [], []
    with Draws(sys.modules[type(scheduler).__module__]) as draws:
        for i, t in enumerate(timesteps):
            draws.now = i
            scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            extra = {key: value for key, value in arguments.items() if key == "eta"}
            step = type(scheduler).step
            if "generator" in getattr(step, "__wrapped__", step).__code__.co_varnames:
                extra["generator"] = draws.generator
            x = scheduler.step(model(scaled, t), t, x, **extra).prev_sample
            inputs.append(scaled.reshape(64).clone())
            samples.append(x.reshape(64).clone())
    return torch.stack(inputs), torch.stack(samples), draws


def all_draws(count):
    g = torch.Generator("cpu").manual_seed(DRAW_SEED)
    return torch.stack([torch.randn(SHAPE, generator=g).reshape(64) for _ in range(count)])


def pipeline_arguments(scheduler, class_name, steps, arguments):
    """What pipelines hand to set_timesteps()."""
    extra = {}
    if "schedule" in arguments:
        table = np.log(AYS[arguments["table"]][::-1])
        points = steps + (arguments["schedule"] == "ays")
        sigmas = np.exp(np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(table)), table))[::-1][:steps]
        extra["sigmas"] = [*sigmas, 0.0]
    if "tokens" in arguments:
        c = scheduler.config
        slope = (c.max_shift - c.base_shift) / (c.max_image_seq_len - c.base_image_seq_len)
        extra["mu"] = arguments["tokens"] * slope + (c.base_shift - slope * c.base_image_seq_len)
    elif "mu" in arguments:
        extra["mu"] = arguments["mu"]
    if class_name == FLOW_EULER and not scheduler.linspace:
        extra["sigmas"] = np.linspace(1.0, 1 / steps, steps)
    return extra


def record(tensors, rows, sampler, case, start=0, class_name=None, prefix=""):
    """One row of samplers.json and its tensors. start > 0: image to image from that step on."""
    steps, config, arguments = case
    class_name = class_name or CLASSES[sampler]
    scheduler, config = build(sampler, config, class_name)
    scheduler.linspace = config.get("timestep_spacing") == "linspace"
    extra = pipeline_arguments(scheduler, class_name, steps, arguments)
    if sampler == "euler_a" and "sigmas" in extra:
        # This class takes no list: the numbers are put in, as for the class that does.
        euler, _ = build("euler", config, CLASSES["euler"])
        euler.set_timesteps(sigmas=extra["sigmas"])
        scheduler.set_timesteps(steps)
        scheduler.sigmas, scheduler.timesteps = euler.sigmas, euler.timesteps
    elif "schedule" in arguments:
        scheduler.set_timesteps(**extra)
    else:
        scheduler.set_timesteps(steps, **extra)
    init_noise_sigma = getattr(scheduler, "init_noise_sigma", 1.0)
    name = f"{prefix}{sampler}.{sum(r['name'].startswith(prefix + sampler + '.') for r in rows)}"
    noise = torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(NOISE_SEED))
    timesteps = scheduler.timesteps
    x = noise * init_noise_sigma
    first = start * scheduler.order
    if start:
        timesteps = timesteps[first:]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first)
        clean = torch.sin(torch.arange(64.0)).reshape(SHAPE)
        if hasattr(scheduler, "scale_noise"):
            x = scheduler.scale_noise(clean, timesteps[:1], noise)
        else:
            x = scheduler.add_noise(clean, noise, timesteps[:1])
        tensors[name + ".start"] = x.reshape(64)
    inputs, samples, draws = walk(scheduler, timesteps, x, arguments)
    assert torch.isfinite(samples).all() and samples.abs().max() < 1e4, name
    if draws.noise:
        assert torch.equal(torch.stack(draws.noise).reshape(-1, 64), all_draws(len(draws.noise)))
    tensors[name + ".timesteps"] = f32(scheduler.timesteps)
    if hasattr(scheduler, "sigmas"):
        tensors[name + ".sigmas"] = f32(scheduler.sigmas)
    if not torch.equal(inputs[1:], samples[:-1]) or start:
        tensors[name + ".inputs"] = inputs
    tensors[name + ".samples"] = samples
    rows.append({"name": name, "sampler": sampler, "class": class_name, "steps": steps, "config": config,
                 "arguments": arguments, "init_noise_sigma": float(init_noise_sigma),
                 "begin": first, "calls": len(timesteps), "order": scheduler.order, "draws_at": draws.steps})


# ---------------------------------------------------------------------------------------------------------------------
# The files
# ---------------------------------------------------------------------------------------------------------------------

def make(root):
    tensors, rows = {}, []
    for sampler, cases in CASES.items():
        for case in cases:
            record(tensors, rows, sampler, case)
        record(tensors, rows, sampler, IMG2IMG[sampler], start=4)
    for sampler, *case in FEW_STEPS:
        record(tensors, rows, sampler, case, prefix="xl.")
    for cases, start in ((FLOW_CASES, 0), (IMG2IMG_FLOW, 4)):
        for sampler, class_name, *case in cases:
            record(tensors, rows, sampler, case, start, class_name, "flow.")
    noise = torch.randn(SHAPE, generator=torch.Generator("cpu").manual_seed(NOISE_SEED))
    tensors["noise"], tensors["draws"], tensors["wave"] = noise.reshape(64), all_draws(40), WAVE.reshape(64)
    tensors["clean"] = torch.sin(torch.arange(64.0))
    for name, beta in (("scaled_linear", {}), ("linear", LINEAR), ("cosine", COSINE), ("zero_snr", ZERO_SNR)):
        scheduler, _ = build("ddim", beta, CLASSES["ddim"])
        tensors["alphas_cumprod." + name] = scheduler.alphas_cumprod[::37].clone()
    write_tensors(Path(root) / "samplers.safetensors", tensors)
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (Path(root) / "samplers.json").write_text("[\n" + lines + "\n]\n")
    print("samplers", len(rows), "trajectories")
