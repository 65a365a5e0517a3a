"""A gateway as a real process, and requests to it as a client's library sends them, or byte by byte."""
import atexit, http.client, json, re, signal, socket, subprocess, time

from lib import *


class Gateway:
    def __init__(self, place, *options, listen="127.0.0.1:0", **more):
        self.place = place
        self.log = place.dir / "gateway.log"
        begin = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BIN / "sumi-gateway", "--listen", listen, *options], env=place.env(**more),
                                            stdout=log, stderr=log, cwd=place.dir)
        atexit.register(self.process.kill)  # a test that breaks off leaves none behind

        def said():
            found = re.search(r'listening at="http://127\.0\.0\.1:(\d+)/', self.log.read_bytes()[begin:].decode())
            return int(found[1]) if found else self.process.poll() is not None and -1
        self.port = wait_for(said, 90)

    def ask(self, method, path, body=None, headers={}, timeout=60):
        """(status, headers, body); a dict or list is sent as JSON, and JSON comes back as such."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
        try:
            c.request(method, path, body, headers)
            r = c.getresponse()
            data = r.read()
        finally:
            c.close()
        if (r.getheader("Content-Type") or "").startswith("application/json") and data:
            data = json.loads(data)
        return r.status, r.headers, data

    def get(self, path, **headers):
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def raw(self, data, timeout=15, address=None):
        """What comes back for these bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(data)
            got = b""
            try:
                while part := s.recv(65536):
                    got += part
            except (ConnectionError, TimeoutError):
                pass
            return got

    def becomes(self, id, *states, seconds=60, **headers):
        return wait_for(lambda: (job := self.get(f"/jobs/{id}", **headers)[2]) and job.get("state") in states and job, seconds, 0.05)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def kill(self):
        self.process.kill()
        self.process.wait()


QUICK = {"steps": 3, "width": 64, "height": 64, "sampler": "ddim"}
