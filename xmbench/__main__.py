"""`python -m xmbench` is the program `xmbench`."""

from xmbench.cli import main

main()
