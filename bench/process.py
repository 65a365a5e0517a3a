"""A program run to its end with everything the kernel says about it, and the moments at which it said something."""

import os
import re
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def environment():
    """Threads that spin while they wait for others would be counted as work on a machine that is not quiet."""
    return {**os.environ, "OMP_WAIT_POLICY": "passive"}


def processor_seconds(pid):
    """What the process, its threads and its children, those that have ended too, have taken so far: who renders may be a
    child of who was started."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        children = [c for task in os.listdir(f"/proc/{pid}/task") for c in children_of(pid, task)]
    except (OSError, IndexError):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS + sum(map(processor_seconds, children))


def read(out):
    """What comes next; nothing at the end, which of a terminal is an error."""
    try:
        return os.read(out, 65536)
    except OSError:
        return b""


def children_of(pid, task):
    try:
        with open(f"/proc/{pid}/task/{task}/children") as f:
            return f.read().split()
    except OSError:
        return []


class Run:
    """wall, cpu: seconds; rss: MiB at the peak; stamps: {name: (wall, cpu) since the start}; text: all it printed."""

    def __init__(self, command, marks=(), echo=False, terminal=False):
        """marks: [(name, regular expression)] that are looked for in what it prints; the first match counts. A group
        in the expression is appended to the name: ("step", r"step (\\d+)/") stamps step1, step2, … echo: what it
        prints goes to the terminal too. terminal: it has a terminal of its own: some tell of each step only there."""
        self.stamps, self.text = {}, ""
        start = time.monotonic()
        out, into = os.openpty() if terminal else os.pipe()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=into, stderr=into, env=environment())
        os.close(into)
        while chunk := read(out):
            moment = time.monotonic() - start, processor_seconds(process.pid)
            self.text += chunk.decode(errors="replace")
            if echo:
                os.write(1, chunk)
            self._stamp(marks, moment)
        _, status, usage = os.wait4(process.pid, 0)
        os.close(out)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.wall, self.cpu = time.monotonic() - start, usage.ru_utime + usage.ru_stime
        self.rss, self.code = usage.ru_maxrss / 1024, process.returncode
        self.stamps["end"] = self.wall, self.cpu
        if self.code:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit {self.code}\n{self.text[-2000:]}")

    def _stamp(self, marks, moment):
        for name, pattern in marks:
            for match in re.finditer(pattern, self.text):
                self.stamps.setdefault(name + "".join(match.groups()), moment)

    def between(self, first, last):
        """(wall, cpu) from one stamp to another; None when one is missing."""
        if first not in self.stamps or last not in self.stamps:
            return None
        return tuple(b - a for a, b in zip(self.stamps[first], self.stamps[last]))
