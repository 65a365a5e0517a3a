#!/usr/bin/env python3
"""The private Redis in bad days: stopped, loading, left behind by a daemon that was killed; systemd's watchdog meanwhile."""
import os, signal, socket, threading, time

from lib import *

JOB = ["image", "fog", "--steps", 2, "--width", 64, "--height", 64]


class Manager(threading.Thread):
    """What systemd hears, and when: [(seconds, text)]."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.heard = str(path), []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.start()

    def run(self):
        while True:
            self.heard.append((time.monotonic(), self.socket.recv(4096).decode()))

    def longest_silence(self, begin, end):
        times = [begin, *[t for t, text in self.heard if "WATCHDOG=1" in text and begin < t < end], end]
        return max(b - a for a, b in zip(times, times[1:]))


def slow_server(place, options):
    """A PATH whose server has more options."""
    folder = place.parent / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / SERVER.name
    script.write_text(f'#!/bin/sh\nexec {shutil.which(SERVER)} "$@" {options}\n')
    script.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def left_behind():
    """The daemon and its worker are killed, their Redis is stopped: a new daemon starts no second one."""
    place = Place().start()
    place.sumi(*JOB, "--id", "first", "--detach")
    place.sumi("wait", "first")
    server = place.servers()
    check(len(server) == 1, "one server", str(server))
    product = {"redis-server": "Redis ", "valkey-server": "Valkey "}[SERVER.name]
    told = [f["text"] for f in place.json("doctor") if f["what"] == "Redis"]
    check(any(t.startswith(product) for t in told), "doctor names the server and its version", str(told))
    os.kill(server[0], signal.SIGSTOP)
    tell([p for p in place.pids() if p not in server], signal.SIGKILL)
    place.daemon.wait()
    done = subprocess.run([BIN / "sumid"], env=place.env(), capture_output=True, text=True, timeout=60, cwd=place.dir)
    check(done.returncode == 1 and f"kill -CONT {server[0]}" in done.stderr, "a stopped server is named", done.stderr[-300:])
    check(place.servers() == server, "and stays alone", str(place.pids()))
    place.start(wait=False)
    check(wait_for(lambda: b"redis.waits" in place.new_log(), 90), "the daemon says that it waits")
    check(place.servers() == server, "it starts no other", str(place.pids()))
    os.kill(server[0], signal.SIGCONT)
    wait_for(lambda: b"worker.ready" in place.new_log(), 60)
    check(place.servers() == server, "it takes it over", str(place.pids()))
    check(place.json("show", "first")["state"] == "done", "with all that it knows")
    check(place.stop() == 0 and not place.servers(), "and stops it at its end", str(place.pids()))
    place.remove()


def loading():
    """Redis reads its file for seconds: at the start, and in the middle of the work."""
    place = Place()
    manager = Manager(place.dir / "notify")
    slow = {"PATH": slow_server(place, "--key-load-delay 150"), "NOTIFY_SOCKET": manager.path}
    place.start()
    place.redis_cli("EVAL", "for i = 1, 20000 do redis.call('SET', 'key-' .. i, 'x') end", 0)
    check(int(place.redis_cli("DBSIZE")) >= 20000, "20,000 keys to load")
    place.stop()

    place.start(wait=False, **slow)
    check(wait_for(lambda: place.redis_cli("PING").startswith("LOADING"), 90), "it loads")
    status = place.stop()
    check(status == 0 and b"worker.started" not in place.new_log() and not place.servers(),
          "SIGTERM while Redis loads: it stops in order", f"{status} {place.new_log()[-300:]}")

    begin = time.monotonic()
    place.start(**slow)
    ready = next(t for t, text in manager.heard if "READY=1" in text)
    check(ready - begin > 2 and any("EXTEND_TIMEOUT_USEC" in text for t, text in manager.heard if begin < t < ready),
          "the start asks for more time while Redis loads", str(manager.heard[-20:]))
    place.sumi(*JOB, "--id", "before", "-o", "before.webp")
    begin = time.monotonic()
    os.kill(place.servers()[0], signal.SIGKILL)
    for verb in (["wait", "before"], ["list"], ["show", "before"], [*JOB, "-o", "during.webp"]):
        done = place.sumi(*verb)
        check(done.returncode == 0 and "no daemon" not in done.stderr, f"who asks meanwhile waits for it: {verb[0]}", done.stderr)
    check(wait_for(lambda: place.new_log().count(b"redis.private") == 2, 60), "a dead one is started anew")
    end = time.monotonic()
    silence = manager.longest_silence(begin, end)
    check(end - begin > 2 and silence < end - begin - 1, "the watchdog is fed while it loads",
          f"{silence:.1f} of {end - begin:.1f} s")
    done = place.sumi(*JOB, "-o", "after.webp")
    check(done.returncode == 0, "and jobs are made", done.stderr)
    place.remove()


def dies():
    """The server is killed while somebody sends, and reads its file for a while when it is back: what he sends is sent, once."""
    place = Place()
    place.start(PATH=slow_server(place, "--key-load-delay 150"))
    place.sumi("pause")
    ids = [f"job-{k}" for k in range(4000)]
    (place.dir / "list.jsonl").write_text("".join(f'{{"id": "{id}", "prompt": "x"}}\n' for id in ids))
    sending = subprocess.Popen([BIN / "sumi", "batch", "-q", "list.jsonl"], env=place.env(), cwd=place.dir, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    wait_for(lambda: place.redis_cli("EXISTS", "{sumi}:job:job-0") == "1" or int(place.redis_cli("XLEN", "{sumi}:in") or 0), 60, 0.002)
    for pid in place.servers():
        os.kill(pid, signal.SIGKILL)
    out, told = sending.communicate(timeout=120)
    check(sending.returncode == 0, "a list is sent although its server dies", told)
    here = wait_for(lambda: (there := set(place.sumi("list", "-q").stdout.split())) >= set(ids[1000:]) and there, 90)
    check(bool(here), "and is there", len(here or ()))
    place.remove()


def main():
    left_behind()
    loading()
    dies()
    finish()


main()
