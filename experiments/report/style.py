"""The one style sheet of all pages, and of pictures that stand alone: light and dark, phone and paper."""

from __future__ import annotations

from experiments.report.colours import DARK_PAPER, LIGHT_PAPER, ON_DARK, ON_LIGHT


def _shades(shades: tuple[str, ...]) -> str:
    return " ".join(f"--c{k}: {shade};" for k, shade in enumerate(shades))


_LIGHT = (
    f"--paper: {LIGHT_PAPER}; --ink: #1D2126; --soft: #5D656F; --rule: #D9DDE2; --grid: #E9ECEF; --card: #F6F7F9; "
    f"--good: #00724F; --bad: #B34700; --link: #005A8D; {_shades(ON_LIGHT)}"
)
_DARK = (
    f"--paper: {DARK_PAPER}; --ink: #E8EAED; --soft: #A3ABB5; --rule: #3A414B; --grid: #272D35; --card: #1C2027; "
    f"--good: #4FD3A6; --bad: #FF9D66; --link: #7CC4F5; {_shades(ON_DARK)}"
)
FONTS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif'

COLOUR_STYLE = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
"""
_SERIES = "\n".join(f".s{k} {{ --c: var(--c{k}); }}" for k in range(len(ON_LIGHT)))
PICTURE_STYLE = f"""
svg {{ font-family: {FONTS}; }}
svg text {{ fill: var(--soft); font-size: 12px; }} svg text.strong {{ fill: var(--ink); }}
svg text.in {{ fill: var(--paper); font-weight: 700; font-size: 10px; }} svg text.small {{ font-size: 11px; }}
svg .grid {{ stroke: var(--grid); }} svg .axis {{ stroke: var(--rule); }}
svg .zero {{ stroke: var(--soft); stroke-dasharray: 3 3; }}
svg .line {{ stroke: var(--c); fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }}
svg .faint {{ stroke-width: 1; stroke-opacity: .35; }} svg .best {{ stroke-width: 2.5; }}
svg .span {{ stroke: var(--c); stroke-width: 4; stroke-opacity: .45; stroke-linecap: round; }}
svg .band {{ fill: var(--c); fill-opacity: .14; stroke: none; }} svg .dot {{ fill: var(--c); }}
svg .cell {{ fill: var(--c); }} svg .night {{ stroke: var(--soft); stroke-width: 3; }}
{_SERIES}
.base {{ --c: var(--soft); }} .loss {{ --c: var(--bad); }} .gain {{ --c: var(--good); }}
"""
STYLE = f"""{COLOUR_STYLE}
* {{ box-sizing: border-box; }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{ font: 17px/1.55 {FONTS}; color: var(--ink); background: var(--paper); max-width: 66rem; margin: 0 auto;
  padding: 2.2rem 1.1rem 4rem; overflow-wrap: break-word; }}
h1 {{ font-size: clamp(1.6rem, 1.2rem + 1.9vw, 2.35rem); line-height: 1.18; letter-spacing: -.015em;
  margin: .2rem 0 .8rem; text-wrap: balance; }}
h2 {{ font-size: 1.3rem; line-height: 1.25; letter-spacing: -.008em; margin: 3.2rem 0 .5rem; padding-top: 1.1rem;
  border-top: 1px solid var(--rule); }}
h3 {{ font-size: 1.02rem; margin: 1.7rem 0 .3rem; }}
p {{ margin: .5rem 0 .8rem; max-width: 44rem; }} a {{ color: var(--link); }}
.over {{ color: var(--soft); font-size: .82rem; letter-spacing: .06em; text-transform: uppercase; margin: 0; }}
.answer {{ font-size: 1.22rem; line-height: 1.45; max-width: 46rem; }}
.faint, small, figcaption {{ color: var(--soft); font-size: .88rem; }}
.missing {{ color: var(--soft); font-style: italic; }}
.note, .refused, .warning {{ border-left: 4px solid var(--rule); background: var(--card); padding: .55rem .95rem;
  margin: .7rem 0; max-width: 46rem; }}
.refused, .warning, .verdict-worse {{ border-left-color: var(--bad); }}
.verdict-better {{ border-left-color: var(--good); }}
.wide {{ overflow-x: auto; margin: .6rem 0 1rem; }} .wide:focus-visible {{ outline: 2px solid var(--link); }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; line-height: 1.35; }}
th {{ text-align: left; color: var(--soft); font-weight: 550; border-bottom: 1.5px solid var(--rule);
  vertical-align: bottom; }}
td, th {{ padding: .36rem .7rem .36rem 0; }}
thead th + th, tbody td {{ text-align: right; }} tbody td {{ white-space: nowrap; }}
td {{ border-bottom: 1px solid var(--grid); font-variant-numeric: tabular-nums; vertical-align: top; }}
tbody th {{ color: var(--ink); border-bottom: 1px solid var(--grid); vertical-align: top; }}
table.words th + th, table.words td {{ text-align: left; white-space: normal; }}
.up {{ color: var(--good); }} .down {{ color: var(--bad); }} .best th, .best td {{ font-weight: 650; }}
figure {{ margin: 0; min-width: 0; break-inside: avoid; }}
figure svg, img {{ display: block; width: 100%; height: auto; }}
img {{ background: #fff; border-radius: 4px; }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1.6rem 2rem;
  margin: 1rem 0; }}
.figures figure:only-child {{ max-width: 32rem; }}
figure h3 {{ margin: 0 0 .1rem; }} figcaption {{ margin-top: .35rem; }}
.legend {{ display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; padding: 0; margin: .3rem 0 0;
  font-size: .85rem; }}
.legend svg {{ display: inline-block; width: 26px; height: 14px; vertical-align: -2px; margin-right: .35rem; }}
.labels {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); gap: 1.2rem; }}
.label {{ border: 2px solid var(--ink); border-radius: 4px; padding: .6rem .8rem .7rem; break-inside: avoid; }}
.label h3 {{ font-size: 1.25rem; margin: 0; border-bottom: 8px solid var(--ink); padding-bottom: .3rem; }}
.label table {{ font-size: .9rem; }} .label td, .label th {{ padding: .28rem 0; }}
.label tbody th {{ font-weight: 400; }} .label .facts th {{ font-weight: 650; }}
.label .facts {{ border-bottom: 5px solid var(--ink); }}
.label p {{ margin: .4rem 0 0; font-size: .82rem; color: var(--soft); }}
code, pre {{ font: .88em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
pre {{ background: var(--card); padding: .7rem .9rem; overflow-x: auto; border-radius: 4px; white-space: pre-wrap; }}
td code, .words td {{ overflow-wrap: anywhere; }}
nav ol {{ columns: 2 14rem; padding-left: 1.3rem; font-size: .92rem; margin: .4rem 0; }}
details > summary {{ cursor: pointer; color: var(--link); }}
{PICTURE_STYLE}
@media (max-width: 30rem) {{ body {{ font-size: 16px; padding-top: 1.2rem; }} h2 {{ margin-top: 2.4rem; }} }}
@media print {{
  @page {{ margin: 16mm; }}
  body {{ max-width: none; padding: 0; font-size: 10.5pt; }} nav {{ display: none; }}
  h2 {{ break-after: avoid; margin-top: 1.6rem; }} h3 {{ break-after: avoid; }} tr {{ break-inside: avoid; }}
  .wide {{ overflow: visible; }} .wide table {{ width: 100%; font-size: 8pt; }}
  thead th, tbody td, tbody th {{ white-space: normal; overflow-wrap: anywhere; padding: .2rem .3rem .2rem 0; }}
  .figures {{ grid-template-columns: 1fr 1fr; }}
}}
"""
