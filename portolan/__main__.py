"""``python -m portolan`` is the command ``portolan``: the supervisor starts its parts this way."""

from portolan.command import main

if __name__ == "__main__":
    main()
