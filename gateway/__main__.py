"""`python -m gateway` is the command `compliance-gateway`."""

from gateway.cli import main

main()
