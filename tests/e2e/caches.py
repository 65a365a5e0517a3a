#!/usr/bin/env python3
"""Caches of compiled kernels that are damaged, belong to others, or cannot be written: whatever stands there, the
device works, and what it costs is said."""
import hashlib, json, os, pathlib, re, shutil, signal, stat, subprocess, sys
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lib import PACKS, Place, check, finish, sha256, tell, wait_for

PICTURE = ["render", "fog", "--pack", PACKS / "sd1-tiny", "--seed", 7, "--steps", 1, "--width", 64, "--height", 64]


def empty(path):
    os.truncate(path, 0)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def lost(path):
    """What a power cut may leave: the length, and nothing behind the first half."""
    size = path.stat().st_size
    cut(path)
    os.truncate(path, size)


def garbage(path):
    path.write_bytes(os.urandom(path.stat().st_size))


def files(cache, pattern):
    return [p for p in cache.rglob(pattern) if p.is_file() and not {"guard", "weights"} & set(p.parts)]


def opencl(place, **env):
    """What doctor finds of the devices, and its warnings of caches; without other settings nothing else is asked."""
    done = place.sumi("doctor", "--json", **env)
    rows = json.loads(done.stdout)
    devices = [r for r in rows if r["what"] == "OpenCL"]
    return devices, [r["text"] for r in rows if r["what"] == "cache" and r["level"] == "warning"], done.stderr


def works(devices):
    return bool(devices) and all(r["level"] == "fine" and "computes as it should" in r["text"] for r in devices)


def heals(place, name, reason=""):
    """Doctor runs a kernel, and says what it met if that is known before a driver meets it; and nothing the next time."""
    first, again = opencl(place), opencl(place)
    check(works(first[0]) and reason in " ".join(first[1]) and works(again[0]) and not again[1],
          f"{name}: set aside, and good the next time", (first, again))


def damaged(place, cache):
    """Every kind of damage, of every kind of file: doctor runs a kernel nevertheless, and says what it met."""
    good = cache.with_name("good")
    works_at_first = works(opencl(place)[0])
    check(works_at_first and files(cache, "*.so"), "doctor runs kernels; the driver's cache lies in sumi's")
    kernels = [p.parent.parent for p in files(cache, "*.so")]  # PoCL's folder of a kernel has one for each way to build it
    check(len(kernels) == len(set(kernels)), "no kernel is compiled twice")
    shutil.copytree(cache, good)
    for pattern, harm, reason in (("*.so", empty, "it is empty"), ("*.so", cut, "its end is missing"),
                                  ("*.so", lost, "its end is not that"), ("program.bc", garbage, ""), ("*.bin", cut, ""),
                                  ("*", empty, ".so: it is empty"), ("*", garbage, ".so: it does not begin")):
        shutil.rmtree(cache)
        shutil.copytree(good, cache)
        for path in files(cache, pattern):
            harm(path)
        heals(place, f"{pattern} {harm.__name__}", reason)
    shutil.rmtree(cache)
    shutil.move(good, cache)


def render_heals(place, cache):
    made = place.sumi(*PICTURE, "-o", "a.png")
    one = max(files(cache, "*.so"), key=lambda p: p.stat().st_size)
    for path in files(cache, "*.so"):
        empty(path)
    healed = place.sumi(*PICTURE, "-o", "b.png")
    check(made.returncode == 0 and healed.returncode == 0 and "set aside" in healed.stderr and
          sha256(place.dir / "a.png") == sha256(place.dir / "b.png"),
          "render sets a damaged cache aside and makes the same picture", healed.stderr)
    quiet = place.sumi(*PICTURE, "-o", "c.png")
    check(quiet.returncode == 0 and "warning" not in quiet.stderr, "and says nothing the next time", quiet.stderr)
    check(not one.exists() and len(list(cache.glob("drivers-*"))) == 1, "what was set aside is gone when nobody uses it")


def leftovers(place, cache):
    for folder in ("programs", "tuning"):
        (cache / folder).mkdir(exist_ok=True)
        (cache / folder / "0123.bin.tmp.abcdef").write_bytes(b"x")
    opencl(place)
    check(not list(cache.rglob("*.tmp.*")), "what interrupted writes left is removed")


def no_files(place, cache):
    """What a driver would wait for, or trip over, in the place of files that it has kept."""
    good = cache.with_name("good")
    opencl(place)
    shutil.copytree(cache, good)
    for pattern, kind, make in (("*.so", "pipes", os.mkfifo), ("*.so", "folders", os.mkdir), ("program.bc", "folders", os.mkdir),
                                ("*.so", "sockets", lambda p: os.mknod(p, stat.S_IFSOCK | 0o600)), ("*", "pipes", os.mkfifo)):
        for path in files(cache, pattern):
            path.unlink()
            make(path)
        heals(place, f"{kind} in the place of {pattern}", "it is no file")
        shutil.rmtree(cache)
        shutil.copytree(good, cache)


def other_kinds(place, cache):
    """A folder with something in it where a kept program belongs, a file where the folder of all belongs."""
    good, spare = cache.with_name("whole"), place.dir / f"sumi-cache-{os.geteuid()}"
    opencl(place)
    shutil.copytree(cache, good)
    shutil.copytree(cache, spare)
    spare.chmod(0o700)
    for path in (cache / "programs").glob("*.bin"):
        path.unlink()
        path.mkdir()
        (path / "inner").write_text("x")
    done = place.sumi(*PICTURE, "-o", "f.png")
    check(done.returncode == 0 and sha256(place.dir / "f.png") == sha256(place.dir / "a.png") and
          any(p.is_file() for p in (cache / "programs").glob("*.bin")), "folders in the place of programs: they are files again", done)
    shutil.rmtree(cache)
    shutil.move(good, cache)
    for name in ("programs", "tuning"):
        (cache / name).rename(cache / "away")
        (cache / name).write_text("somebody's")
        done = place.sumi(*PICTURE, "-o", "f.png", TMPDIR=str(place.dir))
        check(done.returncode == 0 and done.stderr.count(f"/{name}: is not a folder: compiled kernels are kept in {spare}") == 1 and
              (cache / name).read_text() == "somebody's", f"a file in the place of {name}: it stays, and a warning says so", done.stderr)
        (cache / name).unlink()
        (cache / "away").rename(cache / name)
    shutil.rmtree(spare)


def rehashed(place, cache):
    """Programs that are what their hash says, and that the driver crashes on."""
    for path in (cache / "programs").glob("*.bin"):
        binary = path.read_bytes()[65:]
        binary = binary[:len(binary) // 2]
        path.write_bytes(hashlib.sha256(binary).hexdigest().encode() + b"\n" + binary)
    for folder in cache.glob("drivers-*/*"):
        shutil.rmtree(folder, ignore_errors=True)
    first, again = opencl(place), opencl(place)
    check(works(first[0]) and works(again[0]) and not again[1], "programs that the driver crashes on are made anew",
          (first, again))


def guards(place, cache):
    """What processes that died leave in their guards: who was inside a driver casts doubt on the caches."""
    newest = lambda: max(int(p.name.split("-")[1]) for p in cache.glob("drivers-*"))
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def found(*guard):
        before = newest()
        (cache / "guard" / "1-4194305").write_text(" ".join(map(str, guard)) + "\n")
        place.sumi("devices")
        return newest() - before
    opencl(place)
    n = newest()
    check(found(0, n, boot) == 0, "a process that was killed elsewhere says nothing of the caches")
    check(found(2, n - 1, boot) == 0, "nor does one that used older ones")
    check(found(1, n, boot) == 0 and found(1, n, boot) == 1, "two in a row that died inside: set aside")
    opencl(place)
    check(found(1, n + 1, boot) == 0, "one may have been killed")
    opencl(place)
    check(found(1, n + 1, boot) == 0, "and who uses the caches to a good end clears them")
    check(found(1, n + 1, "another-boot") == 1, "a power cut while a driver wrote: set aside")
    check(found(2, n + 2, boot) == 1, "one that was seen to crash: set aside")
    for text in "", "1", "\0" * 4096, "9 9", "1 99999999999999999999 x":
        (cache / "guard" / "1-4194305").write_text(text)
        check(works(opencl(place)[0]), f"a guard of {len(text)} odd bytes stops nothing")


def submitted(place, *more):
    return place.json("image", "fog", "--detach", "--seed", 7, "--width", 64, "--height", 64, *more)["id"]


def ended(place, id):
    state = lambda: place.json("show", id)["state"]
    return wait_for(lambda: state() in ("done", "failed"), 120) and place.json("show", id)


def workers_heal(place, cache):
    """A worker that meets a damaged cache, at its start or later: no job pays for it."""
    place.start()
    row = ended(place, submitted(place, "--steps", 1, "--max-attempts", 1))
    check(row["state"] == "done" and not place.json("status")["workers"][0]["trouble"], "a job before", row)
    place.stop()
    for harm, pattern, lives, told in ((empty, "*.so", False, "is empty"), (garbage, "program.bc", False, "spared=1"),
                                       (empty, "*.so", True, "cache.damaged")):
        if lives:
            place.start()
        for path in files(cache, pattern):
            harm(path)
        if not lives:
            place.start()
        row = ended(place, submitted(place, "--steps", 1, "--max-attempts", 1))
        check(row["state"] == "done" and row["attempts_made"] == 1 and not row.get("crashes"),
              f"{pattern} {harm.__name__}{', the worker lives' if lives else ''}: costs the job nothing", row)
        log = place.new_log().decode()
        check("cache.damaged" in log and told in log, "and is told in the log", log[-2000:])
        place.stop()


def comes_back_at_once(place):
    """The supervisor saw its worker die: the job does not wait for the end of its lease."""
    place.configure(lease="1h")
    place.start()
    id = submitted(place, "--steps", 30)
    place.reaches(id, 3)
    os.kill(place.workers()[0], signal.SIGKILL)
    row = ended(place, id)
    check(row["state"] == "done" and row["crashes"] == 1, "a killed worker's job is taken over before its lease ends",
          row)
    log = place.new_log().decode()
    check("run.resumed" in log, "and goes on from the last saved step")
    check(re.search(r' worker\.died process=supervisor device=\S+ pid=\d+ signal=9 while="[^"]+"\n', log),
          "the log says what the worker did then", log[-2000:])
    place.stop()


def survives_all(place):
    """Worker and supervisor die at once: the next supervisor of the folder knows whose the job was."""
    place.start()
    id = submitted(place, "--steps", 30, "--seed", 8)
    place.reaches(id, 3)
    tell([place.daemon.pid, *place.workers()], signal.SIGKILL)
    place.daemon.wait()
    place.start()
    row = ended(place, id)
    check(row and row["state"] == "done" and row["crashes"] == 1 and "run.resumed" in place.new_log().decode(),
          "supervisor and worker killed: the job does not wait for the end of its lease", row)
    place.stop()


def places(place, cache):
    """No folder for caches, a full one, one of a driver's that cannot be written: OpenCL works, and it is said."""
    tmp = place.dir / "tmp"
    tmp.mkdir()
    nowhere = {"SUMI_CACHE_DIR": "", "XDG_CACHE_HOME": "", "CACHE_DIRECTORY": "", "TMPDIR": str(tmp)}
    file = place.dir / "a-file"
    file.write_text("")
    for name, env in (("no HOME", {**nowhere, "HOME": ""}), ("HOME is no folder", {**nowhere, "HOME": str(file)}),
                      ("a cache folder that cannot be made", {**nowhere, "SUMI_CACHE_DIR": str(file / "x")}),
                      ("POCL_CACHE_DIR cannot be made", {"POCL_CACHE_DIR": str(file / "y")})):
        devices, warnings, _ = opencl(place, **env)
        done = place.sumi(*PICTURE, "-o", "d.png", **env)
        check(works(devices) and len(warnings) == 1 and done.returncode == 0 and warnings[0] in done.stderr and
              sha256(place.dir / "d.png") == sha256(place.dir / "a.png"), f"{name}: OpenCL works, and a warning says so",
              (devices, warnings, done.stderr))
    folder = next(tmp.glob("sumi-cache-*"))
    check(stat.S_IMODE(folder.stat().st_mode) == 0o700, "the temporary folder is nobody else's")
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
        devices, warnings, _ = opencl(place, **nowhere, HOME="")
        check(works(devices) and str(tmp) not in warnings[0], "one that another user made is not used", warnings)
        shutil.rmtree(folder)
    full = place.dir / "full"
    full.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", full], capture_output=True).returncode:
        print("skip a full disk: nothing can be mounted here")
        return
    try:
        devices, warnings, _ = opencl(place, SUMI_CACHE_DIR=str(full / "c"), TMPDIR=str(tmp))
        check(works(devices) and "full" in warnings[0], "a full disk: OpenCL works, and a warning says so", warnings)
    finally:
        subprocess.run(["umount", full])


def fills_up():
    """The disk with compiled kernels is full when a worker that lives needs more of them."""
    place = Place(max_attempts=1)
    disk = place.dir / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", disk], capture_output=True).returncode:
        print("skip a disk that fills up: nothing can be mounted here")
        place.remove()
        return
    try:
        place.cache = disk / "cache"
        place.start(TMPDIR=str(place.dir))
        subprocess.run(["dd", "if=/dev/zero", f"of={disk / 'filler'}", "bs=4k"], capture_output=True)
        row = ended(place, submitted(place, "--steps", 1))
        check(row and row["state"] == "done" and not row.get("failures") and not row.get("crashes"),
              "the disk with compiled kernels fills up: it costs the job nothing", row)
        check("the disk is full" in place.new_log().decode(), "and is told in the log", place.new_log().decode()[-2000:])
        place.stop()
    finally:
        place.kill()
        subprocess.run(["umount", "-l", disk])
        place.remove()


def scalar(place):
    """Falling to the scalar device is said wherever one may look, with the reason."""
    vendors = place.dir / "vendors"
    vendors.mkdir()
    for reason, advises in ("no OpenCL driver is installed", True), ("broken.icd", False):
        env = {"OCL_ICD_VENDORS": str(vendors)}
        devices, _, _ = opencl(place, **env)
        text = " ".join(d["text"] for d in devices)
        check(reason in text and ("apt-get install" in text) == advises, f"doctor: {reason}", text)
        done = place.sumi(*PICTURE, "-o", "e.png", **env)
        check(done.returncode == 0 and "scalar device" in done.stderr and reason in done.stderr, f"render: {reason}",
              done.stderr)
        asked = place.sumi(*PICTURE, "-o", "e.png", "--device", "reference", **env)
        check("warning" not in asked.stderr, "who asks for the scalar device is not warned", asked.stderr)
        (vendors / "broken.icd").write_text("libthere-is-none.so.1\n")
    place.start(OCL_ICD_VENDORS=str(vendors))
    status, worker = place.sumi("status").stdout, place.json("status")["workers"][0]
    check("hundreds of times slower" in status and "broken.icd" in status and "broken.icd" in worker["trouble"],
          "status says it", status)
    check("device.scalar" in place.new_log().decode() and "broken.icd" in place.new_log().decode(), "the log says it")
    place.stop()


def main():
    place = Place(lease="1h")
    cache = place.dir / "cache"
    place.cache = cache
    if not opencl(place)[0]:
        print("skip caches there is no OpenCL device")
        return
    damaged(place, cache)
    render_heals(place, cache)
    leftovers(place, cache)
    no_files(place, cache)
    other_kinds(place, cache)
    rehashed(place, cache)
    guards(place, cache)
    workers_heal(place, cache)
    comes_back_at_once(place)
    survives_all(place)
    places(place, cache)
    fills_up()
    scalar(place)
    place.remove()


main()
finish()
