"""How much room a formula will take: a page keeps it free until MathJax has set the formula, so
that the text around it does not jump."""

import functools
import html
import re
from collections.abc import Callable

from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

# What matplotlib, which knows the metrics of the same fonts, reads otherwise than MathJax.
DIALECT: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"\\(?:math(?:cal|bb)|(?:wide)?tilde|bar|text|[bB]igg?[lr]?)(?![a-zA-Z])": "",
    r"\\[dt]frac": r"\\frac",
    r"\\([ER])(?![a-zA-Z])|\\(?=logit)": r"\1",
    r"\\frac *(\w|\\[a-z]+|\{[^{}]*\}) *(\w|\\[a-z]+|\{)": lambda m: (
        rf"\frac{{{m[1].strip('{}')}}}" + (m[2] if m[2] == "{" else f"{{{m[2]}}}")
    ),
    r"\\sqrt *(\w)": r"\\sqrt{\1}",
    r"\\(?:[gln]e|to)(?![a-zA-Z])": "=",
    r"\\[lr][vV]ert": "|",
    r"\\sum": r"\\sum\\,",
    r"\\ ": r"\\,\\,",
    r"\s+": " ",
}
FONT = FontProperties(size=40, math_fontfamily="cm")  # large, as widths come in whole points
LARGER = 1.27  # than that the formulas of a page are set beside its text
TALL = re.compile(r"frac|sum|int")


@functools.cache
def room(tag: str, content: str) -> str:
    """As a style, of a `span` in a line or a `div` of its own; empty where nothing is known."""
    tex = html.unescape(content)
    if tag == "div":
        high = 2.6 + sum(3.1 if TALL.search(row) else 1.6 for row in tex.split(r"\\"))
        return f"--mv-high: {high:.1f}em"
    for theirs, ours in DIALECT.items():
        tex = re.sub(theirs, ours, tex)
    try:
        box = MathTextParser("path").parse(f"${tex.strip()[2:-2]}$", 72, FONT)
    except ValueError:
        return ""
    wide, high, deep = (LARGER * x / FONT.get_size() for x in (box.width, box.height, box.depth))
    return f"--mv-wide: {wide:.2f}em; --mv-high: {high:.2f}em; --mv-deep: {-deep:.2f}em"
