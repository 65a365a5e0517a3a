"""Programs that other people wrote, against a gateway. Each script needs packages from PyPI, which are put into
a virtual environment under build/; where that cannot be done the script is skipped."""
import logging, os, pathlib, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from gateway_lib import *

VENV = BIN.parent / "clients"


def need(*packages):
    """Runs the script anew in the environment that has these packages."""
    if os.environ.get("SUMI_IN_VENV"):
        return
    python = VENV / "bin" / "python"
    wanted = "\n".join(packages)
    stamp = VENV / ("has-" + "-".join(sorted(p.split("==")[0] for p in packages)))
    if not stamp.exists() or stamp.read_text() != wanted:
        run = lambda *words: subprocess.run(["timeout", "900", *words], capture_output=True, text=True)
        made = run(sys.executable, "-m", "venv", VENV) if not python.exists() else None
        if made and made.returncode or (done := run(python, "-m", "pip", "install", "-q", *packages)).returncode:
            print(f"skip {pathlib.Path(sys.argv[0]).name}: {', '.join(packages)} cannot be installed")
            sys.exit(0)
        stamp.write_text(wanted)
    os.execve(python, [str(python), *sys.argv], {**os.environ, "SUMI_IN_VENV": "1", "PYTHONDONTWRITEBYTECODE": "1"})


class Heard(logging.Handler):
    """What a library warns of."""
    def __init__(self):
        super().__init__(logging.WARNING)
        self.words = []

    def emit(self, record):
        self.words.append(record.getMessage())


class Server:
    """A daemon with the tiny pack, a gateway, and a key."""

    def __init__(self, keyed=True, **settings):
        self.place = Place(**settings)
        self.place.start()
        self.key = self.place.sumi("keys", "add", "tester", "--scope", "admin").stdout.strip() if keyed else "none"
        self.g = Gateway(self.place)
        self.url = f"http://127.0.0.1:{self.g.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.g.stop()
        self.place.stop()
        self.place.remove()

    def jobs(self, prompt=None):
        rows = self.g.get("/jobs?limit=500", Authorization=f"Bearer {self.key}")[2]["jobs"]
        return [j for j in rows if prompt is None or j.get("prompt") == prompt]

    def pause(self, on):
        self.g.ask("POST", "/queue/pause" if on else "/queue/resume", headers={"Authorization": f"Bearer {self.key}"})
