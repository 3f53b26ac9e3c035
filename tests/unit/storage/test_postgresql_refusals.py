"""What PostgreSQL, services that offer it and their poolers say before they let anybody in."""

from contextlib import closing

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from app.errors import HistoryUnavailable, StartupError
from app.storage.history.database import Database
from app.storage.history.postgresql import PostgreSQL
from app.storage.history.postgresql_reasons import is_away
from tests.servers.postgresql_wire import PostgreSQLWire, Refusal

FITTING = {"server_version": "15.4", "server_encoding": "UTF8", "client_encoding": "UTF8"}
HBA = (
    'no pg_hba.conf entry for host "10.0.0.7", user "somebody", database "memories", no encryption'
)

# What may be well later, without another DATABASE_URL: the start does not end by it.
LATER = [
    ("57P03", "the database system is starting up", "shutting down or starting"),
    ("57P03", "the database system is not yet accepting connections", "shutting down or starting"),
    ("53300", "sorry, too many clients already", "raise max_connections"),
    (
        "53300",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "rai",
    ),
    ("53300", 'too many connections for role "somebody"', "raise max_connections"),
    ("08P01", "no more connections allowed (max_client_conn)", "max_client_conn"),
    (
        "08P01",
        "server login has been failing, try again later (server_login_retry)",
        "cannot reach",
    ),
    ("55000", 'database "memories" is not currently accepting connections', "is disabled"),
    # Supabase
    (
        "XX000",
        "MaxClientsInSessionMode: max clients reached - in Session mode",
        "no more connections",
    ),
    ("XX000", "Max client connections reached", "no more connections"),
    # Neon
    ("XX000", "Control plane request failed", "cannot reach it"),
    ("XX000", "Couldn't connect to compute node", "cannot reach it"),
    ("XX000", "The endpoint has been disabled. Enable it using the API and retry.", "is disabled"),
    ("XX000", "Your account or project has exceeded the compute time quota.", "over its quota"),
]
NEVER = [
    ("28P01", 'password authentication failed for user "somebody"', "the user or the password"),
    ("28000", 'role "somebody" does not exist', "the user or the password"),
    ("28000", 'PAM authentication failed for user "somebody"', "the user or the password"),  # RDS
    ("28000", HBA, "sslmode in DATABASE_URL"),
    ("3D000", 'database "memories" does not exist', "no database of the name"),
    ("42501", 'permission denied for database "memories"', "may not connect"),
    ("08P01", "unsupported startup parameter: options", "takes no options"),
    ("XX000", "Tenant or user not found", "a user there is postgres.PROJECT"),  # Supabase
    ("28000", "connection is insecure (try using `sslmode=require`)", "see sslmode"),  # Neon
    ("XX000", "something that nobody knows", "refuses the connection.*It said: FATAL:  something"),
]


@pytest.mark.parametrize(("state", "said", "words"), LATER)
def test_what_mends_itself_is_waited_for(state: str, said: str, words: str) -> None:
    with (
        PostgreSQLWire(Refusal(state, said)) as server,
        closing(Database(PostgreSQL(server.url, 2))) as database,
        pytest.raises(HistoryUnavailable, match=words) as told,
    ):
        database.check()
    assert "a-secret" not in told.value.detail


@pytest.mark.parametrize(("state", "said", "words"), NEVER)
def test_what_somebody_has_to_mend_ends_the_start(state: str, said: str, words: str) -> None:
    with (
        PostgreSQLWire(Refusal(state, said)) as server,
        pytest.raises(StartupError, match=words) as told,
    ):
        Database(PostgreSQL(server.url, 2))
    assert "a-secret" not in str(told.value)


@pytest.mark.parametrize(
    ("differing", "words"),
    [
        ({"server_version": "14.12 (Ubuntu 14.12-1.pgdg22.04+1)"}, "15 or newer is needed, not 14"),
        ({"server_version": "9.6.24"}, "15 or newer is needed, not 9"),
        ({"server_encoding": "SQL_ASCII"}, "encoding is SQL_ASCII"),
    ],
)
def test_a_server_that_does_not_fit_is_refused_at_the_start_and_while_running(
    differing: dict[str, str], words: str
) -> None:
    with PostgreSQLWire({**FITTING, **differing}) as server:
        with pytest.raises(StartupError, match=words):
            Database(PostgreSQL(server.url, 2))
        server.answer = Refusal("57P03", "the database system is starting up")
        with closing(Database(PostgreSQL(server.url, 2))) as database:
            server.answer = {**FITTING, **differing}
            with pytest.raises(HistoryUnavailable, match=words):
                database.check()


def test_while_running_a_refusal_is_told_without_what_it_quotes() -> None:
    with (
        PostgreSQLWire(Refusal("57P03", "the database system is starting up")) as server,
        closing(Database(PostgreSQL(server.url, 2))) as database,
    ):
        server.answer = Refusal("28P01", 'password authentication failed for user "somebody"')
        with pytest.raises(HistoryUnavailable, match="the user or the password") as told:
            database.check()
        assert "somebody" not in told.value.detail


# As psycopg and libpq say it of a server that crashed after it had let a client in.
@pytest.mark.parametrize(
    "said",
    [
        "consuming input failed: server closed the connection unexpectedly",
        "sending query and params failed: no connection to the server",
        "the connection is closed",
    ],
)
def test_a_server_that_ends_amid_the_opening_is_waited_for(said: str) -> None:
    assert is_away(DBAPIError("CREATE TABLE history ()", {}, psycopg.OperationalError(said)))
