"""``portolan doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click

from portolan import logs
from portolan.command import config_option, read_settings
from portolan.commands.execution import run
from portolan.commands.output import json_option, show_json
from portolan.doctor import Finding, examine
from portolan.settings import SettingsError

_MARKS = {"ok": ("ok", "green"), "advice": ("look", "yellow"), "wrong": ("WRONG", "red"), "skipped": ("–", None)}


@click.command()
@json_option
@config_option
def doctor(as_json: bool) -> int:
    """Say what is wrong with this installation, and what to do. Exits with 1 when something is wrong."""
    try:
        settings = read_settings()
    except SettingsError as error:
        findings = [Finding("settings", "wrong", str(error), "put it right in the file or the variable that is named")]
    else:
        logs.configure(settings.log_format, "error", "doctor")
        findings = [Finding("settings", "ok", "they can be read"), *run(examine(settings))]
    if as_json:
        show_json({"ok": not _faults(findings), "findings": [asdict(finding) for finding in findings]})
    else:
        _show(findings)
    return 1 if _faults(findings) else 0


def _faults(findings: list[Finding]) -> int:
    return sum(finding.verdict == "wrong" for finding in findings)


def _show(findings: list[Finding]) -> None:
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        word, color = _MARKS[finding.verdict]
        click.echo(f"{click.style(f'{word:5}', fg=color)}  {finding.what:{width}}  {finding.told}")
        if finding.do:
            click.echo(f"{'':5}  {'':{width}}  → {finding.do}")
    faults = _faults(findings)
    if faults:
        click.secho(f"\n{faults} thing{'s are' if faults > 1 else ' is'} wrong.", fg="red")
    else:
        click.echo("\nNothing is wrong.")
