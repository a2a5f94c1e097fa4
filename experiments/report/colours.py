"""Colours of all pictures and pages. Series are Okabe and Ito's, told apart by colour-blind readers too.

On a page each series has a shade for light and one for dark paper, at least 3 to 1 against it (WCAG 2.2, 1.4.11).
"""

from __future__ import annotations

INK, FAINT, GRID, LOSS = "#222222", "#767676", "#E4E4E4", "#D55E00"
BASE = "#8A8A8A"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7F5FA8", "#5B5B00")
LIGHT_PAPER, DARK_PAPER = "#FFFFFF", "#14171C"
ON_LIGHT = ("#0072B2", "#BF7F00", "#008F68", "#B85C90", "#D55E00", "#2E94CF", "#7F5FA8", "#5B5B00")
ON_DARK = ("#5AB0EA", "#F0B23C", "#35C79B", "#E59CC6", "#FF8B4D", "#93D2F7", "#B79FE0", "#C3C35A")


def contrast(colour: str, paper: str) -> float:
    """Return how far two colours stand apart, 1 to 21, by WCAG 2.2 (relative luminance)."""
    lighter, darker = sorted((_luminance(colour), _luminance(paper)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
