"""What all pages are made with: templates, figures as part of a page, figures as files."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from novelweights.files import replacing
from novelweights.report.style import Drawing


def template(name: str, folder: Path | None = None) -> Template:
    """A template of `folder`, else of this one; autoescaped; missing names are errors."""
    environment = Environment(
        loader=FileSystemLoader([*([folder] if folder else []), Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def inline(name: str, drawing: Drawing) -> Markup:
    """A figure as part of the page: a text alternative, and ids that no other figure has."""
    svg = drawing.svg[drawing.svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg)  # HTML knows them
    svg = re.sub(r"\n\s*", "\n", svg)
    label = escape(drawing.alt)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))


def write_figures(folder: Path, drawings: Mapping[str, Drawing], names: Iterable[str]) -> None:
    """Each figure as SVG and PNG; figures of an earlier report that no longer apply are removed.

    Args:
        names: Of all figures that such a report may have.
    """
    folder.mkdir(exist_ok=True)
    for name in names:
        for suffix in ("svg", "png"):
            path = folder / f"{name}.{suffix}"
            if name not in drawings:
                path.unlink(missing_ok=True)
                continue
            drawing = drawings[name]
            content = drawing.svg.encode() if suffix == "svg" else drawing.png
            with replacing(path) as temporary:
                temporary.write_bytes(content)
