"""A hub of models on this machine, that answers as Hugging Face and Civitai do: the lists, redirects to another host, ranges,
ETags; and that can be cut, changed and closed to strangers."""
import contextlib, hashlib, http.server, json, pathlib, re, threading, time, urllib.parse, urllib.request

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_name(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """files: {"owner/name": {path: bytes}}. Files of more than 4 KiB are large ones (LFS), which another host has."""

    def __init__(self, repos=None, versions=None):
        self.repos, self.versions = repos or {}, versions or {}
        self.asked = []       # (path, range, authorization) of each request for a file
        self.cut_after = None  # bytes after which a large file's connection is closed, once
        self.token = None     # wanted for everything
        self.lie = {}         # path: bytes that are sent in its place
        self.ranges = True
        self.refuse = {}      # {in the path: [(code, headers), …]}: answers before the right one
        self.pause = 0        # seconds in the middle of each large file
        self.at_once = self.most = 0  # large files that are being sent
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                hub.answer(self, False)

            def do_GET(self):
                hub.answer(self, True)

        self.servers = [http.server.ThreadingHTTPServer((host, 0), Handler) for host in ("127.0.0.1", "127.0.0.1")]
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url, self.store = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def send(self, h, body, data=b"", code=200, **headers):
        h.send_response(code)
        for name, value in headers.items():
            h.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        if body:
            with contextlib.suppress(OSError):
                h.wfile.write(data)

    def answer(self, h, body):
        path = urllib.parse.unquote(urllib.parse.urlsplit(h.path).path)
        own = h.server is self.servers[0]
        if own and self.token and h.headers.get("Authorization") != f"Bearer {self.token}":
            return self.send(h, body, b"{}", 401)
        for words, answers in self.refuse.items():
            if words in path and answers:
                code, headers = answers.pop(0)
                return self.send(h, body, b"<html>not now</html>", code, **headers)
        if m := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", urllib.parse.urlsplit(h.path).path):
            return self.model(h, body, m[1], urllib.parse.unquote(m[2] or "main"))  # a branch's own slashes are escaped
        if m := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            return self.send(h, body, json.dumps([self.entry(p, d, True) for p, d in self.repos[m[1]].items()]).encode())
        if m := re.fullmatch(r"/api/v1/(models|model-versions)/(\d+)", path):
            return self.civitai(h, body, m[1], int(m[2]))
        if m := re.fullmatch(r"/api/download/models/(\d+)", path):
            return self.file(h, body, "civitai/" + m[1], self.versions[int(m[1])])
        if m := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.resolve(h, body, m[1], m[3])
        if not own and path.startswith("/blobs/"):
            return self.blob(h, body, path)
        return self.send(h, body, b"no", 404)

    def entry(self, path, data, tree=False):
        large = len(data) > 4096
        sha = hashlib.sha256(data).hexdigest()
        if tree:
            return {"type": "file", "path": path, "size": len(data), "oid": git_name(data),
                    **({"lfs": {"oid": sha, "size": len(data), "pointerSize": 134}} if large else {})}
        return {"rfilename": path, "size": len(data), "blobId": git_name(data),
                **({"lfs": {"sha256": sha, "size": len(data), "pointerSize": 134}} if large else {})}

    def model(self, h, body, name, revision):
        if name not in self.repos or revision not in ("main", "refs/pr/1", COMMIT):
            return self.send(h, body, b'{"error": "Repository not found"}', 404)
        siblings = [self.entry(p, d) for p, d in self.repos[name].items()]
        answer = {"id": name, "modelId": name, "sha": COMMIT, "private": False, "gated": False, "siblings": siblings,
                  "tags": ["diffusers", "license:mit"], "cardData": {"license": "other", "license_name": "house-rules"}}
        return self.send(h, body, json.dumps(answer).encode(), Content_Type="application/json")

    def resolve(self, h, body, name, path):
        data = self.repos.get(name, {}).get(path)
        if data is None:
            return self.send(h, body, b"Entry not found", 404, X_Error_Code="EntryNotFound")
        common = {"X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
        if len(data) <= 4096:
            self.asked.append((path, h.headers.get("Range"), h.headers.get("Authorization")))
            return self.file(h, body, path, data, ETag=f'"{git_name(data)}"', **common)
        sha = hashlib.sha256(data).hexdigest()
        return self.send(h, body, b"", 302, Location=f"{self.store}/blobs/{name}/{path}", X_Linked_Size=str(len(data)),
                         X_Linked_ETag=f'"{sha}"', ETag=f'"{sha}"', **common)

    def blob(self, h, body, path):
        _, _, owner, repo, rest = path.split("/", 4)
        self.asked.append((rest, h.headers.get("Range"), h.headers.get("Authorization")))
        data = self.lie.get(rest, self.repos[f"{owner}/{repo}"][rest])
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        time.sleep(self.pause)
        try:
            return self.file(h, body, rest, data, ETag=f'"{hashlib.sha256(data).hexdigest()}"')
        finally:
            self.at_once -= 1

    def file(self, h, body, path, data, **headers):
        span = re.fullmatch(r"bytes=(\d+)-", h.headers.get("Range") or "")
        wanted = h.headers.get("If-Range") in (None, headers.get("ETag"))
        if span and self.ranges and wanted and int(span[1]) >= len(data):
            return self.send(h, body, b"", 416, Content_Range=f"bytes */{len(data)}")
        start = int(span[1]) if span and self.ranges and wanted else 0
        part = data[start:]
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if body and self.cut_after and len(part) > self.cut_after:
            cut, self.cut_after = self.cut_after, None
            self.send(h, body, part[:cut], 206 if start else 200, Content_Length=str(len(part)), **headers)
            h.close_connection = True
            with contextlib.suppress(OSError):
                h.connection.shutdown(2)
            return None
        return self.send(h, body, part, 206 if start else 200, **headers)

    def civitai(self, h, body, kind, number):
        data = self.versions.get(number if kind == "model-versions" else number + 1)
        if data is None:
            return self.send(h, body, b'{"error": "not found"}', 404)
        version = number if kind == "model-versions" else number + 1
        release = {"id": version, "modelId": version - 1, "baseModel": "SD 1.5", "files": [
            {"name": "preview.zip", "type": "Training Data", "downloadUrl": f"{self.url}/no"},
            {"name": "Ink & Water v2.safetensors", "type": "Model", "primary": True, "sizeKB": len(data) / 1024,
             "pickleScanResult": "Success", "hashes": {"SHA256": hashlib.sha256(data).hexdigest().upper()},
             "downloadUrl": f"{self.url}/api/download/models/{version}"}]}
        model = {"id": version - 1, "type": "Checkpoint", "allowNoCredit": False, "allowCommercialUse": ["Image"],
                 "modelVersions": [release]}
        return self.send(h, body, json.dumps(release if kind == "model-versions" else model).encode())


class Proxy:
    """A proxy for http, which counts what goes through it."""

    def __init__(self):
        proxy = self
        self.asked = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                proxy.asked += 1
                whole = self.path.startswith("http://")
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                answer = opener.open(self.path, timeout=20) if whole else None
                self.send_response(answer.status if whole else 400)
                data = answer.read() if whole else b""
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def folder(path):
    """A pack of this checkout as a repository's files."""
    root = pathlib.Path(path)
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
