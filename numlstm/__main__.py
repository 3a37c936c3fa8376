"""`python -m numlstm` is the command `numlstm`."""

from .cli import main

main()
