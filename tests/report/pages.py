"""A report as its readers get it, for the tests of the report."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

from novelweights.report.page import FIGURE_NAMES, render
from novelweights.report.run_folder import RunFolder, read_run_folder
from novelweights.report.style import Drawing

BLANK = Drawing("<svg ></svg>", b"", "")


def blanks(run: RunFolder) -> dict[str, Drawing]:
    """Figures that cost nothing, where only the text of a page counts."""
    if not run.plot_data:
        return dict.fromkeys(("distances", "cosines", "nearest"), BLANK)
    of_one_run = ("densities", "densities_raw", "densities_all", "narrow", "map")
    names = [name for name in FIGURE_NAMES if name not in of_one_run and "shapes" not in name]
    return dict.fromkeys(names, BLANK)


def write_draft(folder: Path) -> None:
    """The page of a run folder with blank figures."""
    run = read_run_folder(folder)
    (folder / "report.html").write_text(render(run, blanks(run)))


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
