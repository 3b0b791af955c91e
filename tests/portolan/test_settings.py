"""Settings: where they come from, what is refused and in which words, and that the document tells of each."""

from __future__ import annotations

import re
import tomllib
from ipaddress import ip_network
from pathlib import Path

import pytest

from portolan.settings import Settings, SettingsError, declared
from portolan.values import Address

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_no_setting_is_needed() -> None:
    settings = Settings.load({})

    assert settings.data == Path("data").absolute()
    assert settings.listen == Address("127.0.0.1", 5000)
    assert settings.database == f"sqlite:///{settings.data}/portolan.db"
    assert settings.workers == 1
    assert settings.manifest_limit == 4 * 1024 * 1024
    assert settings.upload_expiry == 7 * 86400
    assert settings.address == "http://127.0.0.1:5000"


def test_a_file_is_read_and_variables_win_over_it(tmp_path: Path) -> None:
    config = tmp_path / "portolan.toml"
    config.write_text('workers = 3\nlisten = ":80"\ntrusted_proxies = ["10.0.0.0/8", "::1"]\nupload_expiry = "90m"\n')

    settings = Settings.load({"PORTOLAN_LISTEN": "[::1]:8080", "OTHER": "x"}, config)

    assert settings.workers == 3
    assert settings.listen == Address("::1", 8080)
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert settings.upload_expiry == 5400


def test_the_parts_read_what_the_supervisor_read() -> None:
    settings = Settings.load(
        {
            "PORTOLAN_DATA": "somewhere",
            "PORTOLAN_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "PORTOLAN_METRICS_LISTEN": "[::]:9000",
            "PORTOLAN_TLS_KEY": "key.pem",
            "PORTOLAN_TLS_CERTIFICATE": "chain.pem",
            "PORTOLAN_MANIFEST_LIMIT": "2 MiB",
            "PORTOLAN_METRICS_TOKEN": "x" * 16,
            "PORTOLAN_DATABASE_URL": "postgresql://me:secret@host/name",
        }
    )

    assert Settings.load(settings.as_variables()) == settings
    assert set(settings.as_variables()) == {f"PORTOLAN_{name.upper()}" for name in declared()}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PORTOLAN_WORKERS", "lots", "PORTOLAN_WORKERS is 'lots': expected a whole number from 1 to 256"),
        ("PORTOLAN_WORKERS", "0", "PORTOLAN_WORKERS is '0'"),
        ("PORTOLAN_WORKER", "1", "PORTOLAN_WORKER is no setting: did you mean PORTOLAN_WORKERS?"),
        ("PORTOLAN_TLS_CERT", "x", "did you mean PORTOLAN_TLS_CERTIFICATE?"),
        ("PORTOLAN_XYZZY", "1", "PORTOLAN_XYZZY is no setting: docs/settings.md lists them all"),
        ("PORTOLAN_LISTEN", "5000", "PORTOLAN_LISTEN is '5000': expected host:port"),
        ("PORTOLAN_LISTEN", "::1:5000", "expected host:port"),
        ("PORTOLAN_LISTEN", "localhost:99999", "expected host:port"),
        ("PORTOLAN_PUBLIC_URL", "registry.example.com", "expected http:// or https://"),
        ("PORTOLAN_PUBLIC_URL", "https://example.com/registry", "no path"),
        ("PORTOLAN_PUBLIC_URL", "https://example.com:port", "expected http:// or https://"),
        ("PORTOLAN_DATABASE_URL", "mysql://me:hunter2@host/name", "is not usable: expected sqlite:///path"),
        ("PORTOLAN_METRICS_TOKEN", "short", "is not usable: expected at least 16"),
        ("PORTOLAN_TRUSTED_PROXIES", "10.0.0.1/8", "expected addresses or networks"),
        ("PORTOLAN_MANIFEST_LIMIT", "5MB", "expected a number of bytes"),
        ("PORTOLAN_MANIFEST_LIMIT", "5MiB", "at most 4MiB"),
        ("PORTOLAN_UPLOAD_EXPIRY", "0", "expected a number of seconds"),
        ("PORTOLAN_UPLOAD_EXPIRY", "1 fortnight", "expected a number of seconds"),
        ("PORTOLAN_DEFAULT_NAMESPACE", "Library", "joined by single"),
        ("PORTOLAN_DEFAULT_VISIBILITY", "secret", "expected private or public"),
        ("PORTOLAN_AUDIENCE", "a Bearer of news", "without the words"),
        ("PORTOLAN_AUDIENCE", "bearer.example.com", "without the words"),
        ("PORTOLAN_DATA", "", "expected a path"),
        ("PORTOLAN_TLS_KEY", "key.pem", "tls_certificate is empty although tls_key is set"),
        ("PORTOLAN_METRICS_LISTEN", "127.0.0.1:5000", "metrics_listen is the same as listen"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(variable: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load({variable: value})

    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("worker = 2", "portolan.toml: worker is no setting: did you mean workers?"),
        ("workers = true", "portolan.toml: workers is True: expected a whole number"),
        ("[web]\nworkers = 2", "web is no setting"),
        ("workers = ", "is not TOML"),
        ("data = 5", "data is 5: expected a path"),
    ],
)
def test_what_cannot_be_used_in_a_file_is_refused_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    config = tmp_path / "portolan.toml"
    config.write_text(content)

    with pytest.raises(SettingsError) as refused:
        Settings.load({}, config)

    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml cannot be read: No such file"):
        Settings.load({}, tmp_path / "missing.toml")


def test_variables_that_are_not_ours_are_left_alone() -> None:
    Settings.load(
        {
            "PORTOLAN_CONFIG": "/etc/portolan.toml",
            "PORTOLAN_REQUIRE_SERVICES": "1",
            "PORTOLAN_SERVICE_HOST": "10.0.0.1",
            "PORTOLAN_SERVICE_PORT_HTTP": "5000",
            "PORTOLAN_PORT": "tcp://10.0.0.1:5000",
            "PORTOLAN_PORT_5000_TCP_ADDR": "10.0.0.1",
            "PORTOLAN_DB_SERVICE_HOST": "10.0.0.2",
            "PORTOLAN_DB_PORT": "tcp://10.0.0.2:5432",
            "PORTOLAN_DB_PORT_5432_TCP": "tcp://10.0.0.2:5432",
        }
    )


def test_secrets_are_not_shown() -> None:
    settings = Settings.load(
        {
            "PORTOLAN_METRICS_TOKEN": "hunter2hunter2hunter2",
            "PORTOLAN_DATABASE_URL": "postgresql://me:hunter2@host/name",
        }
    )

    assert "hunter2" not in repr(settings)


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings.load({}).workers = 2  # type: ignore[misc]


def documented() -> dict[str, dict[str, str]]:
    sections = re.split(r"^### `(\w+)`$", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    return {
        name: dict(re.findall(r"^- (Type|Default|Example): (.*)$", body, flags=re.MULTILINE))
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    assert set(documented()) == set(declared())


@pytest.mark.parametrize("name", list(declared()))
def test_the_document_tells_type_default_and_an_example_that_works(name: str, tmp_path: Path) -> None:
    told = documented()[name]
    field = declared()[name]
    default = field.metadata["default"]

    assert told["Type"] == field.metadata["kind"].expected
    assert told["Default"] == (f"`{default}`" if default else "empty")
    example = tomllib.loads(told["Example"].strip("`"))
    assert list(example) == [name]
    field.metadata["kind"].read(example[name])
