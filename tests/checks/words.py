#!/usr/bin/env python3
"""Manual pages, completion and the page's fields against what the programs say of themselves."""
import json, os, pathlib, re, shutil, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
BIN = (BUILD if BUILD.is_absolute() else ROOT / BUILD) / "bin"
failed = 0


def check(condition, name, detail=""):
    global failed
    failed += not condition
    print(f"ok {name}" if condition else f"not ok {name}: {detail}")


def help_of(program, *words):
    return subprocess.run([BIN / program, *words, "--help"], capture_output=True, text=True).stdout


def options(text):
    return set(re.findall(r"^ +(?:-\w, +)?(--[a-z][a-z-]*)", text, re.M))


def page(name):
    text = (ROOT / "docs" / "man" / name).read_text()
    return re.sub(r"\\f[BIR]", "", text).replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")


def tagged(text):
    """What stands as a tag of its own: options, settings."""
    return re.findall(r"^\.TP\n(?:\.B )?(.*)$", text, re.M)


verbs = re.findall(r"^  ([a-z-]+) ", help_of("sumi"), re.M)
sumi = page("sumi.1")
check(verbs == re.findall(r"^\.SS (\S+)", sumi, re.M), "sumi.1 has the verbs of --help", str(verbs))
wanted = set().union(*(options(help_of("sumi", v)) for v in verbs))
written = {o for tag in tagged(sumi) for o in re.findall(r"--[a-z][a-z-]*", tag)}
check(wanted == written, "sumi.1 has the options of --help", str(wanted ^ written))
for verb in verbs:
    section = re.search(rf"^\.SS {verb}\n(.*?)^\.S[SH]", sumi, re.M | re.S).group(1)
    own = help_of("sumi", verb).split("\nOptions:\n")
    own = options(own[1].split("\nOf ")[0]) if len(own) > 1 else set()
    there = {o for tag in tagged(section) for o in re.findall(r"--[a-z][a-z-]*", tag)}
    check(own == there, f"sumi.1: options of {verb}", str(own ^ there))

daemon_help = help_of("sumid")
wanted = set(re.findall(r"--[a-z][a-z-]*", daemon_help.split("Settings of")[0]))
written = {o for tag in tagged(page("sumid.8")) for o in re.findall(r"--[a-z][a-z-]*", tag)}
check(wanted == written, "sumid.8 has the options of --help", str(wanted ^ written))
wanted = set(re.findall(r"--[a-z][a-z-]*", help_of("sumi-gateway").split("SIGTERM")[0]))
written = {o for tag in tagged(page("sumi-gateway.1")) for o in re.findall(r"--[a-z][a-z-]*", tag)}
check(wanted == written, "sumi-gateway.1 has the options of --help", str(wanted ^ written))
settings = re.findall(r"^  ([a-z_]+) ", daemon_help.split("Settings of")[1], re.M)
check(settings == tagged(page("sumi.conf.5")), "sumi.conf.5 has the settings of --help", str(settings))
guide = (ROOT / "docs" / "configuration.md").read_text()
missing = [s for s in settings if f"`{s}`" not in guide]
check(not missing, "docs/configuration.md names every setting", str(missing))


def complete(*words):
    """What bash would offer for the last word."""
    script = f"""source {ROOT}/packaging/completion/sumi.bash
COMP_WORDS=({' '.join(f"'{w}'" for w in words)}); COMP_CWORD={len(words) - 1}; _sumi; printf '%s\\n' "${{COMPREPLY[@]}}\""""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    return set(subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env).stdout.split())


check(complete("sumi", "") == set(verbs), "bash completes verbs", str(complete("sumi", "")))
for verb in ["image", "list", "db"]:
    check(complete("sumi", verb, "--") == options(help_of("sumi", verb)), f"bash completes options of {verb}",
          str(complete("sumi", verb, "--") ^ options(help_of("sumi", verb))))
check(complete("sumi", "list", "--state", "r") == {"ready", "running"}, "bash completes states")
check(complete("sumi", "image", "--format", "") == {"webp", "png", "jpeg"}, "bash completes the words of a choice",
      str(complete("sumi", "image", "--format", "")))
check(complete("sumi", "video", "--format", "") == {"webp", "png", "webm"}, "and a film for videos alone")
check(complete("sumi", "audio", "--format", "o") == {"ogg"}, "and those of the verb's modality")
check(complete("sumi", "audio", "--format", "m") == {"mp3"} and complete("sumi", "world", "--format", "h") == {"height.png"}, "with digits and dots")
kinds = set(json.loads((ROOT / "docs" / "job.schema.json").read_text())["properties"]["modality"]["enum"])
check(complete("sumi", "list", "--modality", "") == kinds, "bash completes every modality", str(kinds))
page_words = (ROOT / "gateway" / "page" / "words.js").read_text()
languages = page_words.count("image: ")
check(languages >= 2 and all(page_words.count(f" {k}: ") >= languages for k in kinds), "the page has words for every modality", str(kinds))
shown = {verb: options(help_of("sumi", verb)) for verb in ["image", "video", "audio", "batch"]}
check("--fps" in shown["video"] and not {"--fps", "--mood", "--duration", "--loop"} & shown["image"] and
      "--mood" in shown["audio"] and not {"--fps", "--width", "--size"} & shown["audio"] and
      shown["image"] | shown["video"] | shown["audio"] <= shown["batch"] | {"--output", "--detach"},
      "help of image, video and audio has what belongs to each", str(shown))
for shell, file in [("bash", "sumi.bash"), ("zsh", "_sumi"), ("fish", "sumi.fish")]:
    if not shutil.which(shell):
        print(f"skip {file}: no {shell} here")
        continue
    done = subprocess.run([shell, "-n", ROOT / "packaging" / "completion" / file], capture_output=True, text=True)
    check(done.returncode == 0, f"{file} is valid {shell}", done.stderr)
of_jobs = json.loads((ROOT / "docs/job.schema.json").read_text())["properties"]
for name, least, most in re.findall(r'<input id="(\w+)" type="number" min="([^"]*)" max="([^"]*)"', (ROOT / "gateway/page/index.html").read_text()):
    limits = [of_jobs[name].get(k) for k in ("minimum", "maximum")]
    check([float(least), float(most)] == limits, f"the page lets {name} be what a job's may be", f"{least} to {most}, {limits}")
sys.exit(1 if failed else 0)
