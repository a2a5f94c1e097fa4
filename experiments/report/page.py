"""What pages are made of: text, tables, figures, sections; one file each, that asks no network for anything."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.report.style import STYLE


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading.
        body: HTML.
        name: of its anchor.
    """

    title: str
    body: str
    name: str


@dataclass(frozen=True)
class Mark:
    """How a series is told apart from others: by colour, and by dashes or a number too.

    Attributes:
        css: class that sets its colour.
        dashes: SVG's `stroke-dasharray`; "": solid.
        number: written in its dots; 0: none.
    """

    css: str
    dashes: str = ""
    number: int = 0


@dataclass(frozen=True)
class Picture:
    """A picture with what stands around it.

    Attributes:
        title: a heading.
        svg: the picture.
        caption: below it.
        legend: series by name.
    """

    title: str
    svg: str
    caption: str = ""
    legend: tuple[tuple[str, Mark], ...] = ()


def escape(text: object) -> str:
    """Return text as HTML shows it."""
    return html.escape(str(text))


def paragraph(text: str, css: str = "") -> str:
    """Return a paragraph of plain text."""
    return f'<p class="{css}">{escape(text)}</p>' if css else f"<p>{escape(text)}</p>"


def missing(text: str) -> str:
    """Return the one line that stands where there is nothing to show, and says why."""
    return paragraph(text, "missing")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    label: str = "",
    words: bool = False,
    row_css: Sequence[str] = (),
) -> str:
    """Return a table that scrolls in itself where it is wider than the page.

    Args:
        head: what the columns are.
        rows: of plain text; the first cell of each names it.
        label: what it shows, for those who do not see it.
        words: whether all columns are words, and stand left.
        row_css: a class a row; empty: none.
    """
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = []
    for k, row in enumerate(rows):
        css = f' class="{row_css[k]}"' if k < len(row_css) and row_css[k] else ""
        first, *others = row
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        body.append(f'<tr{css}><th scope="row">{escape(first)}</th>{cells}</tr>')
    style = ' class="words"' if words else ""
    named = escape(label or ", ".join(cell for cell in head if cell) or "figures")
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{named}"><table{style}><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def figures(pictures: Sequence[Picture]) -> str:
    """Return pictures side by side where there is room, one below the other where there is not."""
    return f'<div class="figures">{"".join(_figure(picture) for picture in pictures)}</div>' if pictures else ""


def _figure(picture: Picture) -> str:
    marks = "".join(f"<li>{_swatch(mark)}{escape(name)}</li>" for name, mark in picture.legend)
    legend = f'<ul class="legend">{marks}</ul>' if marks else ""
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure><h3>{escape(picture.title)}</h3>{picture.svg}{legend}{caption}</figure>"


def _swatch(mark: Mark) -> str:
    dashes = f' stroke-dasharray="{mark.dashes}"' if mark.dashes else ""
    shape = f'<line x1="1" y1="7" x2="25" y2="7" class="line"{dashes}/>'
    if mark.number:
        shape = (
            '<circle cx="13" cy="7" r="7" class="dot"/>'
            f'<text x="13" y="10.6" text-anchor="middle" class="in">{mark.number}</text>'
        )
    return f'<svg viewBox="0 0 26 14" class="{mark.css}" aria-hidden="true">{shape}</svg>'


def image(path: Path, alt: str) -> str:
    """Return a PNG put inside the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'


def page(title: str, opening: str, sections: Sequence[Section], over: str = "") -> str:
    """Return a whole page.

    Args:
        title: its heading, and the window's.
        opening: HTML between the heading and the first section.
        sections: each with a heading of its own.
        over: a line above the heading.
    """
    links = "".join(f'<li><a href="#{escape(each.name)}">{escape(each.title)}</a></li>' for each in sections)
    contents = f'<nav aria-label="Contents"><ol>{links}</ol></nav>' if len(sections) > 3 else ""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">',
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body><main>",
        f"<header>{paragraph(over, 'over') if over else ''}<h1>{escape(title)}</h1>",
        f"{opening}</header>{contents}",
        *(
            f'<section id="{escape(each.name)}"><h2>{escape(each.title)}</h2>\n{each.body}</section>'
            for each in sections
        ),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)
