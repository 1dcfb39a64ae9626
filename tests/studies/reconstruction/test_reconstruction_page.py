import json

import numpy as np
import pytest
from pages import page_of, text_of, unbalanced

from novelweights.errors import InputError
from novelweights.studies import is_study
from novelweights.studies.reconstruction.figures import draw_accuracy, draw_invariance
from novelweights.studies.reconstruction.page import build_reconstruction_report
from novelweights.studies.reconstruction.run import read_reconstruction

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


def quantity(key, value, n, unit="", **changed):
    limits = {"lower": value - 0.02, "upper": value + 0.02, "level": 0.95}
    told = {"key": key, "label": f"Label of {key}", "definition": f"What <{key}> is."}
    return {**told, "unit": unit, "n": n, "value": value, **limits, **changed}


def data_of(
    answer="not invariant",
    effect="lowers accuracy",
    splits=("training", "heldout"),
    kinds=tuple(MEANS),
    n=12,
):
    rng = np.random.default_rng(0)
    rows, quantities = [], []
    for split in splits:
        suffix = "" if split == "training" else "_heldout"
        for kind in kinds:
            count = n if kind in ("reconstruction", "permuted", "sign-flipped") else n // 2
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
            "sentence": "The codec is not invariant: so & so.",
            "quantities": quantities,
            "criteria": {"min_runs": 8, "same": 0.99},
        },
        "paper": PAPER,
        "rows": rows,
    }


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "reconstruction.json").write_text(json.dumps(data_of()))
    return tmp_path


def test_page_says_the_answer_the_numbers_and_what_was_done(folder):
    assert build_reconstruction_report(folder) == folder / "report.html"
    page = page_of(folder)
    text = text_of(page)
    assert unbalanced(page) == []
    for said in (
        "The codec is not invariant: so & so.",
        "does not see that reordered neurons are the same network, and what it gives back is less",
        "12 training runs and 12 held-out runs",
        "Label of accuracy_change 90 points [90.0, 90.0] 12 90 points [90.0, 90.0] 12",
        "training permuted 12 10 [9.98, 10.0] 6.01% 0.620 [0.600, 0.640] 0.62 0.620 [",
        "held-out sign-flipped 12 10 [9.98, 10.0] 0.190 [0.170, 0.210] 0.190 [",
        "training between originals 6 10",
        "The paper's numbers are of SVHN CNNs (figure 9)",
        "By the same rule, of flipped signs: not invariant.",
        "Reordered were the neurons of conv1, dense1; flipped those of dense1 alone.",
        "Fewer than 8 runs: not shown.",
        "What <accuracy_change> is.",
        "novelweights reconstruct <m>",
        "on the test images of digits",
    ):
        assert said in text
    assert "_heldout" not in text
    assert '<section class="verdict not-invariant"' in page
    assert ".not-invariant { --tone: #B3261E; }" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert {path.name for path in (folder / "figures").iterdir()} == {
        f"{name}.{suffix}" for name in ("accuracy", "invariance") for suffix in ("svg", "png")
    }


def test_page_is_made_again_from_the_numbers_alone(folder):
    first = build_reconstruction_report(folder).read_bytes()
    png = (folder / "figures/invariance.png").read_bytes()
    assert build_reconstruction_report(folder).read_bytes() == first
    assert (folder / "figures/invariance.png").read_bytes() == png
    assert is_study(folder)
    assert not is_study(folder / "figures")


@pytest.mark.parametrize(
    ("is_of_fit", "seen", "others"),
    [(True, True, False), (False, False, True), (None, False, False)],
)
def test_that_heldout_runs_are_new_is_said_only_of_what_it_was_fitted_to(
    folder, is_of_fit, seen, others
):
    data = data_of()
    data["about"]["is_of_fit"] = is_of_fit
    (folder / "reconstruction.json").write_text(json.dumps(data))
    build_reconstruction_report(folder)
    text = text_of(page_of(folder))
    assert ("never saw the held-out runs" in text) == seen
    assert ("not the checkpoints it was fitted to" in text) == others


@pytest.mark.parametrize(
    "answer", ["invariant", "not invariant", "tells nothing apart", "not shown"]
)
@pytest.mark.parametrize("effect", ["raises accuracy", "no change shown"])
def test_every_answer_has_a_headline_and_a_color(folder, answer, effect):
    (folder / "reconstruction.json").write_text(json.dumps(data_of(answer, effect)))
    build_reconstruction_report(folder)
    page = page_of(folder)
    kind = answer.replace(" ", "-")
    assert f'class="verdict {kind}"' in page
    assert f".{kind} {{ --tone: #" in page
    assert ("more accurate" in page) == (effect == "raises accuracy")
    assert "less accurate" not in page


def test_figures_show_every_pair_with_means_and_the_ideal(folder):
    run = read_reconstruction(folder)
    figure, alt = draw_invariance(run)
    for ax, ideal, name in zip(
        figure.axes, (0, 1), ("accuracy_difference", "error_similarity"), strict=True
    ):
        strips = [c for c in ax.collections if len(c.get_offsets()) in (6, 12)]
        assert sum(len(dots.get_offsets()) for dots in strips) == 2 * (12 + 12 + 6 + 6)
        lines = [list(line.get_ydata()) for line in ax.get_lines()]
        assert [ideal, ideal] in lines
        for kind in ("permuted", "sign_flipped", "between_originals", "between_reconstructions"):
            value = run.quantities[f"{name}_{kind}"].value
            assert [value, value] in lines
    assert "permuted error similarity 0.620" in alt
    assert "sign-flipped error similarity 0.190" in alt
    found = np.asarray(figure.axes[0].collections[0].get_offsets())[:, 1]
    values = run.values("training", "permuted")
    assert found == pytest.approx(np.abs(values["other_accuracy"] - values["accuracy"]))
    figure, alt = draw_accuracy(run)
    assert len(figure.axes) == 2
    for ax in figure.axes:
        shares = [patch.get_data().values.sum() for patch in ax.patches]
        assert shares == pytest.approx([100, 100])
        assert ax.get_ylim()[1] >= max(p.get_data().values.max() for p in ax.patches)
    assert "training runs, n = 12, mean 89.9%" in alt
    assert "their reconstructions, n = 12, mean 79.9%" in alt


def test_without_heldout_runs_signs_or_numbers_of_the_paper_a_page_is_drawn(folder):
    kinds = ("reconstruction", "permuted")
    data = data_of(splits=("training",), kinds=kinds, n=1) | {"paper": None}
    for entry in data["summary"]["quantities"]:
        entry |= dict.fromkeys(("lower", "upper", "level"))
    (folder / "reconstruction.json").write_text(json.dumps(data))
    build_reconstruction_report(folder)
    page = page_of(folder)
    text = text_of(page)
    assert unbalanced(page) == []
    assert "checkpoints of 1 training run, then" in text
    assert "No held-out runs were given" in text
    assert "No neurons of these networks may change sign" in text
    assert "The paper's numbers" not in text
    assert "flipped signs" not in text
    run = read_reconstruction(folder)
    assert len(draw_accuracy(run)[0].axes) == 1
    assert [t.get_text() for t in draw_invariance(run)[0].axes[0].get_xticklabels()] == ["permuted"]


def test_a_missing_or_damaged_file_ends_in_one_line(folder, tmp_path):
    path = folder / "reconstruction.json"
    with pytest.raises(InputError, match="expected this file"):
        build_reconstruction_report(tmp_path / "nowhere")
    good = data_of()

    def summary(**changed):
        return good | {"summary": good["summary"] | changed}

    def rows(**changed):
        return good | {"rows": [row | changed for row in good["rows"]]}

    cases = {
        "expected JSON": "{",
        "schema version None": [],
        "schema version 2": good | {"schema_version": 2},
        "expected an entry 'rows'": {k: v for k, v in good.items() if k != "rows"},
        "expected an entry 'paper'": {k: v for k, v in good.items() if k != "paper"},
        "expected an entry 'accuracy'": good | {"rows": [{"split": "training", "kind": "x"}]},
        "answers {'permuted': 'perhaps'}": summary(answers={"permuted": "perhaps"}),
        "answers {}": summary(answers={}),
        "dies": summary(effect="dies"),
        "rows without finite numbers": rows(accuracy=float("nan")),
        "no rows of reconstructed": good | {"rows": []},
        "could not convert": rows(accuracy="x"),
        "expected an entry 'value'": summary(quantities=[{"key": 1}]),
        "expected an entry 'same'": summary(criteria={"min_runs": 8}),
        "what `reconstruct` leaves": good | {"about": 3},
        "got something else": good | {"paper": {"setting": "", "numbers": 3}},
        "is not iterable": good | {"about": good["about"] | {"flipped_groups": 3}},
        "indices must be": good | {"rows": ["x"]},
    }
    for says, data in cases.items():
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        with pytest.raises(InputError, match=says) as caught:
            build_reconstruction_report(folder)
        assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()
