"""Commands run in this process, as the console script runs them."""

from typer.testing import CliRunner, Result

from novelweights.cli.main import app
from novelweights.errors import REFUSALS


def run(*words: object) -> Result:
    """The outcome of a command, whatever it is."""
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: object, code: int = 0) -> str:
    """What a command prints that ends with this code."""
    result = run(*words)
    assert result.exit_code == code, result.output
    return result.output


def listed(what: str) -> dict[str, str]:
    """What `ls` says of each name."""
    lines = [line.split(maxsplit=1) for line in done("ls", what).splitlines()]
    return {words[0]: words[-1] for words in lines}


def fails(*words: object, code: str | None, named: object = "", status: int = 2) -> None:
    """The command ends with one line that names this and ends with the code, and no traceback.

    None: what is no refusal, and so has no code: an interruption, a full disk.
    """
    result = run(*words)
    assert result.exit_code == status, result.output
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert str(named) in line, line
    assert line.endswith(f" [{REFUSALS[code]} {code}]" if code else ""), line
    assert "Traceback" not in result.output
