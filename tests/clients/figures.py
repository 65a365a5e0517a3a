#!/usr/bin/env python3
"""prometheus_client's parsers read /metrics in both of its forms."""
from client import *

need("prometheus_client==0.26.0")
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format

with Server() as s:
    key = {"Authorization": f"Bearer {s.key}"}
    s.g.ask("POST", "/jobs", {"prompt": "x", "id": "x", **QUICK}, key)
    s.g.becomes("x", "done", **key)
    wait_for(lambda: b"sumi_job_run_seconds_count" in s.g.get("/metrics", **key)[2], 10)
    for name, parse, accept in [("text", text_format, "text/plain"), ("OpenMetrics", open_metrics, "application/openmetrics-text")]:
        families = {f.name: f for f in parse(s.g.get("/metrics", Accept=accept, **key)[2].decode())}
        done = families["sumi_jobs_done"]
        check(done.type == "counter" and done.samples[0].value == 1, f"{name}: a counter", str(done))
        check(families["sumi_job_run_seconds"].type == "histogram" and families["sumi_jobs"].type == "gauge", f"{name}: a histogram and a gauge")
finish()
