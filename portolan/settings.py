"""Settings: read once, from a TOML file and from variables of the environment, then frozen.

A key of the file is a field's name (``workers``); its variable is the same in capitals after ``PORTOLAN_``, and wins.
What cannot be read, and what is no setting, is refused in one line. Other packages never see this class: they get plain
constructor arguments from `portolan.app`. `docs/settings.md` documents every field; a test compares the two.
"""
# ruff: noqa: RUF009 - `setting` is how a field is declared here, as `dataclasses.field` would be

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from portolan import values
from portolan.values import Address, Kind, Network

T = TypeVar("T")

PREFIX = "PORTOLAN_"

#: Names a TOML file: read by the command line, no setting.
CONFIG_VARIABLE = "PORTOLAN_CONFIG"

#: Variables that are not ours to judge: what the tests ask for, and what Kubernetes gives every container of a
#: namespace for a service called ``portolan`` or ``portolan-…`` (its documentation: "Discovering services").
_IGNORED = re.compile(
    r"PORTOLAN_(?:CONFIG|REQUIRE_SERVICES|SERVICE_.*|PORT.*|.+_SERVICE_HOST|.+_SERVICE_PORT(?:_.+)?|.+_PORT_\d+_.+)"
)


class SettingsError(Exception):
    """A setting cannot be used: *key* names it as it was written, *problem* what is wrong and what would be right."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(key, problem)
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.key} {self.problem}"


def setting(kind: Kind[T], default: str, *, secret: bool = False) -> T:
    """Declare a setting of *kind*; *default* is text, as in a variable."""
    declared: T = field(
        default_factory=lambda: kind.read(default),
        metadata={"kind": kind, "default": default, "secret": secret},
        repr=not secret,
    )
    return declared


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every choice that whoever runs the program has."""

    data: Path = setting(values.PATH, "./data")
    listen: Address = setting(values.ADDRESS, "127.0.0.1:5000")
    public_url: str | None = setting(values.optional(values.PUBLIC_URL), "")
    database_url: str | None = setting(values.optional(values.DATABASE_URL), "", secret=True)
    database_connections: int = setting(values.whole_number(1, 1000), "10")
    workers: int = setting(values.whole_number(1, 256), "1")
    tls_certificate: Path | None = setting(values.optional(values.PATH), "")
    tls_key: Path | None = setting(values.optional(values.PATH), "")
    trusted_proxies: tuple[Network, ...] = setting(values.NETWORKS, "")
    manifest_limit: int = setting(values.at_most("4MiB", values.SIZE), "4MiB")
    upload_expiry: int = setting(values.DURATION, "7d")
    range_limit: int = setting(values.whole_number(1, 1000), "1000")
    sparse_manifests: str = setting(values.one_of("refuse", "accept"), "refuse")
    reader_processes: int | None = setting(values.optional(values.whole_number(1, 64)), "")
    reader_memory: int = setting(values.at_least("192MiB", values.SIZE), "512MiB")
    layer_size_limit: int = setting(values.SIZE, "64GiB")
    layer_ratio_limit: int = setting(values.whole_number(10, 1_000_000), "1100")
    layer_entries_limit: int = setting(values.whole_number(1000, 10_000_000), "1000000")
    layer_names_limit: int = setting(values.at_least("1MiB", values.SIZE), "128MiB")
    layer_holes_limit: int = setting(values.SIZE, "4GiB")
    layer_text_limit: int = setting(values.at_most("1MiB", values.SIZE), "64KiB")
    layer_time_limit: int = setting(values.DURATION, "15m")
    package_file_limit: int = setting(values.at_most("1GiB", values.SIZE), "64MiB")
    package_files_limit: int = setting(values.SIZE, "512MiB")
    packages_limit: int = setting(values.whole_number(1000, 10_000_000), "100000")
    package_list_limit: int = setting(values.at_most("1GiB", values.SIZE), "16MiB")
    package_list_files_limit: int = setting(values.whole_number(1000, 10_000_000), "400000")
    placed_files_limit: int = setting(values.whole_number(0, 1_000_000), "10000")
    squash_time_limit: int = setting(values.DURATION, "5m")
    ingest_attempts: int = setting(values.whole_number(1, 100), "6")
    default_namespace: str = setting(values.NAMESPACE, "library")
    default_visibility: str = setting(values.one_of("private", "public"), "private")
    audience: str = setting(values.AUDIENCE, "portolan")
    metrics_listen: Address | None = setting(values.optional(values.ADDRESS), "")
    metrics_token: str | None = setting(values.optional(values.SECRET), "", secret=True)
    log_format: str = setting(values.one_of("auto", "json", "text"), "auto")
    log_level: str = setting(values.one_of("debug", "info", "warning", "error"), "info")
    access_log: str = setting(values.one_of("none", "writes", "all"), "writes")
    shutdown_grace: int = setting(values.DURATION, "30s")

    def __post_init__(self) -> None:
        """Refuse settings that are right alone and wrong together."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, missing = ("tls_certificate", "tls_key") if self.tls_key is None else ("tls_key", "tls_certificate")
            raise SettingsError(missing, f"is empty although {given} is set: expected both or neither")
        if self.metrics_listen == self.listen:
            raise SettingsError("metrics_listen", "is the same as listen: expected another address")

    @classmethod
    def load(cls, variables: Mapping[str, str], config: Path | None = None) -> Self:
        """Read *config* and *variables*.

        Raises:
            SettingsError: the file cannot be read, a key is unknown, or a value cannot be used.
        """
        found: dict[str, Any] = {}
        if config is not None:
            found |= _read_each(_file_values(config))
        found |= _read_each(_variable_values(variables))
        return cls(**found)

    @classmethod
    def from_environment(cls, config: Path | None = None) -> Self:
        """Read the environment of this process, and *config* or the file that ``PORTOLAN_CONFIG`` names."""
        named = os.environ.get(CONFIG_VARIABLE)
        return cls.load(os.environ, config or (Path(named) if named else None))

    def as_variables(self) -> dict[str, str]:
        """Write all settings as variables: the parts that the supervisor starts run with what it read."""
        return {PREFIX + name.upper(): _kind(each).write(getattr(self, name)) for name, each in declared().items()}

    @property
    def database(self) -> str:
        """The database's URL: as set, or the file below `data`."""
        return self.database_url or f"sqlite:///{quote(str(self.data / 'portolan.db'))}"

    @property
    def run(self) -> Path:
        """Where running processes leave what is of no use after them: locks, heartbeats, figures."""
        return self.data / "run"

    @property
    def figures(self) -> Path:
        """Where the web processes of one `serve` share their figures."""
        return self.run / "figures"

    @property
    def store(self) -> Path:
        """Where the blobs are kept. Its parent, which is synchronised once, is ours too: it may be made and read."""
        return self.data / "store"

    @property
    def readers(self) -> int:
        """How many processes read layers: as set, or one for each processor that we may use, at most four."""
        return self.reader_processes or min(len(os.sched_getaffinity(0)), 4)

    @property
    def layer_index(self) -> Path:
        """Where this node's layer index is kept; it can be made again from the store."""
        return self.data / "index"

    @property
    def search(self) -> Path:
        """Where the search index is kept; it can be made again from the database and the store."""
        return self.data / "search"

    @property
    def ingest_socket(self) -> Path:
        """Where the ingest process of this machine answers for the layer index."""
        return self.run / "ingest.sock"

    @property
    def heartbeat(self) -> Path:
        """The file whose age tells how the ingest process of this machine is."""
        return self.run / "ingest.heartbeat"

    @property
    def issuer(self) -> str:
        """Who issues tokens, as they name it."""
        return self.public_url or "portolan"

    @property
    def scheme(self) -> str:
        """``https`` where a certificate is set."""
        return "http" if self.tls_certificate is None else "https"

    @property
    def address(self) -> str:
        """Where people and clients on this machine find the service."""
        if self.public_url:
            return self.public_url
        local = {"": "localhost", "0.0.0.0": "localhost", "::": "localhost"}  # noqa: S104 - compared, not bound
        host = local.get(self.listen.host, self.listen.host)
        return f"{self.scheme}://{Address(host, self.listen.port)}"


def declared() -> dict[str, Field[Any]]:
    """List the settings by name, in the order of their declaration."""
    return {each.name: each for each in fields(Settings)}


def _kind(each: Field[Any]) -> Kind[Any]:
    kind: Kind[Any] = each.metadata["kind"]
    return kind


def _file_values(config: Path) -> Iterator[tuple[str, str, object]]:
    """Yield (key as written, setting's name, value) of a TOML file."""
    try:
        with config.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise SettingsError(str(config), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(config), f"is not TOML: {error}") from error
    names = declared()
    for key, value in table.items():
        if key not in names:
            raise SettingsError(f"{config}: {key}", f"is no setting{_nearest(key, list(names))}")
        yield f"{config}: {key}", key, value


def _variable_values(variables: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    """Yield (variable, setting's name, text) of an environment."""
    names = {PREFIX + name.upper(): name for name in declared()}
    for variable, text in variables.items():
        if variable in names:
            yield variable, names[variable], text
        elif variable.startswith(PREFIX) and not _IGNORED.fullmatch(variable) and not _is_service_port(variable, text):
            raise SettingsError(variable, f"is no setting{_nearest(variable, list(names))}")


def _is_service_port(variable: str, text: str) -> bool:
    return variable.endswith("_PORT") and text.startswith(("tcp://", "udp://", "sctp://"))


def _read_each(found: Iterator[tuple[str, str, object]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    settings = declared()
    for written, name, value in found:
        kind = _kind(settings[name])
        try:
            read[name] = kind.read(value)
        except ValueError as error:
            shown = "not usable" if settings[name].metadata["secret"] else _shown(value)
            raise SettingsError(written, f"is {shown}: expected {kind.expected}") from error
    return read


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _nearest(key: str, names: list[str]) -> str:
    by_name = {name.removeprefix(PREFIX).lower(): name for name in names}
    close = get_close_matches(key.removeprefix(PREFIX).lower(), by_name, n=1, cutoff=0.6)
    return f": did you mean {by_name[close[0]]}?" if close else ": docs/settings.md lists them all"
