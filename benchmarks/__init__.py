"""Measurements of Portolan beside other registries. `README.md` says how they are run and read.

Nothing of the program imports this package, and it reaches the program only as its users do: by its command and over
HTTP.
"""
