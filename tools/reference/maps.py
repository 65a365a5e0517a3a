#!/usr/bin/env python3
"""Pictures, and the maps that OpenCV (opencv-python-headless 5.0.0) makes of them with the recipes of
stable-diffusion-webui's ControlNet extension: tests/vectors/maps.safetensors.

    python tools/reference/maps.py          needs opencv-python-headless, numpy, safetensors
"""
import pathlib

import cv2
import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/vectors/maps.safetensors"
rng = np.random.default_rng(5)


def blobs(w, h, grain):
    small = rng.random((h // grain + 2, w // grain + 2, 3)).astype(np.float32)
    return (cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).round().astype(np.uint8)


def drawing(w, h):
    img = np.full((h, w, 3), 245, np.uint8)
    for _ in range(9):
        a, b = (tuple(int(v) for v in rng.integers(0, (w, h))) for _ in range(2))
        cv2.line(img, a, b, [int(v) for v in rng.integers(0, 140, 3)], int(rng.integers(1, 4)))
    cv2.circle(img, (w // 2, h // 2), h // 4, (200, 60, 20), -1)
    cv2.putText(img, "ink", (4, h - 8), cv2.FONT_HERSHEY_SIMPLEX, 1, (10, 10, 10), 2)
    return img


def lineart(img):
    x = img.astype(np.float32)
    intensity = np.min(cv2.GaussianBlur(x, (0, 0), 6.0) - x, axis=2).clip(0, 255)
    strong = intensity[intensity > 8]
    intensity /= max(16, np.median(strong) if strong.size else 16)
    return (intensity * 127).clip(0, 255).astype(np.uint8)


def scribble(img):
    x = img.astype(np.float32)
    dog = (255 - np.min(cv2.GaussianBlur(x, (0, 0), 5.0) - cv2.GaussianBlur(x, (0, 0), 0.5), axis=2)).clip(0, 255)
    return np.where(2 * (255 - dog.astype(np.uint8).astype(np.int32)) > 32, 255, 0).astype(np.uint8)


pictures = {"blobs": blobs(61, 47, 9), "fine": blobs(90, 66, 3), "noise": rng.integers(0, 256, (40, 52, 3)).astype(np.uint8),
            "drawing": drawing(120, 88), "line": blobs(17, 1, 3), "column": blobs(1, 13, 3),
            "pixel": np.array([[[9, 200, 31]]], np.uint8), "black": np.zeros((9, 12, 3), np.uint8),
            "steps": np.repeat(np.repeat(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), 7, 0), 7, 1)}
tensors = {}
for name, img in pictures.items():
    tensors[name] = img
    tensors[f"{name}.canny"] = cv2.Canny(img, 100, 200)
    tensors[f"{name}.canny.30.70"] = cv2.Canny(img, 30, 70)
    tensors[f"{name}.luminance"] = cv2.cvtColor(img, cv2.COLOR_RGB2GRAY)
    tensors[f"{name}.lineart"] = lineart(img)
    tensors[f"{name}.scribble"] = scribble(img)
    tensors[f"{name}.blur"] = cv2.GaussianBlur(img.astype(np.float32), (0, 0), 9.0).round().astype(np.uint8)
save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, OUT)
