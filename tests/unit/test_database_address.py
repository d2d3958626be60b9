"""Which database addresses are warned of or refused because the password could be read by another server."""

from __future__ import annotations

import getpass

import pytest
from pydantic import SecretStr

from syncer.config.database_address import describe_location, describe_unverified_connections
from syncer.config.settings import Settings, load_settings
from syncer.errors import ConfigurationError

URL = "postgresql://poller:passw0rd@{}/syncer"
UNVERIFIED = [
    (URL.format("db.example.org"), "db.example.org", "prefer"),
    (URL.format("db.example.org:6432") + "?sslmode=require", "db.example.org", "require"),
    (URL.format("10.0.0.5") + "?sslmode=disable", "10.0.0.5", "disable"),
    (URL.format("[2001:db8::1]:5432") + "?sslmode=allow", "2001:db8::1", "allow"),
    (URL.format("localhost,db-1:5432,db-2") + "?sslmode=prefer", "db-1, db-2", "prefer"),
    (URL.format("") + "?host=db.example.org", "db.example.org", "prefer"),
]
VERIFIED = [
    URL.format("db.example.org") + "?sslmode=verify-full",
    URL.format("db.example.org") + "?sslmode=verify-ca",
    URL.format("db.example.org") + "?sslrootcert=system",
    URL.format("db.example.org") + "?sslmode=require&sslrootcert=/etc/hosts",  # libpq and asyncpg verify it then
    URL.format("127.0.0.1:5432"),
    URL.format("[::1]"),
    URL.format("localhost"),
    URL.format("") + "?host=/run/postgresql",
    URL.format("%2Frun%2Fpostgresql"),
    URL.format(""),
]


@pytest.mark.parametrize(("address", "hosts", "mode"), UNVERIFIED)
def test_an_address_whose_server_is_not_verified_is_described_in_one_line_without_its_password(
    address: str, hosts: str, mode: str
) -> None:
    settings = Settings.model_construct(migrate_database_url=SecretStr(address))

    (sentence,) = describe_unverified_connections(settings)
    assert sentence == (
        f"SYNCER_MIGRATE_DATABASE_URL connects to {hosts} with sslmode={mode}, which does not verify the server: "
        "whatever answers in its place can read the password and the data; set sslmode=verify-full, and sslrootcert to "
        "a file or to system"
    )


@pytest.mark.parametrize("address", VERIFIED)
def test_an_address_whose_server_is_verified_or_local_is_not_mentioned(address: str) -> None:
    assert describe_unverified_connections(Settings.model_construct(database_url=SecretStr(address))) == []


def test_the_variables_of_libpq_count_where_the_address_has_no_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_construct(database_url=SecretStr(URL.format("db")))
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert describe_unverified_connections(settings) == []
    monkeypatch.setenv("PGSSLMODE", "require")
    (sentence,) = describe_unverified_connections(settings)
    assert sentence.startswith("SYNCER_DATABASE_URL connects to db with sslmode=require, ")


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("require_auth=scram-sha-256", "this program cannot honour its require_auth: remove that, and set "),
        ("require_auth=!password", "this program cannot honour its require_auth: remove that, and set "),
        ("requirepeer=postgres", "this program cannot honour its requirepeer: remove that, and set "),
        ("channel_binding=require", "this program cannot honour its channel_binding: remove that, and set "),
        ("gssencmode=require", "this program cannot honour its gssencmode: remove that, and set "),
        ("sslrootcert=system&sslmode=require", "its sslmode must be verify-full with sslrootcert=system, or be left"),
        ("port=6432", "its port must be before the question mark only, as in postgresql://"),
        ("host=other", "its host must be before the question mark only, as in postgresql://"),
        ("dbname=other", "its dbname must be before the question mark only, as in postgresql://"),
        ("user=other", "its user must be before the question mark only, as in postgresql://"),
        ("password=other", "its password must be before the question mark only, as in postgresql://"),
        ("service=other", "it must name the host and the database themselves, and no service"),
        ("sslrootcert=/no/such/file", "its sslrootcert must name a file that can be read"),
    ],
)
def test_a_parameter_that_cannot_be_honoured_is_refused_in_a_whole_sentence(
    monkeypatch: pytest.MonkeyPatch, parameters: str, problem: str
) -> None:
    monkeypatch.setenv("SYNCER_DATABASE_URL", URL.format("db") + f"?{parameters}")

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    assert str(caught.value).startswith(f"SYNCER_DATABASE_URL has an invalid value, which is not shown: {problem}")


@pytest.mark.parametrize(
    ("variable", "value", "harmless"),
    [
        ("PGREQUIREAUTH", "scram-sha-256", ""),
        ("PGREQUIREPEER", "postgres", ""),
        ("PGCHANNELBINDING", "require", "prefer"),
        ("PGGSSENCMODE", "require", "disable"),
    ],
)
def test_a_variable_of_libpq_that_cannot_be_honoured_is_refused_too(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, harmless: str
) -> None:
    monkeypatch.setenv("SYNCER_DATABASE_URL", URL.format("db"))
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=f"cannot honour {variable}: unset it, and set sslmode=verify-full"):
        load_settings()
    monkeypatch.setenv(variable, harmless)
    assert load_settings().database_url is not None


@pytest.mark.parametrize(
    "parameters", ["sslrootcert=system", "sslrootcert=system&sslmode=verify-full", "require_auth="]
)
def test_a_parameter_that_can_be_honoured_is_accepted(monkeypatch: pytest.MonkeyPatch, parameters: str) -> None:
    monkeypatch.setenv("SYNCER_DATABASE_URL", URL.format("db") + f"?{parameters}")

    assert load_settings().database_url is not None


@pytest.mark.parametrize(
    ("address", "location"),
    [
        ("postgresql://u:passw0rd@h/x", "h:5432/x"),
        ("postgresql://u@h1:1,h2:2/x", "h1:1,h2:2/x"),
        ("postgresql://u@[::1]:3/x", "[::1]:3/x"),
        ("postgresql:///x?host=h1,h2&port=5,6&password=passw0rd", "h1:5,h2:6/x"),
        ("postgresql:///x?host=h1,h2&port=5", "h1:5,h2:5/x"),
        ("postgresql://u@/x?host=/run/postgresql", "/run/postgresql:5432/x"),
        ("postgresql://u@%2Frun%2Fpostgresql/%D0%B1", "/run/postgresql:5432/б"),
        ("postgresql://u@h", "h:5432/u"),
        ("postgresql://h", f"h:5432/{getpass.getuser()}"),
    ],
)
def test_a_location_has_what_the_driver_connects_to(
    address: str, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE"):
        monkeypatch.delenv(variable, raising=False)
    assert describe_location(address) == location
