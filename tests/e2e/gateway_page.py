#!/usr/bin/env python3
"""The page in Chromium: from prompt to picture by keyboard alone, a connection that is lost, settings that come back, two compared,
keys, languages, small windows; nothing against its policy. Skipped where no Chromium is installed."""
import contextlib, http.server, threading, time

import axe
from cdp import BROWSERS, Page
from gateway_lib import *

TILES = "document.querySelectorAll('#grid .tile').length"
JUDGE = axe.text()


def by_keyboard(page, g):
    check(page.until("document.querySelector('#model option')?.textContent"), "the page comes up with its models")
    accessible(page, "an empty page")
    page.press("Tab")
    check(page.js("document.activeElement.className") == "skip", "the first Tab leads to the gallery's link")
    for _ in range(20):
        page.press("Tab")
        if page.js("document.activeElement.id") == "prompt":
            break
    check(page.js("document.activeElement.id") == "prompt", "Tabs lead to the prompt box")
    page.write("a boat by keyboard")
    page.press("Enter", modifiers=2)
    check(page.until("document.querySelectorAll('#jobs li').length || " + TILES), "Control Enter sends it, and it is shown")
    check(page.until(TILES + " === 1"), "its picture comes by itself")
    check(page.until("document.querySelector('#grid .tile img').naturalWidth > 0"), "and is one")
    for _ in range(45):
        page.press("Tab")
        if page.js("document.activeElement.className") == "tile":
            break
    check(page.js("document.activeElement.className") == "tile", "Tabs lead to the picture")
    page.press("Enter")
    check(page.until("document.getElementById('view').open") and "a boat by keyboard" in page.js("document.getElementById('view').innerText"),
          "Enter opens it with its settings")
    page.press("Escape")
    check(page.until("!document.getElementById('view').open") and page.js("document.activeElement.className") == "tile",
          "Escape closes it, and the place is kept")
    alt = page.js("document.querySelector('#grid .tile img').alt")
    check("a boat by keyboard" in alt and any(c.isdigit() for c in alt), "its name: prompt and seed", alt)


def choose(page, id, value):
    page.js(f"(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('change')) }})(document.getElementById('{id}'))")


def text(page, id, value):
    page.js(f"(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('input')) }})(document.getElementById('{id}'))")


def click(page, selector, at=0):
    page.js(f"document.querySelectorAll(`{selector}`)[{at}].click()")


def viewing(page, at=0):
    click(page, "#grid .tile", at) if isinstance(at, int) else click(page, at)
    return page.until("document.getElementById('view').open")


def drafts(page, g):
    """Five in a row, one is picked and goes on."""
    text(page, "prompt", "five of them")
    choose(page, "model", "ink")
    page.js("document.getElementById('n').value = ''")
    choose(page, "upscale", "2")
    page.js("document.getElementById('make').requestSubmit(document.getElementById('drafts'))")
    choose(page, "upscale", "")
    row = "document.querySelectorAll('#drafts-row .tile:not([disabled]) img').length"
    check(page.until("document.querySelectorAll('#drafts-row .tile').length") == 5, "five places for drafts")
    if not page.until(f"document.getElementById('trouble').textContent || ({row} === 5 && {TILES} === 6)"):
        check(False, "five drafts", page.js("document.body.innerText"))
    check(page.js(row) == 5 and page.js(TILES) == 6, "five drafts in a row", page.js("document.getElementById('trouble').textContent"))
    id = page.js("new URLSearchParams(location.search).get('drafts')")
    made = g.get(f"/jobs/{id}")[2]
    check(made["fast"] is True and made["upscale"] == 2, "made fast, and twice as wide and high", str(made))
    click(page, "#drafts-row .tile", 2)
    check(page.js("document.querySelectorAll('#drafts-row [aria-pressed=true]').length") == 1, "one is picked")
    accessible(page, "drafts")
    click(page, "#drafts-actions .main")
    check(page.until(TILES + " === 7"), "and painted whole")
    whole = g.get("/jobs?state=done&limit=1")[2]["jobs"][0]
    seed = g.get(f"/jobs/{id}")[2]["files"][2]["seed"]
    check(whole["seed"] == seed and "fast" not in whole and whole.get("n", 1) == 1 and whole["prompt"] == "five of them", "from its seed", str(whole))
    click(page, "#drafts-actions button", 2)
    check(page.until(TILES + " === 12") and page.js("new URLSearchParams(location.search).get('drafts')") != id, "five like it are the next row")
    more = g.get("/jobs?state=done&limit=1")[2]["jobs"][0]
    check(more["init"] == f"{id}-3" and more["n"] == 5, "which begin with it", str(more))
    page.js("window.before = true; location.reload()")
    check(page.until(f"!window.before && {row} === 5"), "the row is in the address")
    click(page, "#drafts-close")
    check(page.js("document.getElementById('drafts-box').hidden && !location.search.includes('drafts')"), "and is put away")


def marks(page, g):
    """Favourites, tags, deleting and its undoing."""
    first = page.until("document.querySelector('#grid .tile')?.item.job.id")
    viewing(page)
    page.press("f")
    check(page.until("document.getElementById('star').getAttribute('aria-pressed') === 'true'") and wait_for(lambda: g.get(f"/jobs/{first}")[2].get("starred"), 90),
          "a favourite by a key")
    page.js("document.getElementById('letters').click()")
    page.press("f")
    time.sleep(0.1)
    check(page.js("document.getElementById('star').getAttribute('aria-pressed')") == "true", "keys of one letter can be switched off")
    page.js("document.getElementById('letters').click()")
    page.js("document.getElementById('tags').value = ' beach,two words '; document.getElementById('tags-form').requestSubmit()")
    check(page.until("document.querySelectorAll('#tags-list button').length === 2") and
          wait_for(lambda: g.get(f"/jobs/{first}")[2]["tags"] == ["beach", "two words"], 90), "tags", str(g.get(f"/jobs/{first}")[2]))
    click(page, "#tags-list button")
    check(page.until("location.search.includes('tag=beach')") and page.until("[...document.querySelectorAll('#grid .tile')].every(t => t.item.job.tags?.includes('beach'))"),
          "a tag leads to all that have it")
    text(page, "with-tag", "")
    page.until("!location.search.includes('tag')")
    page.js("document.getElementById('starred').click()")
    check(page.until("location.search.includes('starred') && document.querySelectorAll('#grid .tile').length > 0 && "
                     "[...document.querySelectorAll('#grid .tile')].every(t => t.querySelector('.signs').textContent.includes('★'))"), "favourites alone")
    page.js("document.getElementById('starred').click()")
    page.until(TILES + " > 6")
    before = page.js(TILES)
    target = g.ask("POST", "/jobs", {"prompt": "to be deleted", **QUICK})[2]["id"]
    page.until(TILES + f" === {before + 1}")
    remove = "document.querySelectorAll('#view-actions button')[[...document.querySelectorAll('#view-actions button')].findIndex(b => b.textContent === 'Delete')].click()"
    viewing(page)
    page.js(remove)
    check(page.until(TILES + f" === {before}") and page.js("!document.getElementById('toast').hidden"), "deleted: it leaves the list, and that can be undone")
    accessible(page, "what can be taken back")
    check(page.js("document.activeElement.className") == "tile", "the place is kept")
    click(page, "#undo")
    check(page.until(TILES + f" === {before + 1}") and page.js("document.getElementById('toast').hidden") and
          page.js("document.activeElement.item.job.id") == target, "undone")
    viewing(page)
    page.js(remove)
    check(g.get(f"/jobs/{target}")[0] == 200, "nothing is gone before the time to undo it is")
    page.js("window.dispatchEvent(new Event('pagehide'))")
    check(wait_for(lambda: g.get(f"/jobs/{target}")[0] == 404, 90), "who leaves the page has decided")


def moving(page, g):
    """A video in its loop, which stops; a clip with its waveform and spectrogram."""
    g.becomes(g.ask("POST", "/jobs", {"prompt": "moving", "modality": "video", "model": "ink-motion", "frames": 4, "steps": 2, "size": "64x64"})[2]["id"], "done")
    page.until("document.querySelector('#grid .tile .name').textContent === 'moving'")
    check(page.js("document.querySelector('#grid .tile img').src.includes('/thumbs/')"), "a list shows its first frame")
    viewing(page)
    source = "document.querySelector('#frame img').src"
    check(page.until(source + ".includes('/files/')"), "it goes round")
    click(page, "#halt")
    check(page.js(source + ".includes('/thumbs/')"), "and can be stopped")
    page.press("Escape")
    g.becomes(g.ask("POST", "/jobs", {"mood": "calm", "model": "ink-music", "duration": 1, "steps": 2})[2]["id"], "done")
    page.until("document.querySelector('#grid .tile .name').textContent === 'calm'")
    check(page.until("document.querySelector('#grid .tile img').src.includes('/thumbs/') && document.querySelector('#grid .tile img').naturalWidth === 256"), "a clip's waveform in the list")
    viewing(page)
    check(page.until("document.querySelector('#frame canvas').dataset.drawn"), "its waveform, large")
    check(page.until("document.querySelector('#frame .spectrogram')?.naturalWidth > 0"), "its spectrogram")
    check(page.until("document.querySelector('#frame audio').readyState > 0") and page.js("document.querySelector('#frame audio').paused"), "it waits to be played")
    page.js("(b => b.dispatchEvent(new MouseEvent('click', {clientX: b.getBoundingClientRect().left + b.getBoundingClientRect().width / 2, bubbles: true})))(document.querySelector('.wave'))")
    check(page.until("Math.abs(document.querySelector('#frame audio').currentTime - 0.5) < 0.1 && Number.parseFloat(document.querySelector('.wave .line').style.left) > 40"),
          "a click leads to its moment", str(page.js("document.querySelector('#frame audio').currentTime")))
    accessible(page, "a clip")
    page.press("Escape")
    page.js("document.querySelectorAll('#kinds button')[2].click()")
    check("calm" in page.js("[...document.getElementById('mood').options].map(o => o.value)"), "the moods that the model has")
    page.js("document.querySelectorAll('#kinds button')[0].click()")


def touch(page, g):
    """A finger: across the picture to the next one, and on the edge between two."""
    page.ask("Emulation.setTouchEmulationEnabled", enabled=True)
    viewing(page, 2)
    def finger(selector, *xs):
        r = page.js(f"(r => [r.left, r.top, r.width, r.height])(document.querySelector(`{selector}`).getBoundingClientRect())")
        at = lambda x: [{"x": r[0] + r[2] * x, "y": r[1] + r[3] / 2}]
        page.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=at(xs[0]))
        for x in xs[1:]:
            page.ask("Input.dispatchTouchEvent", type="touchMove", touchPoints=at(x))
        page.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    second = page.js("document.querySelectorAll('#grid .tile')[3].item.job.id")
    finger("#frame", 0.8, 0.5, 0.2)
    check(page.until(f"document.querySelector('#view-actions .save').download.startsWith('{second}')"), "a finger across leads to the next one")
    page.press("Escape")
    for at in (2, 4):  # the first one is marked already, and is so no more
        viewing(page, at)
        page.press("c")
        page.until("!document.getElementById('view').open")
    page.until("document.getElementById('two').open")
    finger("#pair", 0.5, 0.3, 0.25)
    check(page.until("Math.abs(document.getElementById('share').value - 25) < 3"), "and moves the edge between two", str(page.js("document.getElementById('share').value")))
    accessible(page, "two compared")
    click(page, "#beside")
    check(page.js("getComputedStyle(document.querySelector('#pair img')).clipPath") == "none", "side by side")
    accessible(page, "two side by side")
    click(page, "#beside")
    page.press("Escape")
    page.ask("Emulation.setTouchEmulationEnabled", enabled=False)


def mistakes(page, g):
    page.js("document.getElementById('trouble').textContent = ''")
    page.js("document.getElementById('prompt').value = 'x'; document.getElementById('sampler').value = 'no-such'")
    page.js("document.getElementById('more').open = true")
    page.js("document.getElementById('make').requestSubmit(document.getElementById('go'))")
    check(page.until("document.getElementById('trouble').textContent.includes('no-such')"), "a mistake is told in words",
          page.js("document.getElementById('trouble').textContent"))
    check(page.js("document.activeElement.id") == "sampler" and page.js("document.activeElement.getAttribute('aria-invalid')") == "true",
          "at its field", page.js("document.activeElement.id"))
    accessible(page, "settings, one of them wrong")
    page.js("document.getElementById('sampler').value = ''; document.getElementById('more').open = false")


def settings(page, g):
    for prompt, seed in (("first of two", "18446744073709551615"), ("second of two", "1234567890123456789")):
        job = g.ask("POST", "/jobs", {"prompt": prompt, "seed": seed, "eta": 0.5, **QUICK})[2]
        g.becomes(job["id"], "done")
    check(page.until("document.querySelector('#grid .tile .name').textContent === 'second of two'"), "what others send is shown as it ends")
    page.js("document.querySelectorAll('#grid .tile')[1].click()")
    page.until("document.getElementById('view').open")
    page.js("document.querySelectorAll('#view-actions button')[0].click()")
    got = page.js("['prompt', 'seed', 'steps', 'size', 'sampler'].map(i => document.getElementById(i).value)")
    check(got == ["first of two", "18446744073709551615", "3", "64x64", "ddim"], "its settings come back into the box, the seed whole", str(got))
    check(page.js("document.getElementById('extra').innerText").startswith("eta: 0.5"), "also those that have no field", page.js("document.getElementById('extra').innerText"))
    for id in ("prompt", "seed", "steps"):
        text(page, id, "")
    viewing(page, 1)
    click(page, "#facts .take", 1)
    got = page.js("['prompt', 'seed', 'steps'].map(i => document.getElementById(i).value)")
    check(got == ["", "18446744073709551615", ""], "or one alone", str(got))
    click(page, "#extra button")
    for at in (0, 1):
        page.js(f"document.querySelectorAll('#grid .tile')[{at}].click()")
        page.until("document.getElementById('view').open")
        page.press("c")
        page.until("!document.getElementById('view').open")
    check(page.until("document.getElementById('two').open") and page.js("document.querySelectorAll('#pair img').length") == 2, "two are compared")
    page.js("document.getElementById('right').click()")
    check("60%" in page.js("document.querySelectorAll('#pair img')[1].style.clipPath"), "the share by a button too")
    page.press("Escape")
    page.js("document.querySelectorAll('#grid .tile')[0].click()")
    page.until("document.getElementById('view').open")
    page.press("ArrowRight")
    check(page.until("document.getElementById('view-title').textContent === 'first of two'"), "an arrow leads to the next")
    page.press("Escape")


def search(page, g):
    page.js("(w => { w.value = 'keyboard'; w.dispatchEvent(new Event('input')) })(document.getElementById('words'))")
    check(page.until(TILES + " === 1 && location.search === '?q=keyboard'"), "search, kept in the address", page.js("location.search"))
    page.js("(w => { w.value = 'nothingofthat'; w.dispatchEvent(new Event('input')) })(document.getElementById('words'))")
    check(page.until("document.getElementById('end').textContent.includes('Nothing')"), "nothing fits: it is said")
    page.js("(w => { w.value = ''; w.dispatchEvent(new Event('input')) })(document.getElementById('words'))")
    check(page.until(TILES + " >= 3"), "and back")


def languages(page):
    said = page.js("import('/page/words.js').then(w => Object.values(w.languages).map(l => Object.keys(l).sort()))")
    used = set(re.findall(r'data-(?:word|label|hint)="(\w+)"', (ROOT / "gateway/page/index.html").read_text()))
    for file in (ROOT / "gateway" / "page").glob("*.js"):
        used |= set(re.findall(r'(?:say|button)\("(\w+)"', file.read_text()))
    check(said[0] == said[1] and used <= set(said[0]), "every word in both languages", str(set(said[0]) ^ set(said[1]) | used - set(said[0])))
    page.js("document.getElementById('language').click()")
    check(page.js("document.documentElement.lang") == "ru" and "Создать" in page.js("document.getElementById('go').textContent"), "Russian")
    check(page.until("/[а-я]/.test(document.getElementById('state').textContent) && /[а-я]/.test(document.getElementById('pause').textContent)", 5), "what is told of the queue too",
          str(page.js("document.getElementById('state').textContent")))
    refused = page.js("import('/page/api.js').then(a => [400, 401, 403, 404, 409, 413, 429, 500, 503].map(s => new a.Refused(s, {message: 'no'}).message))")
    check(all(re.search("[а-я]", text) for text in refused), "and what the server refuses", str(refused))
    accessible(page, "the page in Russian")
    narrow(page, "Russian")
    page.js("document.getElementById('language').click()")
    check(page.js("document.documentElement.lang") == "en", "and English")
    page.js("document.getElementById('theme').click()")
    first = page.js("getComputedStyle(document.body).backgroundColor")
    page.js("document.getElementById('theme').click()")
    check(page.js("getComputedStyle(document.body).backgroundColor") != first, "dark and light")
    narrow(page, "English")


def narrow(page, what):
    page.ask("Emulation.setDeviceMetricsOverride", width=320, height=640, deviceScaleFactor=1, mobile=False)
    check(page.until("document.documentElement.scrollWidth <= 320"), f"320 pixels are enough in {what}",
          str(page.js("document.documentElement.scrollWidth")))
    cut = "[...document.querySelectorAll('#make button')].filter(b => b.scrollWidth > b.clientWidth).map(b => b.textContent).join()"
    check(page.js(cut) == "", "no word is cut", str(page.js(cut)))
    page.ask("Emulation.clearDeviceMetricsOverride")


def accessible(page, what):
    if JUDGE is None:
        print(f"skip axe-core on {what}: {axe.PACKAGE} is not installed and cannot be fetched", flush=True)
        return
    told = axe.violations(page, JUDGE)
    check(told == [], f"axe-core finds nothing on {what}", str(told))


def in_the_works(page, g):
    """One is painted, and another one waits for it."""
    sent = [g.ask("POST", "/jobs", {"prompt": p, "steps": 900, "size": "256x256", "sampler": "ddim"})[2] for p in ("is painted", "waits")]
    check(all("id" in s for s in sent), "two are sent", str(sent))
    check(page.until("document.querySelectorAll('#jobs li').length === 2 && document.querySelector('#jobs progress').value > 0"), "two in the works")
    accessible(page, "the works")
    for id in [s["id"] for s in sent]:
        g.ask("DELETE", f"/jobs/{id}")
    check(page.until("document.getElementById('queue').hidden"), "cancelled: they are gone")
    # What is told of a job arrives after it has ended.
    page.js("window.plainFetch = fetch; window.fetch = (at, ...more) => plainFetch(at, ...more).then(r => String(at) === '/jobs/overtaken' ? new Promise(done => setTimeout(done, 2500, r)) : r)")
    g.ask("POST", "/queue/pause")
    g.ask("POST", "/jobs", {"prompt": "overtaken", "id": "overtaken", **QUICK})
    wait_for(lambda: g.get("/jobs/overtaken")[2]["state"] == "ready", 90)
    g.ask("POST", "/queue/resume")
    check(page.until("document.querySelector('#grid .tile .name').textContent === 'overtaken'") and page.until("document.getElementById('queue').hidden"), "one that ends while it is asked for does not stay in the works")
    page.js("window.fetch = plainFetch")


def lost(page, g, place):
    port = g.port
    g.kill()
    check(page.until("document.getElementById('state').textContent.includes('lost')"), "a lost connection is told")
    with proxy_alone(port):
        page.js("document.getElementById('prompt').value = 'unsent'; document.getElementById('make').requestSubmit(document.getElementById('go'))")
        check(page.until("document.getElementById('trouble').textContent"), "what is not sent is told")
    g = Gateway(place, listen=f"127.0.0.1:{port}")
    job = g.ask("POST", "/jobs", {"prompt": "after the cut", **QUICK})[2]
    g.becomes(job["id"], "done")
    check(page.until("document.querySelector('#grid .tile .name').textContent === 'after the cut'"), "and it goes on where it was")
    place.stop()
    models = "[...document.getElementById('model').options].map(o => o.textContent).join()"
    had = page.js(models)
    page.go(f"http://127.0.0.1:{port}/")
    check(page.until("document.getElementById('state').textContent"), "without a queue the page waits")
    place.start()
    check(page.until(f"{models} === {json.dumps(had)}"), "when a worker comes up there are its models, without a reload", f"{page.js(models)} {had}")
    return g


@contextlib.contextmanager
def proxy_alone(port):
    """What a proxy says whose server is away."""
    class Away(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.heard.append(self.path)
            self.send_response(502)
            self.send_header("Content-Length", "0")
            self.end_headers()
        do_POST = do_GET

        def log_message(self, *_):
            pass
    http.server.ThreadingHTTPServer.allow_reuse_address = True
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Away)
    server.heard = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        check(wait_for(lambda: any(p.startswith("/events") for p in server.heard), 90), "the page asks the proxy for events")
        yield
    finally:
        server.shutdown()
        server.server_close()


def with_key(page, place, g):
    key = place.sumi("keys", "add", "anna", "-q").stdout.strip().split()[-1]
    check(wait_for(lambda: g.get("/models")[0] == 401, 90), "keys are there: without one nothing is told")
    page.go(f"http://127.0.0.1:{g.port}/")
    check(page.until("!document.getElementById('door').hidden"), "the page asks for a key")
    accessible(page, "the door")
    page.js("document.getElementById('key').value = 'sumi_wrong'; document.getElementById('key-form').requestSubmit()")
    check(page.until("document.getElementById('state').textContent.includes('key')"), "a wrong one is told")
    page.js(f"document.getElementById('key').value = '{key}'; document.getElementById('key-form').requestSubmit()")
    check(page.until("document.getElementById('door').hidden && !document.getElementById('leave').hidden"), "a right one opens")
    check(page.until("document.getElementById('state').textContent !== ''") and page.js("document.getElementById('pause').hidden"),
          "who may not pause is offered no pause")
    check(page.js("document.cookie") == "" and page.js(TILES) == 0, "the key is out of scripts' reach; others' pictures are not hers")
    page.js("document.getElementById('prompt').value = 'annas'; document.getElementById('make').requestSubmit(document.getElementById('go'))")
    check(page.until(TILES + " === 1"), "hers are")
    page.go(f"http://127.0.0.1:{g.port}/")
    check(page.until(TILES + " === 1"), "she stays signed in")
    page.js("document.getElementById('leave').click()")
    check(page.until("!document.getElementById('door').hidden"), "and signs out")
    page.go(f"http://127.0.0.1:{g.port}/#key={key}")
    check(page.until(TILES + " === 1") and page.js("location.hash") == "", "a link with the key in it opens too, and hides it")
    check(place.sumi("keys", "add", "other").returncode == 0 and place.sumi("keys", "revoke", "anna").returncode == 0, "her key is revoked")
    check(page.until("!document.getElementById('door').hidden && document.getElementById('state').textContent.includes('revoked')", 30), "the page that is open says so, and asks for another")
    page.js("fetch('/logout', {method: 'POST'})")


def main():
    if not any(map(shutil.which, BROWSERS)):
        print(f"skip the page: none of {', '.join(BROWSERS)} is installed", flush=True)
        return
    place = Place(packs=f"{PACKS}:{ROOT / 'models'}")
    place.start()
    g = Gateway(place)
    headers = g.get("/")[1]
    policy = headers["Content-Security-Policy"]
    check("default-src 'none'" in policy and "unsafe" not in policy and headers["X-Content-Type-Options"] == "nosniff", "its policy", policy)
    check(g.get("/page/nothing.js")[0] == 404 and g.get("/page/page.js")[1]["Content-Type"].startswith("text/javascript"), "its files")
    page = Page(f"http://127.0.0.1:{g.port}/")
    try:
        by_keyboard(page, g)
        mistakes(page, g)
        drafts(page, g)
        marks(page, g)
        settings(page, g)
        moving(page, g)
        touch(page, g)
        search(page, g)
        languages(page)
        accessible(page, "the page")
        in_the_works(page, g)
        page.js("document.querySelectorAll('#grid .tile')[0].click()")
        page.until("document.getElementById('view').open")
        accessible(page, "a picture")
        page.press("Escape")
        said = [s for s in page.said if "400 (Bad Request)" not in s]
        check(said == [], "the browser has nothing to complain of", str(said))
        g = lost(page, g, place)
        with_key(page, place, g)
        check(not any("Content Security Policy" in s for s in page.said), "nothing was against its policy", str(page.said))
    finally:
        page.close()
        g.stop()
        place.stop()
    finish()


main()
