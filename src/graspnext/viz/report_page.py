"""The skeleton of a report: one HTML file without scripts and without anything from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence

from PIL import Image

from graspnext.types import UInt8Array
from graspnext.viz.report_charts import safe

_STYLE = """
:root { --ink: #1d2129; --soft: #5d6675; --line: #dfe3ea; --accent: #2f6db3; --paper: #fff; --tint: #f5f7fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 14px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 27px; margin: 0 0 2px; letter-spacing: -0.3px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 38px 0 10px; padding-bottom: 5px; border-bottom: 1px solid var(--line); }
h3 { font-size: 13.5px; margin: 0 0 1px; }
p { margin: 4px 0 10px; max-width: 78ch; }
.lead, .soft, .stat { color: var(--soft); }
.stat { font-size: 12px; margin: 0 0 5px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px; margin: 18px 0 4px; }
.tile { background: var(--tint); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 23px; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 12.5px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(318px, 1fr)); gap: 16px 20px; }
.wide { grid-template-columns: repeat(auto-fill, minmax(490px, 1fr)); }
.card { break-inside: avoid; min-width: 0; }
table { border-collapse: collapse; width: 100%; margin: 6px 0 14px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: middle;
  overflow-wrap: anywhere; }
.whole { white-space: nowrap; }
td.right, th.right { text-align: right; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 8px 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 0 0 12px; break-inside: avoid; }
figure img { width: 100%; height: auto; display: block; border-radius: 4px; }
figcaption { color: var(--soft); font-size: 12px; padding-top: 3px; overflow-wrap: anywhere; }
.pictures { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; }
.large { grid-template-columns: repeat(2, 1fr); gap: 14px 20px; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 0; vertical-align: -1px; }
.keys { margin: -6px 0 20px; max-width: none; text-align: right; } .keys span + span { margin-left: 14px; }
details { margin: 8px 0; } summary { cursor: pointer; color: var(--accent); }
pre { background: var(--tint); border-radius: 8px; padding: 12px; font-size: 12px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; overflow: visible; }
svg text { font: 11px system-ui, Arial, sans-serif; fill: var(--soft); }
svg .note { fill: #b4471f; } svg .name { fill: var(--ink); } svg .inside { fill: #1d2129; }
svg .middle { text-anchor: middle; } svg .end { text-anchor: end; } svg .start { text-anchor: start; }
svg .bar { fill: var(--accent); } svg .axis { stroke: #aab2c0; } svg .grid { stroke: #e8ebf0; }
svg .median { stroke: #d4562a; stroke-width: 1.4; stroke-dasharray: 4 3; }
svg .dot { fill: var(--accent); opacity: .7; }
@media print { main { padding: 0; max-width: none; } h2 { break-after: avoid; } body { font-size: 11px; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def page(title: str, body: Sequence[str]) -> str:
    """The whole file."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{safe(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, parts: Sequence[str], about: str = "") -> str:
    """A part of the page with a heading; nothing at all if it is empty."""
    shown = [part for part in parts if part]
    if not shown:
        return ""
    lead = f'<p class="soft">{safe(about)}</p>' if about else ""
    return f"<section>\n<h2>{safe(title)}</h2>\n{lead}" + "\n".join(shown) + "\n</section>"


def tiles(values: Mapping[str, str]) -> str:
    """Large numbers, each with a word below."""
    cells = (f'<div class="tile"><b>{safe(value)}</b><span>{safe(name)}</span></div>' for name, value in values.items())
    return f'<div class="tiles">{"".join(cells)}</div>'


def card(title: str, chart: str, note: str = "") -> str:
    """A chart (SVG or other markup) with a title and a line of numbers."""
    stat = f'<p class="stat">{safe(note)}</p>' if note else ""
    return f'<div class="card"><h3>{safe(title)}</h3>{stat}{chart}</div>'


def cards(parts: Sequence[str], *, wide: bool = False) -> str:
    """Cards side by side; nothing at all if there are none."""
    shown = [part for part in parts if part]
    return f'<div class="cards{" wide" if wide else ""}">{"".join(shown)}</div>' if shown else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, markup: frozenset[int] = frozenset()) -> str:
    """A table; all columns but the first are numbers, those in `markup` are SVG or other markup.

    Nothing at all if there is no row.
    """
    if not rows:
        return ""

    def cell(tag: str, index: int, content: str) -> str:
        kind = ' class="right"' if index and index not in markup else ""
        inside = content if index in markup and tag == "td" else safe(content)
        return f"<{tag}{kind}>{inside}</{tag}>"

    lines = ["".join(cell("th", index, name) for index, name in enumerate(head))]
    lines += ["".join(cell("td", index, content) for index, content in enumerate(row)) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def facts(values: Mapping[str, str]) -> str:
    """Names and values, one a line."""
    lines = (f"<dt>{safe(name)}</dt><dd>{safe(value)}</dd>" for name, value in values.items())
    return f"<dl>{''.join(lines)}</dl>"


def folded(summary: str, text: str) -> str:
    """Long text that opens on a click."""
    return f"<details><summary>{safe(summary)}</summary><pre>{safe(text)}</pre></details>"


def key(names: Sequence[str], colours: Sequence[str]) -> str:
    """What the colours of a chart mean."""
    pairs = zip(names, colours, strict=True)
    marks = (
        f'<span><span class="key" style="background:{colour}"></span>{safe(name)}</span>' for name, colour in pairs
    )
    return f'<p class="stat keys">{"".join(marks)}</p>'


def picture(image: UInt8Array, caption: str, *, quality: int = 82) -> str:
    """A picture (H, W, 3), held in the page itself."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=quality)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    alt = safe(caption)
    return f'<figure><img alt="{alt}" src="data:image/jpeg;base64,{data}"/><figcaption>{alt}</figcaption></figure>'


def pictures(figures: Sequence[str], *, large: bool = False) -> str:
    """Figures in rows of four, or of two where they are large."""
    return f'<div class="pictures{" large" if large else ""}">{"".join(figures)}</div>' if figures else ""
