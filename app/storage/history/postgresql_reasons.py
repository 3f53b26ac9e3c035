"""Explains failures of PostgreSQL, or of a pooler before it, to operators; never quotes values."""

import re
from typing import NamedTuple

from psycopg import Error
from sqlalchemy.exc import DBAPIError

NO_ANSWER = "PostgreSQL does not answer; DATABASE_URL says where it is asked."
READ_ONLY_STATE = "25006"
_READ_ONLY = (
    "PostgreSQL is read-only, as a standby is, or a disk that is too full: name the primary in "
    "DATABASE_URL, or see its default_transaction_read_only."
)
_NONE_LEFT = (
    r"too many (clients|connections)|remaining connection slots"
    r"|no more connections allowed|[Mm]ax client"  # of poolers
)
NO_CONNECTION = (
    "PostgreSQL, or the pooler before it, takes no more connections: raise max_connections there "
    "(max_client_conn of PgBouncer), or lower DATABASE_CONNECTIONS."
)
_STARTING = "PostgreSQL is shutting down or starting; DATABASE_URL says where it is asked."
_ENDED = "PostgreSQL, or somebody there, ended the connection; ask again."
_SLOW = "PostgreSQL is too slow to answer."

_NOT_OURS = (
    "A table of the history's name in PostgreSQL is another program's, or was changed: name a "
    "database of its own in DATABASE_URL."
)

# By SQLSTATE, or the beginning of one; see "PostgreSQL Error Codes" in its manual.
_BY_STATE = {
    READ_ONLY_STATE: _READ_ONLY,
    "40": "PostgreSQL had to undo it; ask again.",
    "42501": (
        "The user of DATABASE_URL may not do this: make it the owner of the database, or grant it "
        "CREATE and USAGE on the schema (GRANT CREATE, USAGE ON SCHEMA public TO ...), and all on "
        "the tables there."
    ),
    "25P03": "PostgreSQL ended a transaction that stood still for too long; ask again.",
    "3F000": "There is no schema to make tables in: see search_path of the user of DATABASE_URL.",
    "42703": _NOT_OURS,
    "42804": _NOT_OURS,
    "42P07": _NOT_OURS,
    "42P01": "PostgreSQL has lost a table of the history: restore its database from a backup.",
    "53100": "The disk of PostgreSQL is full.",
    "53300": NO_CONNECTION,
    "53": "PostgreSQL is short of memory or other means.",
    "55P03": "PostgreSQL is too slow to answer: another write holds what this one needs.",
    "57014": _SLOW,
    "57P01": _ENDED,
    "57P05": _ENDED,
    "57P": _STARTING,
    "58": "PostgreSQL cannot read or write its own files.",
    "XX000": "PostgreSQL, or the pooler before it, failed within: see its log.",
    "XX": "PostgreSQL found its own files damaged.",
}
# Poolers use these states for everything that has no state of its own.
_OF_POOLERS = ("08P01", "XX000")


class _Said(NamedTuple):
    words: str
    why: str
    later: bool = False
    """Whether the server may be there later, without a change of DATABASE_URL or the service."""


# A failure before there is a connection has no SQLSTATE, only words. They are English unless the
# server's lc_messages say otherwise; then only _NOT_MADE is known. The first match is taken: what
# one of several addresses says about the user is more than that another one does not answer.
_SAID = (
    _Said(_NONE_LEFT, NO_CONNECTION, later=True),
    _Said(
        r"query_wait_timeout|unable to check out",
        "The pooler before PostgreSQL had no connection free in time: raise its pool "
        "(default_pool_size), or lower DATABASE_CONNECTIONS.",
        later=True,
    ),
    _Said(r"query timeout|idle transaction timeout", _SLOW, later=True),
    _Said(
        r"server_login_retry|server login|server conn crashed|server down|compute node"
        r"|plane request failed",
        "The pooler before PostgreSQL cannot reach it, or not log in there: see the pooler's log.",
        later=True,
    ),
    _Said(
        r"(is|been) (temporarily )?disabled|quota|active endpoints|not currently accepting",
        "This database is disabled, or over its quota: see where it, or the pooler before it, is "
        "managed.",
        later=True,
    ),
    _Said(
        r"transaction blocks not allowed",
        "The pooler before PostgreSQL gives each statement another connection: its pool_mode must "
        "be transaction or session.",
    ),
    _Said(
        r"[Uu]nsupported startup parameter",
        "The pooler before PostgreSQL takes no options: leave them out of DATABASE_URL, and set "
        "what they say by ALTER ROLE.",
    ),
    _Said(
        r"[Tt]enant",
        "The pooler before PostgreSQL does not know whose database it is: copy host and user of "
        "DATABASE_URL from where it is managed; a user there is postgres.PROJECT.",
    ),
    _Said(
        r"authentication failed|no password supplied|no such user"
        r"|role \".*\" does not exist",
        "PostgreSQL refuses the user or the password of DATABASE_URL.",
    ),
    _Said(
        r"database \".*\" does not exist|no such database",
        "PostgreSQL has no database of the name in DATABASE_URL.",
    ),
    _Said(
        r"pg_hba\.conf",
        "PostgreSQL lets nobody in from here with this user, database and encryption: see its "
        "pg_hba.conf, and sslmode in DATABASE_URL.",
    ),
    _Said(r"permission denied", "The user of DATABASE_URL may not connect to this database."),
    _Said(r"SSL SYSCALL|SSL connection has been closed", NO_ANSWER, later=True),
    _Said(
        r"SSL|sslmode|certificate|insecure|channel binding",
        "Encryption or certificate do not fit: see sslmode, sslrootcert and channel_binding in "
        "DATABASE_URL.",
    ),
    _Said(r"session is read-only|hot standby", _READ_ONLY, later=True),
    _Said(r"the database system is|is shutting down|recovery", _STARTING, later=True),
    _Said(
        r"could not translate host name|failed to resolve",
        "PostgreSQL is not found: nobody knows the name of the host in DATABASE_URL.",
        later=True,
    ),
    _Said(
        r"Network is unreachable|Cannot assign requested address|No route",
        "There is no way to PostgreSQL from here: see the host in DATABASE_URL. One that has an "
        "IPv6 address alone needs IPv6 here too, or the address of its pooler.",
        later=True,
    ),
    _Said(
        r"[Cc]onnection refused|No such file|timeout|unreachable|closed|reset",
        NO_ANSWER,
        later=True,
    ),
)
_NOT_MADE = "PostgreSQL refuses the connection: see its log, and DATABASE_URL."


def reason(error: DBAPIError) -> str:
    if said := _said(error):
        return said.why
    if state := state_of(error.orig):
        known = (_BY_STATE.get(state[:length]) for length in (5, 3, 2))
        return next((words for words in known if words), f"PostgreSQL failed ({state}).")
    return NO_ANSWER if _was_connected(error) else _NOT_MADE


def is_away(error: DBAPIError) -> bool:
    """Whether the server may be there later, without a change of anything."""
    if said := _said(error):
        return said.later
    if not (state := state_of(error.orig)):
        return _was_connected(error)  # the connection ended before an answer came
    return state.startswith(("53", "57P", "08", READ_ONLY_STATE))


def was_undone(error: DBAPIError) -> bool:
    """Whether the server undid this transaction because of a deadlock or another conflict."""
    return (state_of(error.orig) or "").startswith("40")


def what_the_server_said(error: DBAPIError) -> str:
    """The first line of the server's message; "" where there is only libpq's message, which may
    quote the address."""
    said = str(error.orig).strip().partition("\n")[0]
    if state_of(error.orig):
        return said
    found = re.search(r"(FATAL|ERROR): .*", said)
    return found[0] if found else ""


def has_no_connection_left(error: BaseException | None) -> bool:
    """What could not be connected since the server, or its pooler, has as many as it takes."""
    return bool(re.search(_NONE_LEFT, str(error)))


def state_of(error: BaseException | None) -> str | None:
    """The SQLSTATE of a failure that the server told."""
    return error.sqlstate if isinstance(error, Error) else None


def _said(error: DBAPIError) -> _Said | None:
    state = state_of(error.orig)
    if state not in _OF_POOLERS if state else _was_connected(error):
        return None
    said = str(error.orig)
    return next((one for one in _SAID if re.search(one.words, said)), None)


def _was_connected(error: DBAPIError) -> bool:
    return bool(error.connection_invalidated or error.statement)
