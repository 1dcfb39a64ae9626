"""Commands run in this process, as the console script runs them."""

from typer.testing import CliRunner, Result

from novelweights.cli.main import app


def run(*words: object) -> Result:
    """The outcome of a command, whatever it is."""
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: object, code: int = 0) -> str:
    """What a command prints that ends with this code."""
    result = run(*words)
    assert result.exit_code == code, result.output
    return result.output


def fails(*words: object, says: str, code: int = 2) -> None:
    """The command ends with one clear line and no traceback."""
    result = run(*words)
    assert result.exit_code == code, result.output
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert says in line
    assert "Traceback" not in result.output
