import pytest


@pytest.fixture(scope="module", autouse=True)
def _few_controls(few_controls: None) -> None:
    """Audits of commands are small."""
