"""Pages of studies from invented files: what they show, that they are rebuilt, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pages import page_of, text_of, unbalanced
from refused import refused

from novelweights.report.style import VERDICT_COLORS
from novelweights.studies import build_study_report, is_study
from novelweights.studies.reconstruction.page import TONES as CODEC_TONES
from novelweights.studies.reconstruction.page import (
    draw_accuracy,
    draw_invariance,
    read_reconstruction,
)
from novelweights.studies.reconstruction.pairs import change
from novelweights.studies.reconstruction.summary import Effect
from novelweights.studies.steering.page import TONES as PROMPT_TONES
from novelweights.studies.steering.page import draw_steering, read_steering

PROMPTS = (0.0, 0.1, 0.5, 2.0)
MEANS = {
    "reconstruction": 0.5,
    "permuted": 0.62,
    "sign-flipped": 0.19,
    "between originals": 0.4,
    "between reconstructions": 0.3,
}
PAPER = {
    "setting": "SVHN CNNs",
    "numbers": {
        "error_similarity_permuted": {"text": "0.62", "source": "figure 9"},
        "accuracy_difference_permuted": {"text": "6.01%", "source": "figure 9"},
    },
}
Data = dict[str, Any]


def quantity(key: str, value: float, n: int, unit: str = "") -> Data:
    words = {"key": key, "label": f"Label of {key}", "definition": f"What <{key}> is."}
    limits = {"lower": value - 0.02, "upper": value + 0.02, "level": 0.95}
    return {**words, "unit": unit, "n": n, "value": value, **limits}


def steering(answer: str = "steers", prompts=PROMPTS, starts: int = 8) -> Data:
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
    share = quantity("ordered_share", 0.94, 24, "share")
    thresholds = {"min_starts": 8, "little_order": 0.6, "no_order": 0.5, "alignment": 0.5}
    return {
        "schema_version": 1,
        "about": {"method": "g-pt", "task": "digits", "command": "novelweights steer <m>"},
        "loss_range": [0.1, 2.0],
        "summary": {
            "answer": answer,
            "sentence": "So & so.",
            "quantities": [share, {**share, "key": "none", "value": None, "lower": None}],
            "criteria": thresholds,
        },
        "rows": rows,
    }


def reconstruction(
    answer: str = "not invariant",
    effect: str = "lowers accuracy",
    splits=("training", "heldout"),
    kinds=tuple(MEANS),
    n: int = 12,
) -> Data:
    rng = np.random.default_rng(0)
    rows, quantities = [], []
    for split in splits:
        suffix = "" if split == "training" else "_heldout"
        for kind in kinds:
            count = n // 2 if kind.startswith("between") else n
            word = kind.replace(" ", "_").replace("-", "_")
            rows += [
                {
                    "split": split,
                    "kind": kind,
                    "run": f"{split}-{i}",
                    "other": f"{split}-{i}",
                    "accuracy": 90 + rng.normal(),
                    "other_accuracy": 80 + rng.normal(),
                    "error_similarity": float(np.clip(MEANS[kind] + 0.05 * rng.normal(), 0, 1)),
                    "prediction_overlap": 0.8,
                    "distance": 3.0,
                }
                for i in range(count)
            ]
            if kind == "reconstruction":
                units = {"original": "%", "reconstruction": "%", "change": "points"}
                for name, unit in units.items():
                    quantities.append(quantity(f"accuracy_{name}{suffix}", 90.0, count, unit))
                continue
            for name in ("accuracy_difference", "error_similarity", "prediction_overlap"):
                value = MEANS[kind] if name != "accuracy_difference" else 10.0
                quantities.append(quantity(f"{name}_{word}{suffix}", value, count))
    answers = {"permuted": answer}
    if "sign-flipped" in kinds:
        answers["sign_flipped"] = "not invariant"
    return {
        "schema_version": 1,
        "about": {
            "method": "hyper-representations",
            "task": "digits",
            "command": "novelweights reconstruct <m>",
            "reordered_groups": ["conv1", "dense1"],
            "flipped_groups": ["dense1"],
        },
        "summary": {
            "answers": answers,
            "effect": effect,
            "sentence": "So & so.",
            "quantities": quantities,
            "criteria": {"min_runs": 8, "same": 0.99},
        },
        "paper": PAPER,
        "rows": rows,
    }


class Study(NamedTuple):
    data: Callable[..., Data]
    figures: tuple[str, ...]
    shown: tuple[str, ...]
    """Numbers and names on its page."""


STUDIES = {
    "steering": Study(
        steering,
        ("steering",),
        ("8 starts", "4 losses", "94.0% [92.0%, 96.0%] at 95% 24", "60.0%", "<ordered_share>"),
    ),
    "reconstruction": Study(
        reconstruction,
        ("accuracy", "invariance"),
        (
            "12 training runs",
            "12 held-out runs",
            "Label of accuracy_change 90 points [90.0, 90.0] 12 90 points [90.0, 90.0] 12",
            "training permuted 12 10 [9.98, 10.0] 6.01% 0.620 [0.600, 0.640] 0.62 0.620 [",
            "held-out sign-flipped 12 10 [9.98, 10.0] 0.190 [0.170, 0.210] 0.190 [",
            "training between originals 6 10",
            "SVHN CNNs (figure 9)",
            "conv1, dense1",
            "What <accuracy_change> is.",
        ),
    ),
}


def built(folder: Path, name: str, data: Data) -> str:
    (folder / f"{name}.json").write_text(json.dumps(data))
    assert build_study_report(folder) == folder / "report.html"
    return page_of(folder)


@pytest.mark.parametrize("name", STUDIES)
def test_page_shows_the_answer_the_numbers_and_what_was_done(tmp_path, name):
    study = STUDIES[name]
    page = built(tmp_path, name, study.data())
    text = text_of(page)
    assert unbalanced(page) == []
    for shown in (*study.shown, "So & so.", study.data()["about"]["command"], "digits"):
        assert shown in text
    assert "_heldout" not in text
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    made = {path.name for path in (tmp_path / "figures").iterdir()}
    assert made == {f"{figure}.{suffix}" for figure in study.figures for suffix in ("svg", "png")}
    assert is_study(tmp_path)
    assert not is_study(tmp_path / "figures")


@pytest.mark.integration
@pytest.mark.parametrize("name", STUDIES)
def test_page_is_made_again_from_the_numbers_alone(tmp_path, name):
    def files() -> dict[Path, bytes]:
        built(tmp_path, name, STUDIES[name].data())
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    assert files() == files()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "answer", "effect"),
    [
        *(("steering", answer, None) for answer in PROMPT_TONES),
        *(
            ("reconstruction", answer, effect)
            for answer, effect in zip(CODEC_TONES, (*Effect, Effect.OPEN), strict=True)
        ),
    ],
)
def test_every_answer_has_a_headline_and_a_color(tmp_path, name, answer, effect):
    page = built(tmp_path, name, STUDIES[name].data(answer, *([effect] if effect else [])))
    kind = answer.replace(" ", "-")
    color = VERDICT_COLORS[(PROMPT_TONES | CODEC_TONES)[answer]]
    assert f'<section class="verdict {kind}"' in page
    assert f".{kind} {{ --tone: {color}; }}" in page
    assert ("more accurate" in page) == (effect == Effect.RAISES)
    assert ("less accurate" in page) == (effect == Effect.LOWERS)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("is_of_fit", "seen", "others"),
    [(True, True, False), (False, False, True), (None, False, False)],
)
def test_that_heldout_runs_are_new_is_said_only_of_what_it_was_fitted_to(
    tmp_path, is_of_fit, seen, others
):
    data = reconstruction()
    data["about"]["is_of_fit"] = is_of_fit
    text = text_of(built(tmp_path, "reconstruction", data))
    assert ("never saw the held-out runs" in text) == seen
    assert ("not the checkpoints it was fitted to" in text) == others


def test_steering_is_drawn_with_every_sample_medians_and_prompt_zero_apart(tmp_path):
    (tmp_path / "steering.json").write_text(json.dumps(steering()))
    run = read_steering(tmp_path).steering
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
    assert alt.count("median") == 4


def test_pairs_are_drawn_with_means_and_the_ideal(tmp_path):
    (tmp_path / "reconstruction.json").write_text(json.dumps(reconstruction()))
    run = read_reconstruction(tmp_path)
    figure, alt = draw_invariance(run)
    for ax, ideal, name in zip(
        figure.axes, (0, 1), ("accuracy_difference", "error_similarity"), strict=True
    ):
        strips = [c for c in ax.collections if len(c.get_offsets()) in (6, 12)]
        assert sum(len(dots.get_offsets()) for dots in strips) == 2 * (12 + 12 + 6 + 6)
        lines = [list(line.get_ydata()) for line in ax.get_lines()]
        assert [ideal, ideal] in lines
        for kind in ("permuted", "sign_flipped", "between_originals", "between_reconstructions"):
            value = run.summary[f"{name}_{kind}"].value
            assert [value, value] in lines
    assert "permuted error similarity 0.620" in alt
    assert "sign-flipped error similarity 0.190" in alt
    drawn = np.asarray(figure.axes[0].collections[0].get_offsets())[:, 1]
    assert drawn == pytest.approx(np.abs(change(run.pairs["permuted", "training"])))
    figure, alt = draw_accuracy(run)
    assert len(figure.axes) == 2
    for ax in figure.axes:
        shares = [patch.get_data().values.sum() for patch in ax.patches]
        assert shares == pytest.approx([100, 100])
        assert ax.get_ylim()[1] >= max(p.get_data().values.max() for p in ax.patches)
    assert "n = 12, mean 89.9%" in alt
    assert "n = 12, mean 79.9%" in alt


@pytest.mark.integration
def test_without_prompt_zero_and_with_one_start_a_page_is_drawn(tmp_path):
    text = text_of(built(tmp_path, "steering", steering(prompts=PROMPTS[1:], starts=1)))
    assert "1 start was" in text
    assert "3 losses" in text
    assert "Prompt 0" not in text
    assert len(draw_steering(read_steering(tmp_path).steering)[0].axes) == 1


@pytest.mark.integration
def test_without_heldout_runs_signs_or_numbers_of_the_paper_a_page_is_drawn(tmp_path):
    kinds = ("reconstruction", "permuted")
    data = reconstruction(splits=("training",), kinds=kinds, n=1) | {"paper": None}
    for entry in data["summary"]["quantities"]:
        entry |= dict.fromkeys(("lower", "upper", "level"))
    page = built(tmp_path, "reconstruction", data)
    text = text_of(page)
    assert unbalanced(page) == []
    assert "1 training run," in text
    assert "SVHN" not in text
    assert "<th>Paper" not in page
    run = read_reconstruction(tmp_path)
    assert len(draw_accuracy(run)[0].axes) == 1
    assert [t.get_text() for t in draw_invariance(run)[0].axes[0].get_xticklabels()] == ["permuted"]


def without(data: Data, name: str) -> Data:
    return {key: value for key, value in data.items() if key != name}


def rows(data: Data, **changed: object) -> Data:
    return data | {"rows": [row | changed for row in data["rows"]]}


def summary(data: Data, **changed: object) -> Data:
    return data | {"summary": data["summary"] | changed}


DAMAGED: dict[str, list[Callable[[Data], object]]] = {
    "both": [
        lambda good: without(good, "rows"),
        lambda good: good | {"rows": [{"start": 0, "split": "training", "kind": "x"}]},
        lambda good: good | {"rows": ["x"]},
        lambda good: good | {"rows": []},
        lambda good: good | {"about": 3},
        lambda good: rows(good, accuracy=float("nan")),
        lambda good: rows(good, accuracy="x"),
        lambda good: summary(good, quantities=[{"key": 1}]),
        lambda good: summary(good, criteria={"min_runs": 8, "min_starts": 8}),
    ],
    "steering": [
        lambda good: summary(good, answer="perhaps"),
        lambda good: good | {"rows": good["rows"][:1]},
        lambda good: without(good, "loss_range"),
    ],
    "reconstruction": [
        lambda good: summary(good, answers={"permuted": "perhaps"}),
        lambda good: summary(good, answers={}),
        lambda good: summary(good, effect="dies"),
        lambda good: without(good, "paper"),
        lambda good: good | {"paper": {"setting": "", "numbers": 3}},
        lambda good: good | {"about": good["about"] | {"flipped_groups": 3}},
    ],
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_missing_or_damaged_file_ends_in_one_line(tmp_path, name):
    path, good = tmp_path / f"{name}.json", STUDIES[name].data()
    for damage in DAMAGED["both"] + DAMAGED[name]:
        path.write_text(json.dumps(damage(good)))
        with refused("damaged", path):
            build_study_report(tmp_path)
    for other in ([], good | {"schema_version": 2}):
        path.write_text(json.dumps(other))
        with refused("wrong-version", path):
            build_study_report(tmp_path)
    path.write_text("{")
    with refused("damaged", path):
        build_study_report(tmp_path)
    path.unlink()
    with refused("not-found", path):
        (read_steering if name == "steering" else read_reconstruction)(tmp_path)
    assert not (tmp_path / "report.html").exists()
