#!/usr/bin/env python3
"""The page with 100,000 results: all of them are scrolled through in Chromium, and what keeps it from drawing is measured.

    bench/gallery.py [rows]

Results are rows in the database that share a few files, as their number is what is tried here. Fails where a task of the page takes
longer than STALL (in processor time: the clock depends on what else the machine does), where it holds more than a few pages' pictures, or where what is shown is not what is there."""
import pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e"))
from cdp import BROWSERS, Page
from gateway_lib import *

STALL = 100  # ms of processor that one task may take: what a hand notices
ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 100000

WATCH = """
window.gaps = []; window.long = []
let last = performance.now()
const frame = now => { gaps.push(now - last); last = now; requestAnimationFrame(frame) }
requestAnimationFrame(frame)
new PerformanceObserver(l => { for (const e of l.getEntries()) long.push(e.duration) }).observe({ type: "longtask" })
"""


def fill(place, rows):
    """Rows like the one that is there, each an hour's part later."""
    con = sqlite3.connect(place.state / "sumi.db")
    con.executescript(f"""
        CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n;
        CREATE TEMP TABLE one AS SELECT * FROM jobs LIMIT 1;
        CREATE TEMP TABLE file AS SELECT * FROM artifacts WHERE role = 'main' LIMIT 1;
        INSERT INTO jobs (key, id, state, publish, modality, model, prompt, submitter, params, priority, variants, created, started, finished)
          SELECT (created - 60000 * i) << 20, 'row-' || i, 'done', 'visible', modality, model, 'picture ' || i || ' of mountains in fog, watercolour',
          submitter, params, priority, 1, created - 60000 * i, started, finished FROM n, one;
        INSERT INTO artifacts (job, variant, role, number, format, mime, sha256, bytes, width, height, duration, seed, infotext, metadata, state, created, thumb)
          SELECT (one.created - 60000 * i) << 20, 0, role, 0, format, mime, sha256, bytes, width, height, duration, i, infotext, metadata, file.state, file.created, thumb
          FROM n, one, file;
        INSERT INTO prompts (prompts) VALUES ('rebuild');""")
    con.commit()
    con.close()


def state(page, tasks=None):
    tasks = sorted(tasks) if tasks is not None else page.tasks()
    got = page.js("({tiles: document.querySelectorAll('#grid .tile').length, longest: Math.max(0, ...long), gap: Math.max(0, ...gaps.slice(2)), "
                   "frames: gaps.length, slow: gaps.filter(g => g > 100).length, heap: performance.memory?.usedJSHeapSize / 1048576})")
    return {**got, "work": tasks[-1] if tasks else 0, "over": sum(t > 50 for t in tasks), "tasks": len(tasks), "all": sum(tasks) / 1000}


def forget(page):
    page.js("gaps.length = long.length = 0")
    page.trace()


def report(what, got, seconds):
    print(f"{what}: {seconds:.1f} s; the page's thread: {got['tasks']} tasks, {got['all']:.1f} s of processor, the longest {got['work']:.0f} ms, {got['over']} over 50 ms; "
          f"by the clock longest task {got['longest']:.0f} ms, longest gap between two frames {got['gap']:.0f} ms, {got['slow']} of {got['frames']} "
          f"frames over 100 ms, {got['tiles']} pictures in the document, {got['heap']:.0f} MiB of scripts' memory", flush=True)
    check(0 < got["work"] <= STALL, f"{what}: nothing stalls", str(got))
    check(got["tiles"] <= 1500, f"{what}: only what is near is there", str(got))


def scroll(page, g):
    """Down to the end, as fast as results come; then through all of it."""
    start = time.monotonic()
    page.js("window.timer = setInterval(() => scrollTo(0, document.documentElement.scrollHeight), 30)")
    tasks, done, most = [], False, time.monotonic() + 1800
    while not done and time.monotonic() < most:  # in parts: the browser keeps so many tasks in mind and no more
        page.trace()
        done = page.until("document.getElementById('end').textContent === 'That is all.'", 15)
        tasks += page.tasks()
    page.js("clearInterval(timer)")
    check(done, "the end is reached")
    report(f"{ROWS} results come", state(page, tasks), time.monotonic() - start)
    check(page.js("[...document.querySelectorAll('#grid .tile')].at(-1).item.job.id") == f"row-{ROWS}", "and the last one is the oldest")
    forget(page)
    start = time.monotonic()
    for part in [0, 0.5, 0.1, 0.9, 0.333, 1, 0.25, 0]:
        page.js(f"scrollTo(0, {part} * document.documentElement.scrollHeight)")
        seen = page.until("[...document.querySelectorAll('#grid .tile img')].some(i => { const r = i.getBoundingClientRect(); "
                          "return r.top < innerHeight && r.bottom > 0 && i.complete && i.naturalWidth > 0 })", 10)
        check(seen, f"at {part:.0%} pictures are there at once")
    report("jumps", state(page), time.monotonic() - start)
    forget(page)
    start = time.monotonic()
    page.js("""new Promise(end => { let n = 0
        const step = () => { scrollBy(0, 400); if (++n < 600) requestAnimationFrame(step); else end(true) }
        requestAnimationFrame(step) })""")
    report("600 frames of scrolling", state(page), time.monotonic() - start)


def main():
    if not any(map(shutil.which, BROWSERS)):
        print(f"skip the page with {ROWS} results: none of {', '.join(BROWSERS)} is installed")
        return
    place = Place(packs=f"{PACKS}:{ROOT / 'models'}")
    place.start()
    g = Gateway(place)
    page = None
    try:
        g.becomes(g.ask("POST", "/jobs", {"prompt": "the first of many", "model": "ink", "steps": 4, "size": "256x256"})[2]["id"], "done")
        fill(place, ROWS)
        times = []
        after = ""
        for _ in range(min(50, ROWS // 60)):
            start = time.monotonic()
            told = g.get(f"/jobs?state=done&limit=60{after}")[2]
            times.append((time.monotonic() - start) * 1000)
            after = f"&after={told['next']}"
        print(f"a page of 60: {sorted(times)[len(times) // 2]:.1f} ms in the middle, {max(times):.1f} at most")
        page = Page("about:blank")
        page.go(f"http://127.0.0.1:{g.port}/")
        page.until("document.querySelectorAll('#grid .tile').length >= 60")
        page.js(WATCH)
        scroll(page, g)
        check(page.said == [], "the browser has nothing to complain of", str(page.said[:3]))
    finally:
        if page:
            page.close()
        g.stop()
        place.stop()
        place.remove()
    finish()


main()
