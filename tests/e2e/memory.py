#!/usr/bin/env python3
"""What does not fit into a device's memory is refused before its first step, with figures, and not tried again."""
import pathlib, resource, subprocess, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lib import BIN, ROOT, Place, check, finish, wait_for

WORDS = "GiB, this device has "
LIMITS = {"POCL_MEMORY_LIMIT": "1"}
LARGE = {
    "a picture": ("image", "--width", 4096, "--height", 4096),
    "a video": ("video", "--frames", 64, "--width", 1024, "--height", 1024),
}


def main():
    place = Place(packs=str(ROOT / "models"), model_image="ink")
    if "opencl:0" not in place.sumi("devices", **LIMITS).stdout:
        print("skip memory there is no OpenCL device")
        return
    memory = place.json("devices", **LIMITS)[0]["memory"]
    if memory > 2 << 30:
        print(f"skip memory this driver does not take a limit: {memory}")
        return
    place.start(**LIMITS)
    for what, (verb, *options) in LARGE.items():
        id = place.json(verb, "fog", "--detach", *options)["id"]
        wait_for(lambda: place.json("show", id)["state"] in ("failed", "done"), 120)
        row = place.json("show", id)
        # Refused where it was taken in, or by the worker that claimed it.
        check(row["state"] == "failed" and WORDS in row.get("error", "") and row.get("failures", 0) <= 1 and
              not row.get("crashes"), f"{what}: one failure, with figures", row)
        check("step.made" not in place.new_log().decode(), f"{what}: no step was made")
    place.stop()
    render = place.sumi("render", "fog", "--pack", ROOT / "models" / "ink", "--width", 4096, "--height", 4096,
                        "-o", "a.png", **LIMITS)
    check(render.returncode == 2 and WORDS in render.stderr and not (place.dir / "a.png").exists(), "render says it too",
          render.stderr)

    def little():
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
    done = subprocess.run([BIN / "sumi", "devices", "--json"], env=place.env(), capture_output=True, text=True,
                          preexec_fn=little)
    check(f'"memory":{1 << 30}' in done.stdout.replace(" ", ""), "a limit of the process is one of its devices",
          done.stdout + done.stderr)
    place.remove()


main()
finish()
