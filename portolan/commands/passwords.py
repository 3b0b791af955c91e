"""Where commands get passwords from: a terminal or standard input, never an argument, which everybody can see."""

from __future__ import annotations

import sys

import click

from portolan.command import MISTAKE, Failure

password_option = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from standard input, to the end of a line."
)


def read_password(prompt: str, *, from_stdin: bool, twice: bool) -> str:
    """Ask for a password, or read it.

    Raises:
        Failure: there is no terminal to ask on, or nothing was written to standard input.
    """
    if from_stdin:
        try:
            text = sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Failure("the password on standard input is no text", MISTAKE) from None
        if not text:
            raise Failure("there is no password on standard input", MISTAKE)
        return text
    if not sys.stdin.isatty():
        raise Failure("there is no terminal to ask for a password: write it to standard input with --password-stdin", 2)
    answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True)
    return answer
