#!/usr/bin/env python3
"""What people type: switches taken back, sizes in one word, times by the clock on the wall, verbs and options misspelt."""
import datetime, fcntl, pty, select, struct, termios

from lib import *

QUICK = ["--pack", PACKS / PACK, "--steps", 1, "--seed", 1, "-q", "-o", "x.png"]


def size_of(path):
    data = path.read_bytes()
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def accepted(place, name, *options, size=None):
    done = place.sumi("render", "ink", *QUICK, *options)
    fine = done.returncode == 0 and (size is None or size_of(place.dir / "x.png") == size)
    check(fine, name, done.stderr)


def refused(place, name, *args, words=(), input=None):
    done = place.sumi(*args, input=input)
    check(done.returncode == 2 and all(w in done.stderr for w in words), name, f"{done.returncode}: {done.stderr}")


def options(place):
    accepted(place, "--size 64x32", "--size", "64x32", size=(64, 32))
    accepted(place, "--size=64×32", "--size=64×32", size=(64, 32))
    accepted(place, "--size 64", "--size", 64, size=(64, 64))
    accepted(place, "-W and -H", "-W", 32, "-H", 64, size=(32, 64))
    accepted(place, "-w", "-w", 32, "--height", 64, size=(32, 64))
    accepted(place, "names of other programs", "--size", 64, "--guidance_scale", 3, "--sampler-name", "Euler")
    for words in [["--no-fast"], ["--fast=false"], ["--fast", "false"], ["--no-lossless"], ["--lossless", "no"], ["--no_quiet"],
                  ["--no-loop"], ["--loop=off"], ["--no-json"], ["--json=false"]]:
        accepted(place, " ".join(words), "--size", 64, *words)
    refused(place, "--fast where there is none", "render", "ink", *QUICK, "--fast", "yes", words=["fast"])
    refused(place, "a size that is none", "render", "ink", *QUICK, "--size", "big", words=["--size", "512x768"])
    refused(place, "a size with half of it", "render", "ink", *QUICK, "--size", "64x", words=["--size"])
    refused(place, "-h with a number", "image", "ink", "-h", 300, words=["--height"])
    refused(place, "--no- of what is no switch", "image", "ink", "--no-steps", words=["--no-steps"])
    refused(place, "a switch with a number", "image", "ink", "--fast=3", words=["fast", "true or false"])
    for given, meant in [("--stps", "--steps"), ("--cfg-scal", "--cfg-scale"), ("--siez", "--size"), ("--detahc", "--detach"),
                         ("--jsno", "--json"), ("--out", "--output"), ("--det", "--detach"), ("--guidance-s", "--guidance-start")]:
        refused(place, f"{given} is understood", "image", "ink", given, 3, words=[given, f"did you mean {meant}?"])
    for option in ["--not-before", "--after", "--tag", "--control", "--init", "--seed", "--format", "-o"]:
        refused(place, f"an empty {option}", "image", "ink", option, "", words=[option, "is empty"])
    for verb in ["show", "again", "batch", "upscale", "search", "film", "script", "image"]:
        for empty in ["", " "]:
            refused(place, f"{verb} '{empty}'", verb, empty, words=["argument 1 is empty", f"usage: sumi {verb} "])
    for verb in ["cancel", "delete", "list"]:
        refused(place, f"{verb} --tag ''", verb, "--tag", "", words=["--tag is empty"])
    accepted(place, "an empty --negative-prompt", "--size", 64, "--negative-prompt", "")
    refused(place, "fields of others are told without a daemon", "image", "ink", "--fps", 8, words=["fps", "video"])
    accepted(place, "--size and a width that agree", "--width", 64, "--size", "64x32", "--height", 32, size=(64, 32))
    for words in [["--size", "64x32", "--width", 32], ["--height", 64, "--size", "64x32"], ["-W", 32, "--size", 64], ["--size", 64, "--size", 32]]:
        refused(place, f"and that do not: {words}", "render", "ink", *QUICK, *words, words=["64", "32", "size"])
    for given in ["PNG", "Png"]:
        accepted(place, f"--format {given}", "--size", 64, "--format", given, size=(64, 64))
    for given, verb, ours in [("jpg", "image", "webp, png, jpeg"), ("aac", "audio", "ogg, wav, mp3")]:
        done = place.sumi(verb, "ink", "--format", given)
        check(done.returncode == 2 and done.stderr.strip().endswith(f"one of {ours}"), f"--format {given}", done.stderr)
    refused(place, "a scheme that is none", "image", "ink", "--notify", "ftp://x", words=["notify", "http://", "https://"])
    refused(place, "a name that is an ending alone", "render", "ink", *QUICK, "-o", ".png", words=[".png", "name"])
    refused(place, "a folder that is a file", "render", "ink", *QUICK, "-o", "x.png/y.png", words=["x.png", "not a folder"])
    refused(place, "an empty --state-dir", "status", "--state-dir", "", words=["--state-dir", "empty"])
    refused(place, "an empty --config", "status", "--config=", words=["--config", "empty"])
    done = subprocess.run([BIN / "sumid", "--check", "--state-dir", ""], env=place.env(), capture_output=True, text=True)
    check(done.returncode == 2 and "--state-dir is empty" in done.stderr, "and of sumid", done.stderr)
    for program, option in (("sumid", "--config"), ("sumi-gateway", "--config"), ("sumi-gateway", "--listen")):
        done = subprocess.run([BIN / program, "--check", option, ""], env=place.env(), capture_output=True, text=True)
        check(done.returncode == 2 and f"{option} is empty" in done.stderr, f"an empty {option} of {program}", done.stderr)
    os.mkfifo(place.dir / "pipe.conf")
    done = subprocess.run([BIN / "sumid", "--check", "--config", place.dir / "pipe.conf"], env=place.env(), capture_output=True,
                          text=True, timeout=240)
    check(done.returncode == 2 and "pipe.conf: is a pipe" in done.stderr, "settings in a pipe are not waited for", done.stderr)
    refused(place, "formats of others", "audio", "ink", "--format", "png", words=["format", "ogg"])


def verbs(place):
    version = place.sumi("--version").stdout
    check(version.startswith("sumi ") and place.sumi("version").stdout == version == place.sumi("-V").stdout, "version")
    check(place.sumi("img", "--help").stdout == place.sumi("image", "--help").stdout, "img")
    for given, meant in [("imgae", "image"), ("lst", "list"), ("rm", "delete"), ("stauts", "status"), ("stat", "status"), ("ls", "list")]:
        refused(place, f"sumi {given}", given, words=[f"did you mean '{meant}'?"])
    for given, meant in [("draw", "'image'"), ("kill", "'cancel'"), ("logs", "'watch'"), ("download", "'fetch'"), ("--hlep", "--help"),
                         ("-v", "--version"), ("--vesrion", "--version")]:
        refused(place, f"sumi {given}", given, words=[f"did you mean {meant}?"])
    refused(place, "sumi start", "start", words=["sumid"])
    refused(place, "sumi help VERB misspelt", "help", "lst", words=["did you mean 'list'?"])
    for given in [["--json", "status"], ["-q", "list"], ["--config=x", "list"]]:
        refused(place, f"{given[0]} before the verb", *given, words=[given[0], "behind"])
    for words in [["--help"], ["--version"], ["help", "list"], ["list", "--help"], ["doctor"]]:
        with open("/dev/full", "w") as full:
            done = subprocess.run([BIN / "sumi", *words], env=place.env(), stdout=full, stderr=subprocess.PIPE, text=True)
        check(done.returncode != 0 and "standard output" in done.stderr and done.stderr.count("\n") == 1,
              f"sumi {words} on a full disk", f"{done.returncode}: {done.stderr}")
    for word in ["--help", "--version"]:
        with open("/dev/full", "w") as full:
            done = subprocess.run([BIN / "sumid", word], env=place.env(), stdout=full, stderr=subprocess.PIPE, text=True)
        check(done.returncode == 1 and "standard output" in done.stderr, f"sumid {word} on a full disk", f"{done.returncode}: {done.stderr}")
    check("did you mean" not in place.sumi("xyzzy").stderr, "what is near nothing")


def filters(place):
    """What would be deleted by mistake, or not be found in silence."""
    done = place.sumi("image", "ink", "--size", 64, "--detach", "--every", "6:00", "--window", "22:00-6:00", "--id", "early")
    job = json.loads(place.redis_cli("HGET", "{sumi}:job:early", "job") or "{}") if wait_for(
        lambda: place.redis_cli("HGET", "{sumi}:job:early", "job"), 20) else {}
    check((job.get("every"), job.get("window")) == ("06:00", "22:00-06:00"), "hours of one digit", done.stderr + str(job))
    place.sumi("cancel", "early")
    window = [place.sumi("image", "ink", "--size", 64, "--detach", "--id", id, "--every", every, "--window", w) and id
              for id, every, w in [("late", "every day at 6", "10pm-6am"), ("later", "1 week", "с 22 до 6")]]
    for id, every in zip(window, ["06:00", "7d"]):
        job = json.loads(wait_for(lambda: place.redis_cli("HGET", f"{{sumi}}:job:{id}", "job"), 90) or "{}")
        check((job.get("every"), job.get("window")) == (every, "22:00-06:00"), f"windows and recurrences in words: {id}", str(job))
    place.sumi("cancel", *window)
    for verb, option, age in [("list", "--since", "yesterday"), ("list", "--since", "2 days ago"), ("list", "--until", "1 минуту назад"),
                              ("search", "--since", "today"), ("cancel", "--older", "2 weeks"), ("wait", "--timeout", "1 min")]:
        words = ["x"] if verb == "search" else ["early"] if verb == "wait" else ["--dry-run"] if verb == "cancel" else []
        done = place.sumi(verb, *words, option, age)
        check(done.returncode in (0, 5, 6) and "duration" not in done.stderr and "not a time" not in done.stderr,
              f"{verb} {option} {age}", f"{done.returncode}: {done.stderr}")
    refused(place, "a time of a filter that is none", "list", "--since", "soon", words=["--since", "yesterday"])
    refused(place, "an init from standard input", "image", "ink", "--init", "-", words=["init", "standard input"])
    refused(place, "an age without a unit", "delete", "--older", 90, words=["--older", "no unit"])
    refused(place, "a filter twice", "delete", "--tag", "a", "--tag", "b", words=["--tag", "'a'", "'b'"])
    done = place.sumi("list", "--state", "Cancelled", "--modality", "IMAGE", "-q")
    check("early" in done.stdout.split(), "words of filters in any case", done.stdout + done.stderr)
    done = place.sumi("cancel", "--state", "Delayed", "--dry-run")
    check(done.returncode == 0, "and of choices", done.stderr)
    refused(place, "a format of a list's modality", "batch", "x.txt", "--modality", "video", "--format", "gif", words=["one of webp, png, webm\n"])
    for verb in ["list", "cancel"]:
        refused(place, f"{verb} --modality that is none", verb, "--modality", "img", words=["--modality", "video"])


def times(place):
    """By the clock of a zone that this machine is hardly in."""
    place.sumi("pause")
    zone = datetime.timezone(datetime.timedelta(hours=14))  # Pacific/Kiritimati, all the year

    def moment(*words):
        id = place.sumi("image", "ink", "--size", 64, "--detach", "--tz", "Pacific/Kiritimati", *words).stdout.strip()
        text = wait_for(lambda: place.redis_cli("HGET", f"{{sumi}}:job:{id}", "job"), 90)
        row = json.loads(text)
        return {k: datetime.datetime.fromisoformat(row[k].replace("Z", "+00:00")).astimezone(zone)
                for k in ("not_before", "deadline") if k in row}

    now = datetime.datetime.now(zone)
    soon = moment("--not-before", "18:30")["not_before"]
    check((soon.hour, soon.minute) == (18, 30) and datetime.timedelta(0) <= soon - now <= datetime.timedelta(days=1), "18:30", str(soon))
    later = moment("--not-before", "+2h")["not_before"]
    check(abs(later - now - datetime.timedelta(hours=2)) < datetime.timedelta(minutes=2), "+2h", str(later))
    both = moment("--not-before", "tomorrow 6:00", "--deadline", "5:30")
    check(both["not_before"].hour == 6 and 0 <= (both["not_before"].date() - now.date()).days - 1 <= 1 and
          both["deadline"] - both["not_before"] == datetime.timedelta(hours=23, minutes=30),
          "tomorrow 6:00, and a deadline on the day after", str(both))
    for words in [["--deadline", "2020-01-31 10:00"], ["--deadline", "2020-01-31T10:00:00Z", "--not-before", "2019-01-01 10:00"]]:
        refused(place, f"a deadline that is past: {words}", "image", "ink", *words, words=["deadline", "2020-01-31", "past"])
    refused(place, "and in a list", "submit", '{"prompt":"x","deadline":"2020-01-31"}', words=["deadline", "past"])
    place.redis_cli("XADD", "{sumi}:in", "*", "id", "bygone", "modality", "image", "prompt", "x", "deadline", "2020-01-31")
    check(wait_for(lambda: "that is past" in place.sumi("dead-letters").stdout, 90), "and where it is taken in",
          place.sumi("dead-letters").stdout)
    done = place.sumi("image", "ink", "--detach", "--not-before", "2027-03-28 02:30", "--tz", "Europe/Berlin")
    check(done.returncode == 0 and done.stderr.count("skip: taken as 2027-03-28T01:00:00") == 1, "a time that the clocks skip", done.stderr)
    (place.dir / "night.csv").write_text("prompt,not_before,tz\nx,2027-03-28 02:30,Europe/Berlin\n")
    done = place.sumi("batch", "night.csv")
    check(done.returncode == 0 and done.stderr.count("skip: taken as") == 1 and "night.csv:2" in done.stderr, "and in a list", done.stderr)
    refused(place, "a window that opens behind the deadline", "image", "ink", "--not-before", "tomorrow 12:00", "--deadline",
            "tomorrow 20:00", "--window", "22-6", words=["window", "opens at", "deadline"])
    place.redis_cli("XADD", "{sumi}:in", "*", "id", "never", "modality", "image", "prompt", "x", "not_before", "2098-01-01T12:00:00Z",
                    "deadline", "2098-01-01T20:00:00Z", "window", "22:00-06:00", "tz", "UTC")
    check(wait_for(lambda: "opens at 2098-01-01T22:00" in (place.redis_cli("HGET", "{sumi}:job:never", "error") or ""), 90),
          "and where it is taken in", place.redis_cli("HGET", "{sumi}:job:never", "error"))
    later = moment("--not-before", "завтра в 6 вечера")["not_before"]
    check(later.hour == 18 and (later.date() - now.date()).days in (1, 2), "завтра в 6 вечера", str(later))
    refused(place, "a time that is none", "image", "ink", "--not-before", "soon", words=["not_before", "soon", "18:30"])


def without_queue(place):
    """What a listing leaves out is told, and whose server is away."""
    place.sumi("cancel", "--all", "-q")
    place.sumi("resume")
    place.sumi("image", "ink", "--size", 64, "--steps", 1, "--id", "listed", "-q", "-o", "listed.webp")
    done = place.sumi("wait", "-", input="listed\r\n nobody,listed\n")
    check(done.returncode == 3 and done.stdout == "listed done\n" and "no job nobody" in done.stderr, "wait for ids on standard input",
          f"{done.returncode} {done.stdout} {done.stderr}")
    check(place.sumi("watch", "-", input="listed\n").returncode == 0, "and watch")
    refused(place, "what is no id", "wait", "-", input="a/b", words=["standard input:1", "a/b"])
    done = place.sumi("fetch", "nobody")
    check(done.returncode == 3 and done.stderr == "sumi: there is no job nobody\n", "fetch of what nobody has heard of", done.stderr)
    done = place.sumi("again", "listed")
    check(done.returncode == 3 and "sumi fetch listed" in done.stderr, "again of an id", done.stderr)
    place.stop()
    done = place.sumi("list")
    check(done.returncode == 0 and "listed" in done.stdout and "only what has ended" in done.stderr and "sumid &" in done.stderr,
          "a list without a daemon", done.stdout[-200:] + done.stderr)
    check(place.sumi("list", "-q").stderr == "", "and quietly")
    done = place.sumi("status", **{"SUMI_REDIS": "unix:///nowhere/redis.sock"})
    check(done.returncode == 4 and "/nowhere/redis.sock" in done.stderr and "sumid &" not in done.stderr and "redis" in done.stderr,
          "a server of one's own is not started by sumid", done.stderr)
    done = place.sumi("again", "listed.webp", "--no-fast", "--detach", **{"SUMI_REDIS": "unix:///nowhere/redis.sock"})
    check(done.returncode == 4 and done.stderr.count("\n") == 1, "and who wants a job made hears one line", done.stderr)


def narrow(place):
    """On a terminal of 24 columns how far a job is stands on the line, not half of its id."""
    id = place.sumi("image", "ink", "--size", 64, "--detach", "--not-before", "+1d").stdout.strip()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 24, 0, 0))
    watch = subprocess.Popen([BIN / "sumi", "watch", id], env=place.env(), stdout=subprocess.DEVNULL, stderr=theirs, cwd=place.dir)
    os.close(theirs)
    text, end = b"", time.monotonic() + 60
    while b"] 0/0" not in text and time.monotonic() < end:
        if select.select([ours], [], [], 1)[0]:
            text += os.read(ours, 4096)
    watch.kill()
    watch.wait()
    os.close(ours)
    line = next((part for part in text.split(b"\r\x1b[K") if b"[" in part), b"")
    check(line.startswith(b"[") and line.endswith(b"] 0/0") and len(line) < 24, "a narrow terminal", repr(text))


def idle(place):
    """What is given and has no say is told of; what a file brought with it is not."""
    place.sumi("render", "ink", *QUICK[:-1], "brought.webp", "--size", 64)
    done = place.sumi("again", "brought.webp", "--detach", "--format", "png")
    check(done.returncode == 0 and "no say" not in done.stderr, "a quality that was nobody's wish", done.stderr)
    for words, name in [(["--strength", 0.5], "strength"), (["--quality", 50, "--lossless"], "quality"),
                        (["--quality", 50, "--format", "png"], "quality"), (["--deep-cache-level", 2], "deep_cache_level")]:
        done = place.sumi("image", "ink", "--size", 64, "--detach", *words)
        check(done.returncode == 0 and f"note: '{name}' has no say" in done.stderr, f"without a say: {name}", done.stderr)
    done = place.sumi("render", "ink", *[o for o in QUICK if o != "-q"], "--size", 64, "--hires-upscaler", "x")
    check(done.returncode == 0 and "note: 'hires_upscaler' has no say" in done.stderr, "nor without a daemon", done.stderr)
    done = place.sumi("image", "ink", "--size", 64, "--detach", "--quality", 50)
    check(done.returncode == 0 and "no say" not in done.stderr, "and what has one is not", done.stderr)


def main():
    place = Place()
    try:
        options(place)
        verbs(place)
        place.start()
        filters(place)
        times(place)
        narrow(place)
        idle(place)
        without_queue(place)
    finally:
        place.remove()
    finish()


main()
