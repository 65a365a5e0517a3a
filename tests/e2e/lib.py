"""What the end-to-end tests share: a scratch place, daemons as real processes, the programs
as a user types them, and the audit of what they left behind."""
import contextlib, hashlib, json, os, pathlib, re, shutil, signal, socket, sqlite3, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
BIN = (BUILD if BUILD.is_absolute() else ROOT / BUILD) / "bin"
PACKS = ROOT / "tests" / "vectors"
PACK = "sd1-tiny"


# The server that sumid takes.
SERVER = pathlib.Path(shutil.which("redis-server") or shutil.which("valkey-server") or "redis-server")

failures = 0


def check(condition, name, detail=""):
    """Prints the line that the runner counts."""
    global failures
    if condition:
        print(f"ok {name}", flush=True)
    else:
        failures += 1
        print(f"not ok {name} {detail}", flush=True)
    return condition


def finish():
    sys.exit(1 if failures else 0)


def at_hand(what, *programs):
    """Are these programs installed? Where one is not, the line that the runner counts."""
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        print(f"skip {what}: {', '.join(missing)} not installed", flush=True)
    return not missing


def ask_redis(path, *words):
    """What redis-cli prints for a command at a server's socket, nothing where none answers: no test needs a client."""
    def reply(stream):
        kind, rest = (line := stream.readline())[:1], line[1:-2].decode(errors="replace")
        if kind == b"*":
            return "\n".join(reply(stream) for _ in range(int(rest)))
        if kind == b"$":
            return stream.read(int(rest) + 2)[:-2].decode(errors="replace") if int(rest) >= 0 else ""
        return rest

    words = [w if isinstance(w, bytes) else str(w).encode(errors="surrogateescape") for w in words]
    request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(str(path))
        s.sendall(request)
        with s.makefile("rb") as stream:
            return reply(stream).strip()
    return ""


def wait_for(condition, seconds=60, every=0.05):
    """Polls until condition() is true; its last value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(every)


def tell(pids, what):
    """A signal to processes; one may have ended meanwhile, perhaps because another one did."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


class Place:
    """A folder of its own with settings, so that nothing of the user's is touched. Compiled
    kernels are shared between places: they are the same for all."""

    cache = pathlib.Path(os.environ.get("SUMI_TEST_CACHE", BIN.parent / "test-cache"))

    def __init__(self, name="state", redis="", parent=None, **settings):
        self.parent = parent or pathlib.Path(tempfile.mkdtemp(prefix="sumi-e2e-"))
        self.dir = self.parent / name
        self.dir.mkdir(parents=True, exist_ok=True)
        self.state = self.dir / "state"
        self.conf = self.dir / "sumi.conf"
        self.settings = {"packs": str(PACKS), "model_image": PACK, "redis": redis, "log": "debug",
                  "lease": "2s", "state_dir": str(self.state), "reserve": "1M", "reuse": "0", **settings}
        self.configure()
        self.log = self.dir / "sumid.log"
        self.daemon = None

    def configure(self, **settings):
        self.settings.update(settings)
        self.conf.write_text("".join(f"{k} = {v}\n" for k, v in self.settings.items() if v != ""))

    def env(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SUMI_")}
        return {**env, "SUMI_CONFIG": str(self.conf), "SUMI_CACHE_DIR": str(self.cache), **more}

    def start(self, wait=True, **more):
        """Starts sumid; with wait until a worker serves."""
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen([BIN / "sumid"], env=self.env(**more), stderr=log,
                                           stdout=log, cwd=self.dir, start_new_session=True)
        if wait and not wait_for(lambda: b"worker.ready" in self.new_log() or
                                 self.daemon.poll() is not None, 120):
            raise RuntimeError("no worker came up:\n" + self.log.read_text()[-2000:])
        return self

    def new_log(self):
        with open(self.log, "rb") as f:
            f.seek(self.log_start)
            return f.read()

    def stop(self, timeout=60):
        """SIGTERM and the exit status."""
        if self.daemon is None:
            return None
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
        try:
            status = self.daemon.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.daemon = None
        return status

    def pids(self):
        """Supervisor, workers, and the private Redis, which lives in a session of its own: {pid: arguments}."""
        rows = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                args = folder.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                group = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[2])
                if args and (self.daemon and group == self.daemon.pid or SERVER.name in args and str(self.state) in args):
                    rows[int(folder.name)] = args
        return rows

    def servers(self):
        return [p for p, args in self.pids().items() if SERVER.name in args]

    def workers(self):
        return [p for p, args in self.pids().items() if "--worker" in args]

    def reaches(self, id, step, variant=r"\d+"):
        """Waits until that many steps of a running job are made: by the log, which is told sooner than `sumi show`."""
        made = re.compile(rf" step\.made .*id={id} variant={variant} .*step=(\d+)")
        return wait_for(lambda: any(int(n) >= step for n in made.findall(self.log.read_text())), 120, 0.005)

    def redis_cli(self, *args):
        return ask_redis(self.settings["redis"].removeprefix("unix://") or self.state / "redis" / "redis.sock", *args)

    @contextlib.contextmanager
    def still(self, id, step, **variant):
        """The worker is stopped at a step of a job, so that what is done meanwhile always comes before its end, and
        before that of its leases, however slow the machine is. Behind its first step it may hold the database."""
        worker = self.workers()[0]
        if not self.reaches(id, step, **variant):
            raise RuntimeError(f"{id} did not come to step {step}")
        os.kill(worker, signal.SIGSTOP)
        for running in self.redis_cli("ZRANGE", "{sumi}:running", 0, -1).split():
            self.redis_cli("ZADD", "{sumi}:running", "XX", int(time.time() * 1000) + 600000, running)
        try:
            yield
        finally:
            tell([worker], signal.SIGCONT)

    def stop_at(self, id, step):
        """SIGTERM that comes in the middle of a job: exit status, and seconds that it took."""
        with self.still(id, step):
            self.daemon.send_signal(signal.SIGTERM)
            wait_for(lambda: b" drain " in self.new_log())
        start = time.monotonic()
        status = self.daemon.wait(60)
        self.daemon = None
        return status, time.monotonic() - start

    def kill(self):
        """The power cut: everything of this daemon dies at once."""
        tell(list(self.pids()), signal.SIGKILL)
        if self.daemon:
            self.daemon.wait()
        self.daemon = None

    def sumi(self, *args, input=None, timeout=120, **more):
        """Runs the CLI; the CompletedProcess."""
        return subprocess.run([BIN / "sumi", *map(str, args)], env=self.env(**more), input=input,
                              capture_output=True, text=True, timeout=timeout, cwd=self.dir)

    def json(self, *args, **more):
        done = self.sumi(*args, "--json", **more)
        if done.returncode:
            raise RuntimeError(f"sumi {args}: exit {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def db(self):
        con = sqlite3.connect(f"file:{self.state}/sumi.db?mode=ro", uri=True, timeout=30)
        con.row_factory = sqlite3.Row
        return con

    def remove(self):
        self.kill()
        shutil.rmtree(self.parent, ignore_errors=True)


class Redis:
    """A Redis server of the test's own, outside any daemon."""

    def __init__(self, parent, *options):
        self.dir = pathlib.Path(parent) / "redis"
        self.dir.mkdir(parents=True, exist_ok=True)
        self.socket = self.dir / "r.sock"
        self.url = f"unix://{self.socket}"
        self.options = options or ("--appendonly", "yes", "--appendfsync", "always")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [SERVER, "--port", "0", "--unixsocket", self.socket, "--dir", self.dir,
             "--maxmemory-policy", "noeviction", "--save", "", *self.options],
            stdout=open(self.dir / "log", "ab"), stderr=subprocess.STDOUT)
        assert wait_for(lambda: self.cli("ping") == "PONG", 90), f"{SERVER} did not start"
        return self

    def cli(self, *args):
        return ask_redis(self.socket, *args)

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)
        if sig in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


def refused_job(redis, id, base, fields):
    """Sends (redis: a Redis or a Place) a job that must fail (fields: a dict beside base, or the JSON text itself with ID in it); what is said of it."""
    text = fields.replace("ID", id) if isinstance(fields, str) else \
        json.dumps({"id": id, "max_attempts": 1, **base, **fields})
    cli = getattr(redis, "cli", None) or redis.redis_cli
    cli("XADD", "{sumi}:in", "*", "job", text)
    dead = lambda: cli("XREVRANGE", "{sumi}:dead", "+", "-", "COUNT", 1)
    wait_for(lambda: cli("HGET", f"{{sumi}}:job:{id}", "state") == "failed" or id in dead(), 60)
    error = cli("HGET", f"{{sumi}}:job:{id}", "error")
    return error if error else dead() if id in dead() else ""


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def resumed_like(place, id, whole):
    """A job that has begun is killed between two steps and gone on with: to the bytes of another's file."""
    check(place.reaches(id, 5), "it is begun")
    place.kill()
    place.start()
    place.sumi("wait", id, timeout=120)
    mine = place.dir / f"{id}{pathlib.Path(whole).suffix}"
    done = place.sumi("fetch", id, "-o", mine.name)
    check(mine.exists() and sha256(mine) == sha256(place.dir / whole), "killed and gone on with: the same bytes", done.stderr[-300:])


def visible(place):
    """Visible results of a place: {job: {variant: sha256}}."""
    if not (place.state / "sumi.db").exists():
        return {}
    with contextlib.closing(place.db()) as con:
        rows = con.execute("select j.id as id, a.variant as variant, a.sha256 as sha256 from artifacts a "
                           "join jobs j on j.key = a.job "
                           "where j.state = 'done' and j.publish = 'visible' and a.state = 'visible' "
                           "order by j.id, a.variant").fetchall()
    out = {}
    for row in rows:
        out.setdefault(row["id"], {})[row["variant"]] = row["sha256"]
    return out


def unsettled(place):
    """Jobs that the store still thinks are being made."""
    with contextlib.closing(place.db()) as con:
        return [row["id"] for row in con.execute("select id from jobs where publish in ('none', 'stored')")]


def orphans(place):
    """Files under artifacts/ that no row names, and temp files."""
    with contextlib.closing(place.db()) as con:
        known = {row["sha256"] for row in con.execute("select sha256 from artifacts")}
    files = [p for p in (place.state / "artifacts").rglob("*") if p.is_file()]
    return [p for p in files if p.name.split(".")[0] not in known or "tmp" in p.parts[-2]]
