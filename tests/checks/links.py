#!/usr/bin/env python3
"""Every link in the documents leads to a file that is there; with a folder as argument, in the documents below it."""
import pathlib, re, sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
if len(sys.argv) > 1:
    places = ROOT.rglob("*.md")
else:
    ROOT = ROOT.parents[2]
    places = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "queue").glob("*.md"),
              *(ROOT / "models").glob("*.md"), ROOT / "tests" / "vectors" / "README.md"]
failed = 0
for file in sorted(places):
    text = re.sub(r"```.*?```", "", file.read_text(), flags=re.S)
    links = [l.split("#")[0] for l in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in l and not l.startswith("#")]
    lost = [l for l in links if not (file.parent / l).exists()]
    failed += bool(lost)
    name = file.relative_to(ROOT)
    print(f"not ok links of {name}: {lost}" if lost else f"ok links of {name}")
sys.exit(1 if failed else 0)
