"""A report as its readers get it, for the tests of the report."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text()


def text_of(page: str) -> str:
    """What a reader sees, on one line."""
    page = re.sub(r"<(style|script|svg).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


class _Balance(HTMLParser):
    """Collects tags that are closed without being open, or left open."""

    VOID = ("meta", "input", "br", "hr", "img", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.faults.append(tag)


def unbalanced(page: str) -> list[str]:
    parser = _Balance()
    parser.feed(page)
    return parser.faults + parser.open
