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
    """What the process and its threads have taken so far."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


class Run:
    """wall, cpu: seconds; rss: MiB at the peak; stamps: {name: (wall, cpu) since the start}; text: all it printed."""

    def __init__(self, command, marks=(), echo=False):
        """marks: [(name, regular expression)] that are looked for in what it prints; the first match counts. A group
        in the expression is appended to the name: ("step", r"step (\\d+)/") stamps step1, step2, … echo: what it
        prints goes to the terminal too."""
        self.stamps, self.text = {}, ""
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=environment())
        while chunk := os.read(process.stdout.fileno(), 65536):
            moment = time.monotonic() - start, processor_seconds(process.pid)
            self.text += chunk.decode(errors="replace")
            if echo:
                os.write(1, chunk)
            self._stamp(marks, moment)
        _, status, usage = os.wait4(process.pid, 0)
        process.stdout.close()
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
