"""Studies beside the audit, each with its page; the core never imports them."""

from pathlib import Path

STUDIES = ("steering", "reconstruction")
"""Of one fitted generator: each leaves NAME.json in its run folder, NAME inside an evaluation."""


def is_study(folder: Path) -> bool:
    """Whether it is the run folder of a study."""
    return any((folder / f"{name}.json").is_file() for name in STUDIES)


def build_study_report(folder: Path) -> Path:
    """Write `report.html` and `figures/` into the run folder of a study, from its JSON alone.

    Returns:
        The path of the page.

    Raises:
        InputError: The file is damaged.
    """
    from novelweights.studies.reconstruction.page import build_reconstruction_report
    from novelweights.studies.steering.page import build_steering_report

    is_steering = (folder / "steering.json").is_file()
    return build_steering_report(folder) if is_steering else build_reconstruction_report(folder)
