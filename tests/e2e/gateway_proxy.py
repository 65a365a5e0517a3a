#!/usr/bin/env python3
"""nginx and Caddy in front of the gateway, with the lines that docs/gateway.md has for them."""
import base64

from gateway_lib import *

DOCUMENT = (ROOT / "docs" / "gateway.md").read_text()


class Proxy:
    """On a port of its own, without TLS."""

    def __init__(self, place, port):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.dir = place.dir / self.name
        self.dir.mkdir()
        self.process = self.begin(port)
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0 or self.process.poll() is not None, 90)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Nginx(Proxy):
    name = "nginx"

    def begin(self, port):
        text = DOCUMENT.split("    # nginx\n")[1].split("\n    # Caddy")[0]
        documented = "\n".join(l for l in text.splitlines() if "listen" not in l and "server_name" not in l)
        block = documented.replace("127.0.0.1:7860", f"127.0.0.1:{port}").replace("server {", f"server {{ listen 127.0.0.1:{self.port};", 1)
        temp = "".join(f"{n}_temp_path {self.dir}/{n};" for n in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        user = "user root;" if os.getuid() == 0 else ""
        (self.dir / "nginx.conf").write_text(f"{user} daemon off; pid {self.dir}/pid; error_log {self.dir}/error.log; events {{}} http {{ access_log off; {temp} {block} }}")
        return subprocess.Popen(["nginx", "-p", str(self.dir), "-c", str(self.dir / "nginx.conf"), "-e", str(self.dir / "error.log")], stderr=subprocess.DEVNULL)


class Caddy(Proxy):
    name = "caddy"

    def begin(self, port):
        text = DOCUMENT.split("    # Caddy\n")[1].split("\n\n")[0]
        site = text.replace("127.0.0.1:7860", f"127.0.0.1:{port}").replace("sumi.example.org {", f"http://sumi.example.org:{self.port}, http://127.0.0.1:{self.port} {{", 1)
        (self.dir / "Caddyfile").write_text("{\n admin off\n auto_https off\n}\n" + site + "\n")
        words = ["--config", str(self.dir / "Caddyfile"), "--adapter", "caddyfile"]
        env = {**os.environ, "HOME": str(self.dir), "XDG_DATA_HOME": str(self.dir), "XDG_CONFIG_HOME": str(self.dir)}
        done = subprocess.run(["caddy", "validate", *words], capture_output=True, text=True, env=env)
        check(done.returncode == 0, "caddy validate", done.stderr[-500:])
        return subprocess.Popen(["caddy", "run", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)


def through(place, g, key, proxy):
    """All of it once, by ids of its own."""
    fog, chunks = f"fog-{proxy.name}", f"chunks-{proxy.name}"
    behind = g.port
    g.port = proxy.port
    bearer = {"Authorization": f"Bearer {key}", "Host": "sumi.example.org"}
    check(g.ask("GET", "/jobs/x")[0] == 401 and g.ask("GET", "/healthz")[0] == 200, f"{proxy.name}: a key is needed")
    with socket.create_connection(("127.0.0.1", g.port), timeout=30) as events:
        events.sendall(f"GET /events HTTP/1.1\r\nHost: sumi.example.org\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        got = events.recv(4000)
        check(b"text/event-stream" in got, f"{proxy.name}: a stream of events begins at once", str(got[:100]))
        status, _, sent = g.ask("POST", "/jobs", {"prompt": "fog", "id": fog, **QUICK}, bearer)
        check(status == 201 and sent["url"] == f"https://sumi.example.org/jobs/{fog}", f"{proxy.name}: addresses are those of the proxy", str(sent))
        while b"event: done" not in got and (part := events.recv(65536)):
            got += part
        check(b"event: done" in got, f"{proxy.name}: events come while they happen")
    file = g.ask("GET", f"/jobs/{fog}", headers=bearer)[2]["files"][0]
    status, headers, part = g.ask("GET", f"/jobs/{fog}/files/1.webp", headers={**bearer, "Range": "bytes=0-3"})
    check(status == 206 and part == b"RIFF" and file["url"].startswith("https://sumi.example.org/"), f"{proxy.name}: a part of a file", f"{status} {headers}")
    status, _, got = g.ask("POST", "/v1/images/generations", {"prompt": "x", "steps": 3, "size": "64x64", "sampler": "ddim"}, bearer)
    check(status == 200 and base64.b64decode(got["data"][0]["b64_json"])[:4] == b"\x89PNG", f"{proxy.name}: a picture")
    status, _, got = g.ask("POST", "/sdapi/v1/png-info", {"image": "A" * (5 << 20)}, bearer)
    check(status == 422, f"{proxy.name}: five megabytes pass", f"{status} {str(got)[:200]}")
    chunked = iter([b'{"prompt": "y", ', f'"id": "{chunks}", "not_before": "2099-01-01"}}'.encode()])
    c = http.client.HTTPConnection("127.0.0.1", g.port)
    c.request("POST", "/jobs", chunked, bearer, encode_chunked=True)
    check(c.getresponse().status == 201, f"{proxy.name}: a body in chunks")
    proxy.stop()
    g.port = behind


proxies = [p for p in (Nginx, Caddy) if at_hand(f"gateway_proxy {p.name}", p.name)]
if not proxies:
    finish()
place = Place(public_url="https://sumi.example.org/", preview="1ms")
try:
    place.start()
    key = place.sumi("keys", "add", "anna").stdout.strip()
    g = Gateway(place)
    for proxy in proxies:
        through(place, g, key, proxy(place, g.port))
    check(g.stop() == 0, "it stops")
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()
