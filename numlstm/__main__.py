"""Run the `numlstm` command with `python -m numlstm`."""

from .cli import main

main()
