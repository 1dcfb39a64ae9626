"""`python -m novelweights` is the command line."""

from novelweights.cli.main import main

main()
