"""The wording of the page of an audit, in one place: all other tests assert numbers and structure.

After a change of wording, look at the difference and write the file anew:
`GOLDEN=write pytest tests/report/test_golden_page.py`.
"""

import os
import re
from pathlib import Path

from pages import page_of, text_of

GOLDEN = Path(__file__).with_name("golden_page.txt")


def test_the_page_says_what_it_said(runs: dict[str, Path]):
    rows = r'(?s)(id="checkpoint-table".*?<tbody>).*?</tbody>'  # numbers alone
    page = re.sub(rows, r"\1</tbody>", page_of(runs["copies"]))
    text = re.sub(r"(?<=[.:;?]) ", "\n", text_of(page)) + "\n"
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
