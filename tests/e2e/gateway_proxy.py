#!/usr/bin/env python3
"""nginx in front of the gateway, with the lines that docs/gateway.md has for it."""
import base64

from gateway_lib import *

if not at_hand("gateway_proxy", "nginx"):
    finish()


def documented():
    """The server's block, without TLS."""
    text = (ROOT / "docs" / "gateway.md").read_text().split("    # nginx\n")[1].split("\n    # Caddy")[0]
    return "\n".join(l for l in text.splitlines() if "listen" not in l and "server_name" not in l)


class Nginx:
    def __init__(self, place, port):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.dir = place.dir / "nginx"
        self.dir.mkdir()
        block = documented().replace("127.0.0.1:7860", f"127.0.0.1:{port}").replace("server {", f"server {{ listen 127.0.0.1:{self.port};", 1)
        temp = "".join(f"{n}_temp_path {self.dir}/{n};" for n in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        user = "user root;" if os.getuid() == 0 else ""
        (self.dir / "nginx.conf").write_text(f"{user} daemon off; pid {self.dir}/pid; error_log {self.dir}/error.log; events {{}} http {{ access_log off; {temp} {block} }}")
        self.process = subprocess.Popen(["nginx", "-p", str(self.dir), "-c", str(self.dir / "nginx.conf"), "-e", str(self.dir / "error.log")], stderr=subprocess.DEVNULL)
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0 or self.process.poll() is not None, 20)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


place = Place(public_url="https://sumi.example.org/", preview="1ms")
try:
    place.start()
    key = place.sumi("keys", "add", "anna").stdout.strip()
    g = Gateway(place)
    n = Nginx(place, g.port)
    behind = g.port
    g.port = n.port  # from here on through the proxy
    bearer = {"Authorization": f"Bearer {key}", "Host": "sumi.example.org"}
    check(g.ask("GET", "/jobs/x")[0] == 401 and g.ask("GET", "/healthz")[0] == 200, "a key is needed")
    with socket.create_connection(("127.0.0.1", g.port), timeout=30) as events:
        events.sendall(f"GET /events HTTP/1.1\r\nHost: sumi.example.org\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        got = events.recv(4000)
        check(b"text/event-stream" in got, "a stream of events begins at once", str(got[:100]))
        status, _, sent = g.ask("POST", "/jobs", {"prompt": "fog", "id": "fog", **QUICK}, bearer)
        check(status == 201 and sent["url"] == "https://sumi.example.org/jobs/fog", "addresses are those of the proxy", str(sent))
        while b"event: done" not in got and (part := events.recv(65536)):
            got += part
        check(b"event: done" in got, "events come while they happen")
    file = g.ask("GET", "/jobs/fog", headers=bearer)[2]["files"][0]
    status, headers, part = g.ask("GET", "/jobs/fog/files/1.webp", headers={**bearer, "Range": "bytes=0-3"})
    check(status == 206 and part == b"RIFF" and file["url"].startswith("https://sumi.example.org/"), "a part of a file", f"{status} {headers}")
    status, _, got = g.ask("POST", "/v1/images/generations", {"prompt": "x", "steps": 3, "size": "64x64", "sampler": "ddim"}, bearer)
    check(status == 200 and base64.b64decode(got["data"][0]["b64_json"])[:4] == b"\x89PNG", "a picture")
    status, _, got = g.ask("POST", "/sdapi/v1/png-info", {"image": "A" * (5 << 20)}, bearer)
    check(status == 422, "five megabytes pass", f"{status} {str(got)[:200]}")
    chunked = iter([b'{"prompt": "y", ', b'"id": "chunks", "not_before": "2099-01-01"}'])
    c = http.client.HTTPConnection("127.0.0.1", g.port)
    c.request("POST", "/jobs", chunked, bearer, encode_chunked=True)
    check(c.getresponse().status == 201, "a body in chunks")
    n.stop()
    g.port = behind
    check(g.stop() == 0, "it stops")
finally:
    if place.daemon:
        place.stop()
    place.remove()
finish()
