#!/usr/bin/env python3
"""What does not fit into a device's memory is refused before its first step, with figures, and not tried again."""
import json, pathlib, resource, subprocess, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from gateway_lib import Gateway
from lib import BIN, ROOT, Place, check, finish, refused_job, wait_for

WORDS = "GiB, this device has "
LIMITS = {"POCL_MEMORY_LIMIT": "1"}
LARGE = {
    "a picture": ("image", "--width", 4096, "--height", 4096),
    "a video": ("video", "--frames", 64, "--width", 1024, "--height", 1024),
}


def everywhere(place, id, fields, verb):
    """What is said of a job by each way to send it; a list is not sent, as no line of it is."""
    (place.dir / "list.jsonl").write_text(json.dumps({"prompt": "small", "modality": "image"}) + "\n" + json.dumps(fields) + "\n")
    gateway = Gateway(place)
    status, _, body = gateway.ask("POST", "/jobs", fields)
    gateway.stop()
    said = {"Redis": refused_job(place, id, fields, {}), "gateway": body["error"]["message"], "verb": place.sumi(*verb).stderr,
            "submit": place.sumi("submit", json.dumps(fields)).stderr, "batch": place.sumi("batch", "list.jsonl").stderr}
    check(400 <= status < 500, "the gateway lays it to the sender", status)
    check(not place.json("list", "--state", "ready"), "nothing of a list is sent")
    return {how: text.strip().removeprefix("sumi: ").removeprefix("list.jsonl:2: ").removeprefix("job: ")
            for how, text in said.items()}


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
        fields = {"modality": verb, "prompt": "fog", **{o[2:]: n for o, n in zip(options[::2], options[1::2])}}
        id = f"large-{verb}"
        refused_job(place, id, fields, {})
        row = place.json("show", id)
        # Refused where it was taken in, or by the worker that claimed it.
        check(row["state"] == "failed" and WORDS in row.get("error", "") and row.get("failures", 0) <= 1 and
              not row.get("crashes"), f"{what}: one failure, with figures", row)
        check("step.made" not in place.new_log().decode(), f"{what}: no step was made")
    # Of which a step alone is too much: nobody needs to claim it.
    said = everywhere(place, "known", fields, [verb, "fog", "--detach", *options])
    check(len(set(said.values())) == 1 and WORDS in said["Redis"], "whoever sends it is told the same", said)
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
