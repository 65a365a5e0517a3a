"""axe-core, the judge of accessibility, out of a package of PyPI that carries it; for pages that cdp.py drives."""
import importlib.util, pathlib, subprocess, sys

from lib import BIN

PACKAGE, VERSION = "axe_playwright_python", "0.1.8"
SCHEMES = ("light", "dark")


def text():
    """axe-core's text: of an installed package, else of one that is fetched into the build folder; None where neither can be."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations) if spec else []
    own = BIN.parent / "clients" / f"axe-{VERSION}"
    path = next((f for f in (pathlib.Path(f) / "axe.min.js" for f in [*folders, own / PACKAGE]) if f.exists()), None)
    if not path:
        asked = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", own, f"{PACKAGE}=={VERSION}"]
        try:
            subprocess.run(asked, capture_output=True, timeout=120, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        path = own / PACKAGE / "axe.min.js"
    return path.read_text()


def violations(page, script):
    """["light: rule: elements"]: in both colours, by all of its rules, those beyond WCAG too."""
    found = []
    # The policy allows no other script; the debugger's own may run.
    if not page.js("Boolean(window.axe)"):
        page.ask("Runtime.evaluate", expression=script)
    for scheme in SCHEMES:
        page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        found += page.js("axe.run().then(r => r.violations.map(v => `%s: ${v.id}: ${v.nodes.map(n => n.html).join(' ')}`))" % scheme)
    page.ask("Emulation.setEmulatedMedia", features=[])
    return found
