"""A browser driven over its debugging protocol, with nothing but Python's own library: pages, keys, pictures, what its console says."""
import base64, contextlib, json, os, pathlib, shutil, socket, struct, subprocess, tempfile, time, urllib.request

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")

DRAWS, DRAWS_NOT = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader"), ("--disable-gpu", "--disable-3d-apis")

KEYS = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "ArrowRight": ("ArrowRight", 39, ""),
        "ArrowLeft": ("ArrowLeft", 37, ""), "ArrowDown": ("ArrowDown", 40, ""), "ArrowUp": ("ArrowUp", 38, ""), "Home": ("Home", 36, ""),
        "End": ("End", 35, ""), "PageUp": ("PageUp", 33, ""), " ": ("Space", 32, " ")}


class Socket:
    """As much of RFC 6455 as a client of one peer needs."""

    def __init__(self, url):
        host, path = url.removeprefix("ws://").split("/", 1)
        name, port = host.split(":")
        self.s = socket.create_connection((name, int(port)), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.stream = self.s.makefile("rb")
        while self.stream.readline().strip():
            pass

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        size = len(data)
        head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + struct.pack(">H", size) if size < 65536 else \
            b"\x81\xff" + struct.pack(">Q", size)
        self.s.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def receive(self):
        out = b""
        while True:
            first, second = self.stream.read(2)
            size = second & 127
            size = struct.unpack(">H", self.stream.read(2))[0] if size == 126 else \
                struct.unpack(">Q", self.stream.read(8))[0] if size == 127 else size
            data = self.stream.read(size)
            if first & 15 == 8:
                raise ConnectionError("the browser has closed the page")
            if first & 15 < 3:
                out += data
            if first & 0x80 and first & 15 < 3:
                return out.decode()


class Page:
    def __init__(self, url="about:blank", width=1280, height=900, draws=False):
        """draws: has WebGL, by Chromium's own rasteriser where the machine has no device."""
        program = next(filter(None, map(shutil.which, BROWSERS)))
        self.home = tempfile.mkdtemp(prefix="sumi-page-")
        self.browser = subprocess.Popen([program, "--headless=new", "--no-sandbox", *(DRAWS if draws else DRAWS_NOT), "--disable-dev-shm-usage", "--no-first-run",
                                         f"--user-data-dir={self.home}", "--remote-debugging-port=0", f"--window-size={width},{height}",
                                         "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = pathlib.Path(self.home) / "DevToolsActivePort"
        end = time.monotonic() + 60
        while not (port.exists() and port.read_text().count("\n")):
            if time.monotonic() > end or self.browser.poll() is not None:
                raise RuntimeError("the browser does not come up")
            time.sleep(0.05)
        self.port = int(port.read_text().split("\n")[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json") as f:
            target = next(t for t in json.load(f) if t["type"] == "page")
        self.socket, self.number, self.said = Socket(target["webSocketDebuggerUrl"]), 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.go(url)

    def close(self):
        self.browser.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.browser.wait(20)
        if self.browser.poll() is None:
            self.browser.kill()
            self.browser.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def ask(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            told = json.loads(self.socket.receive())
            if told.get("id") == self.number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return told["result"]
            self.note(told)

    def note(self, told):
        """Errors of the page: exceptions, violated policies, requests that failed."""
        p = told.get("params", {})
        if told.get("method") == "Tracing.dataCollected":
            self.traced += p["value"]
        elif told.get("method") == "Tracing.tracingComplete":
            self.complete = True
        if told.get("method") == "Runtime.exceptionThrown":
            self.said.append(p["exceptionDetails"].get("exception", {}).get("description", str(p["exceptionDetails"])))
        elif told.get("method") == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            self.said.append(f"{p['entry']['text']} {p['entry'].get('url', '')}")

    def trace(self):
        """What the page's own thread does from here on is written down."""
        self.traced, self.complete = [], False
        self.ask("Tracing.start", traceConfig={"includedCategories": ["toplevel", "__metadata"]}, transferMode="ReportEvents")

    def tasks(self):
        """Milliseconds of processor that each of its tasks took, which does not depend on what else the machine does."""
        self.ask("Tracing.end")
        while not self.complete:
            self.note(json.loads(self.socket.receive()))
        main = {(e["pid"], e["tid"]) for e in self.traced if e.get("name") == "thread_name" and e["args"]["name"] == "CrRendererMain"}
        return sorted(e["tdur"] / 1000 for e in self.traced if (e["pid"], e["tid"]) in main and "RunTask" in e.get("name", "") and "tdur" in e)

    def go(self, url):
        self.ask("Page.navigate", url=url)

    def js(self, expression):
        """The value of an expression, a promise's when it is kept."""
        told = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"].get("exception", {}).get("description", expression))
        return told["result"].get("value")

    def until(self, expression, seconds=120):
        """Waits until an expression is true; its last value."""
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.js(expression)
            except RuntimeError:
                value = None
            if value or time.monotonic() > end:
                return value
            time.sleep(0.05)

    def press(self, *keys, modifiers=0):
        for key in keys:
            code, number, text = KEYS.get(key) or (f"Key{key.upper()}", ord(key.upper()), key)
            common = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
            self.ask("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text and not modifiers else {}))
            self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, text):
        self.ask("Input.insertText", text=text)

    def picture(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))

    def pixels(self, selector, across=24, down=18):
        """[r, g, b, …] of an element as the window shows it, made so small."""
        self.js("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
        x, y, width, height = self.js(f"(r => [r.left + scrollX, r.top + scrollY, r.width, r.height])(document.querySelector(`{selector}`).getBoundingClientRect())")
        shot = self.ask("Page.captureScreenshot", format="png", clip={"x": x, "y": y, "width": width, "height": height, "scale": 1})["data"]
        return self.js(f"""(async () => {{
            const picture = await createImageBitmap(new Blob([Uint8Array.from(atob("{shot}"), c => c.charCodeAt(0))]))
            const paint = new OffscreenCanvas({across}, {down}).getContext("2d")
            paint.drawImage(picture, 0, 0, {across}, {down})
            return [...paint.getImageData(0, 0, {across}, {down}).data].filter((_, i) => i % 4 < 3)
        }})()""")
