#!/usr/bin/env python3
"""schemathesis sends what the OpenAPI document allows, and what it does not: no answer is a fault of the server, and
none is what the document does not know."""
from client import *

need("schemathesis==4.32.5")

with Server() as s:
    done = subprocess.run([VENV / "bin" / "schemathesis", "run", s.url + "/openapi.json", "--header", f"Authorization: Bearer {s.key}", "--exclude-path", "/events",
                           "--exclude-path-regex", "^/(v1/images|v1/mood|sdapi/v1/(txt|img)2img|queue)", "--max-examples", "15", "--phases", "examples,coverage,fuzzing",
                           "--exclude-checks", "positive_data_acceptance,unsupported_method", "--request-timeout", "20", "--seed", "1", "--workers", "1"],
                          capture_output=True, text=True, timeout=900, cwd=s.place.dir)
    check(done.returncode == 0, "schemathesis", "\n" + (done.stdout + done.stderr)[-6000:])
    check(s.g.get("/healthz")[0] == 200, "it lives")
finish()
