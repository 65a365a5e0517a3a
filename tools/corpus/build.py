# build.py: a corpus on disk, drawn on all cores: pictures.npy (uint8, N x H x W x C), codes.npy (N x attributes) and `done`.
import multiprocessing as mp
import os
import time

# Many processes draw at once: threads of their own would only be in the way.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
import numpy as np


def _fill(job):
    out, sample, lo, hi = job
    pics = np.load(os.path.join(out, "pictures.npy"), mmap_mode="r+")
    codes = np.load(os.path.join(out, "codes.npy"), mmap_mode="r+")
    for i in range(lo, hi):
        pics[i], codes[i] = sample(i)
    return hi - lo


def build(out, count, sample, stamp, name, workers=None):
    """Fills `out` with sample(index) -> (picture, codes) for `count` indices. stamp: one line that says what the corpus is; a folder
    that has it and is complete is left as it is."""
    done = os.path.join(out, "done")
    if os.path.exists(done) and open(done).read() == stamp:
        return
    os.makedirs(out, exist_ok=True)
    picture, codes = sample(0)
    np.lib.format.open_memmap(os.path.join(out, "pictures.npy"), "w+", np.uint8, (count, *picture.shape))
    np.lib.format.open_memmap(os.path.join(out, "codes.npy"), "w+", np.uint8, (count, len(codes)))
    step = 64
    jobs = [(out, sample, lo, min(count, lo + step)) for lo in range(0, count, step)]
    began, n = time.time(), 0
    with mp.get_context("fork").Pool(workers or os.cpu_count()) as pool:
        for k in pool.imap_unordered(_fill, jobs):
            n += k
            if n % (step * 20) < step:
                print(f"corpus {name} {n}/{count} {n / (time.time() - began):.0f}/s", flush=True)
    with open(done, "w") as f:
        f.write(stamp)
