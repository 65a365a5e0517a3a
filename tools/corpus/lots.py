# lots.py: what every corpus does with its attributes: draws them by lot, holds combinations out, and writes them as small numbers.
import hashlib

import numpy as np

NONE = 255                                            # a number for: does not apply


def hashed(*words):
    """A number that decides whether a combination is held out: the same on every machine."""
    return int.from_bytes(hashlib.sha256("/".join(words).encode()).digest()[:4], "big")


def rng_for(seed, index, stream=0, *corpus):
    """The random stream of one picture or clip: the same on every machine and in every order of drawing."""
    return np.random.Generator(np.random.PCG64([seed, index, stream, *corpus]))


def draw(rng, lot, held_out_by, which):
    """Draws lots until one is: which = train (no held-out combination), held (at least one), all."""
    while True:
        attrs = lot(rng)
        held = bool(held_out_by(attrs))
        if which == "all" or held == (which == "held"):
            return attrs


def to_codes(classes, attrs):
    return [NONE if attrs[k] is None else classes[k].index(attrs[k]) for k in classes]


def from_codes(classes, codes):
    return {k: None if int(c) == NONE else classes[k][int(c)] for k, c in zip(classes, codes)}
