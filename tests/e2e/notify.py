#!/usr/bin/env python3
"""A job's notify URL is told of its end, once, and again when it was run again."""
import base64, hmac, http.server, threading

from lib import *

heard, signed = [], []


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        heard.append(json.loads(body))
        id, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        wanted = base64.b64encode(hmac.new(b"a secret", f"{id}.{at}.".encode() + body, hashlib.sha256).digest()).decode()
        signed.append((id, self.headers["webhook-signature"] == "v1," + wanted and abs(time.time() - int(at)) < 300))
        # The first notice of all is refused: it has to be tried again.
        self.send_response(500 if len(heard) == 1 else 204)
        self.end_headers()

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/told"
place = Place(notify_secret="whsec_" + base64.b64encode(b"a secret").decode()).start()
try:
    done = place.sumi("image", "ink", "--steps", 2, "--width", 64, "--height", 64, "--id", "told", "--notify", url)
    check(done.returncode == 0, "a job with a notify URL is rendered", done.stderr)
    wait_for(lambda: len(heard) >= 2, 90)
    check([h.get("id") for h in heard] == ["told", "told"], "a refused notice is tried again", str(heard))
    check(heard and heard[-1]["state"] == "done" and heard[-1]["results"], "and says what came out", str(heard))
    check(all(fine for _, fine in signed) and signed[0][0] == signed[1][0], "both are signed, with one id", str(signed))
    heard.append(None)
    # One that was taken, and whose time then passes.
    place.sumi("pause")
    place.sumi("submit", json.dumps({"prompt": "ink", "id": "bad", "notify": url, "deadline": int(time.time() * 1000) + 2000}))
    wait_for(lambda: len(heard) >= 4, 90)
    check(heard[-1] and heard[-1]["state"] == "failed" and "deadline" in heard[-1]["error"],
          "a failed job is told with its reason", str(heard[-1]))
    place.redis_cli("XADD", "{sumi}:in", "*", "job",
                    json.dumps({"modality": "image", "prompt": "ink", "id": "never", "notify": url, "fast": True}))
    wait_for(lambda: len(heard) >= 5, 90)
    check(heard[-1] and heard[-1]["id"] == "never" and "fast" in heard[-1]["error"],
          "so is one that was rejected", str(heard[-1]))
    place.stop()
    place.start()
    time.sleep(1.5)
    check(len(heard) == 5, "a restart tells nothing twice", str(heard))
finally:
    place.remove()
finish()
