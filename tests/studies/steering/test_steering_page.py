import json

import numpy as np
import pytest
from pages import page_of, text_of, unbalanced

from novelweights.errors import InputError
from novelweights.studies import is_study
from novelweights.studies.steering.page import (
    build_steering_report,
    draw_steering,
    read_steering,
)

PROMPTS = (0.0, 0.1, 0.5, 2.0)
QUANTITY = {
    "key": "ordered_share",
    "label": "Pairs in order",
    "definition": "Share of <pairs>.",
    "unit": "share",
    "n": 24,
    "value": 0.94,
    "lower": 0.9,
    "upper": 0.97,
    "level": 0.95,
}


def data_of(answer="steers", prompts=PROMPTS, starts=8):
    rng = np.random.default_rng(0)
    rows = [
        {
            "start": start,
            "prompt": prompt,
            "seen": prompt > 0,
            "start_loss": 2.3 + 0.01 * start,
            "achieved": max(prompt, 0.08) * float(np.exp(0.2 * rng.normal())),
            "accuracy": 90.0 + start,
        }
        for start in range(starts)
        for prompt in prompts
    ]
    return {
        "schema_version": 1,
        "about": {"method": "g-pt", "task": "digits", "command": "novelweights steer <m>"},
        "loss_range": [0.1, 2.0],
        "summary": {
            "answer": answer,
            "sentence": "The prompt steers: so & so.",
            "quantities": [QUANTITY, {**QUANTITY, "key": "none", "value": None, "lower": None}],
            "criteria": {
                "min_starts": 8,
                "little_order": 0.6,
                "no_order": 0.5,
                "alignment": 0.5,
            },
        },
        "rows": rows,
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "steering.json").write_text(json.dumps(data_of()))
    return tmp_path


def test_page_says_the_answer_the_numbers_and_what_was_done(folder):
    assert build_steering_report(folder) == folder / "report.html"
    page = page_of(folder)
    text = text_of(page)
    assert unbalanced(page) == []
    assert "The prompt steers: so & so." in text
    assert "8 starts were each asked for 4 losses" in text
    assert "Pairs in order 94.0% [90.0%, 97.0%] at 95% 24" in text
    assert "not available" in text
    assert "at most 60.0%" in text
    assert "novelweights steer <m>" in text
    assert "Prompt 0, the published one, stands outside" in text
    assert "is no sign of new networks" in text
    assert '<section class="verdict steers"' in page
    assert ".steers { --tone: #00695C; }" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "steering.svg",
        "steering.png",
    }


def test_page_is_made_again_from_the_numbers_alone(folder):
    first = build_steering_report(folder).read_bytes(), (folder / "figures/steering.png").stat()
    png = (folder / "figures/steering.png").read_bytes()
    assert build_steering_report(folder).read_bytes() == first[0]
    assert (folder / "figures/steering.png").read_bytes() == png
    assert is_study(folder)
    assert not is_study(folder / "figures")


@pytest.mark.parametrize(
    "answer", ["steers", "steers in order only", "does not steer", "not shown"]
)
def test_every_answer_has_a_headline_and_a_color(folder, answer):
    (folder / "steering.json").write_text(json.dumps(data_of(answer)))
    build_steering_report(folder)
    kind = answer.replace(" ", "-")
    assert f'class="verdict {kind}"' in page_of(folder)
    assert f".{kind} {{ --tone: #" in page_of(folder)


def test_figure_shows_every_sample_medians_and_prompt_zero_apart(folder):
    run = read_steering(folder)
    figure, alt = draw_steering(run)
    main, apart = figure.axes
    assert (main.get_xscale(), main.get_yscale(), apart.get_yscale()) == ("log",) * 3
    assert apart.get_xscale() == "linear"
    assert sum(len(dots.get_offsets()) for dots in main.collections[1:]) == 24
    assert len(apart.collections[0].get_offsets()) == 8
    identity, medians = main.get_lines()[:2]
    assert list(identity.get_xdata()) == list(identity.get_ydata()) == list(PROMPTS[1:])
    expected = [np.median(run.achieved[run.prompt == prompt]) for prompt in PROMPTS[1:]]
    assert list(medians.get_ydata()) == pytest.approx(expected)
    assert "32 samples from 8 starts" in alt
    assert alt.count("asked for") == 4


def test_without_prompt_zero_and_with_one_start_a_page_is_drawn(folder):
    data = data_of(prompts=PROMPTS[1:], starts=1)
    (folder / "steering.json").write_text(json.dumps(data))
    build_steering_report(folder)
    text = text_of(page_of(folder))
    assert "1 start was asked for 3 losses" in text
    assert "stands outside" not in text
    assert len(draw_steering(read_steering(folder))[0].axes) == 1


def test_a_missing_or_damaged_file_ends_in_one_line(folder, tmp_path):
    path = folder / "steering.json"
    with pytest.raises(InputError, match="expected this file"):
        build_steering_report(tmp_path / "nowhere")
    good = data_of()
    cases = {
        "expected JSON": "{",
        "schema version None": [],
        "schema version 2": good | {"schema_version": 2},
        "expected an entry 'rows'": {k: v for k, v in good.items() if k != "rows"},
        "expected an entry 'prompt'": good | {"rows": [{"start": 0}]},
        "answer 'perhaps'": good | {"summary": good["summary"] | {"answer": "perhaps"}},
        "rows without finite numbers": good
        | {"rows": [row | {"achieved": float("nan")} for row in good["rows"]]},
        "none with a prompt above 0": good | {"rows": good["rows"][:1]},
        "could not convert": good | {"rows": [row | {"start": "x"} for row in good["rows"]]},
        "expected an entry 'value'": good
        | {"summary": good["summary"] | {"quantities": [{"key": 1}]}},
        "expected an entry 'no_order'": good
        | {"summary": good["summary"] | {"criteria": {"min_starts": 8, "little_order": 0.6}}},
        "what a steering run leaves": good | {"about": 3},
    }
    for says, data in cases.items():
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        with pytest.raises(InputError, match=says) as caught:
            build_steering_report(folder)
        assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()
