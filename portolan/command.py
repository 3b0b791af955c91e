"""The command line: finds the command that was asked for, and tells what went wrong in one line.

Nothing but click is imported before a command runs, so that `portolan --help` is quick and the supervisor stays small.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from portolan import __version__
from portolan.settings import CONFIG_VARIABLE, Settings, SettingsError
from portolan.terminal import printable

#: Exit status where what was asked cannot be done as it was asked; 1 where it could be, and failed.
MISTAKE = 2


class Failure(click.ClickException):
    """Something went wrong that the person at the terminal can do something about; the message is one line, and *place*
    shows below it where that is, in lines that are printed as they stand."""

    def __init__(self, message: str, status: int = 1, place: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.place = place


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run: *lazy* has (module and attribute, short help) by name."""

    def __init__(self, *arguments: Any, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (_, told) in self._lazy.items() if told]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._lazy[name][1]) for name in self.list_commands(ctx)])


class Portolan(LazyGroup):
    """The outermost group: every error ends here, in one line on standard error."""

    def main(self, args: Sequence[str] | None = None, *arguments: Any, **options: Any) -> NoReturn:
        options["standalone_mode"] = False
        try:
            status = super().main(args, *arguments, **options)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(MISTAKE)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx is not None else "portolan"
            complain(f"{error.format_message()} ({command} --help)", MISTAKE)
        except click.ClickException as error:
            if isinstance(error, Failure):
                complain(error.format_message(), error.status, error.place)
            complain(error.format_message(), error.exit_code)
        except SettingsError as error:
            complain(str(error), MISTAKE)
        except (click.Abort, KeyboardInterrupt):
            complain("stopped", 130)
        except BrokenPipeError:  # whoever read our output has enough
            sys.stderr.close()
            sys.exit(1)
        sys.exit(status if isinstance(status, int) else 0)


def complain(message: str, status: int, place: str = "") -> NoReturn:
    """Say what is wrong, in one line, and exit; *place* shows where that is, in lines below."""
    click.secho(f"portolan: {printable(' '.join(message.split()))}", fg="red", err=True)
    if place:
        click.echo(place, err=True)
    sys.exit(status)


_COMMANDS = "portolan.commands"


@click.group(
    cls=Portolan,
    lazy={
        "serve": (f"{_COMMANDS}.running:serve", "Run everything: web processes and ingest, supervised."),
        "web": (f"{_COMMANDS}.running:web", "Run one web process."),
        "ingest": (f"{_COMMANDS}.running:ingest", "Run the work that no request waits for, or say how it goes."),
        "prepare": (f"{_COMMANDS}.running:prepare", ""),
        "login": (f"{_COMMANDS}.signing_in:login", "Sign in to a server and keep a token for it."),
        "user": (f"{_COMMANDS}.people:user", "Add, list and change people."),
        "search": (f"{_COMMANDS}.finding:search", "Find repositories, images, packages, layers and files."),
        "images": (f"{_COMMANDS}.finding:images", "List the images that a query finds."),
        "image": (f"{_COMMANDS}.finding:image", "Show one image, or its packages."),
        "layer": (f"{_COMMANDS}.finding:layer", "List the images that contain a layer."),
        "package": (f"{_COMMANDS}.finding:package", "List a package's versions, and the images that hold it."),
        "diff": (f"{_COMMANDS}.finding:diff", "Compare two images."),
        "analyze": (f"{_COMMANDS}.analyzing:analyze", "List the packages of any image, without a server."),
        "repository": (f"{_COMMANDS}.repositories:repository", "List, show, change and delete repositories."),
        "token": (f"{_COMMANDS}.tokens:token", "Create, list and revoke personal tokens."),
        "index": (f"{_COMMANDS}.layer_index:index", "Make again what is derived from images."),
        "doctor": (f"{_COMMANDS}.doctor:doctor", "Say what is wrong with this installation, and what to do."),
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", message="portolan %(version)s")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=CONFIG_VARIABLE,
    help="Read settings from this TOML file.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Portolan is a container registry that is searched first.

    Settings come from the file of --config and from PORTOLAN_… variables; docs/settings.md tells of each.
    """
    context.obj = config


def _remember_config(context: click.Context, _: click.Parameter, config: Path | None) -> None:
    if config is not None:
        context.find_root().obj = config


#: ``--config`` after the command's own name, where people look for it too.
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_remember_config,
    expose_value=False,
    help="Read settings from this TOML file.",
)


def read_settings() -> Settings:
    """Read the settings of the command that runs.

    Raises:
        SettingsError: they cannot be used.
    """
    return Settings.from_environment(click.get_current_context().find_root().obj)


def main() -> NoReturn:
    """Run the command line of this process."""
    cli.main()
