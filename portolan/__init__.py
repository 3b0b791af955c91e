"""The program: settings, wiring, command line, supervision.

It alone knows every other package, and no other package knows it. Whoever wants to see how the program hangs together
reads `portolan/app.py` from top to bottom. Nothing here decides who may do what, or where bytes go.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
