"""What a failure of PostgreSQL means, in words for who runs the service; never what it quotes."""

import re

from psycopg import Error
from sqlalchemy.exc import DBAPIError

NO_ANSWER = "PostgreSQL does not answer; DATABASE_URL says where it is asked."

# By SQLSTATE, or the beginning of one; see "PostgreSQL Error Codes" in its manual.
_BY_STATE = {
    "25006": "PostgreSQL is read-only, as a standby is: name the primary in DATABASE_URL.",
    "40": "PostgreSQL had to undo it; ask again.",
    "42501": (
        "The user of DATABASE_URL may not do this: make it the owner of the database, or grant it "
        "CREATE and USAGE on the schema, and all on the tables there."
    ),
    "42P01": "PostgreSQL has lost a table of the history: restore its database from a backup.",
    "53100": "The disk of PostgreSQL is full.",
    "53300": "PostgreSQL has no connection left: raise max_connections there, or lower "
    "DATABASE_CONNECTIONS.",
    "53": "PostgreSQL is short of memory or other means.",
    "55P03": "PostgreSQL is too slow to answer: another write holds what this one needs.",
    "57014": "PostgreSQL is too slow to answer.",
    "57P": "PostgreSQL is shutting down or starting; DATABASE_URL says where it is asked.",
    "58": "PostgreSQL cannot read or write its own files.",
    "XX": "PostgreSQL found its own files damaged.",
}
# What was said before a connection was made has no SQLSTATE. The server's words are English unless
# its lc_messages say otherwise; then a reason of _NOT_MADE is the most that is known.
_BY_WORDS = {
    r"password authentication failed|no password supplied|role \".*\" does not exist": (
        "PostgreSQL refuses the user or the password of DATABASE_URL."
    ),
    r"database \".*\" does not exist": "PostgreSQL has no database of the name in DATABASE_URL.",
    r"pg_hba\.conf": (
        "PostgreSQL lets nobody in from here with this user, database and encryption: see its "
        "pg_hba.conf, and sslmode in DATABASE_URL."
    ),
    r"permission denied": "The user of DATABASE_URL may not connect to this database.",
    r"SSL|certificate": "Encryption or certificate do not fit: see sslmode in DATABASE_URL.",
}
_LATER = {
    r"too many (clients|connections)|remaining connection slots": _BY_STATE["53300"],
    r"is starting up|is shutting down|recovery": _BY_STATE["57P"],
    r"could not translate host name|failed to resolve": (
        "PostgreSQL is not found: nobody knows the name of the host in DATABASE_URL."
    ),
    r"[Cc]onnection refused|No such file|timeout|unreachable|No route|closed|reset": NO_ANSWER,
}
_NOT_MADE = "PostgreSQL refuses the connection: see its log, and DATABASE_URL."


def reason(error: DBAPIError) -> str:
    state = _state(error)
    if state:
        known = (_BY_STATE.get(state[:length]) for length in (5, 3, 2))
        return next((words for words in known if words), f"PostgreSQL failed ({state}).")
    if _was_connected(error):
        return NO_ANSWER
    said = str(error.orig)
    found = (why for words, why in (_LATER | _BY_WORDS).items() if re.search(words, said))
    return next(found, _NOT_MADE)


def is_away(error: DBAPIError) -> bool:
    """Whether it may well be there later, and nobody has to change anything."""
    state = _state(error)
    if state:
        return state.startswith(("53", "57P", "08"))
    return any(re.search(words, str(error.orig)) for words in _LATER)


def was_undone(error: DBAPIError) -> bool:
    """Two transactions waited for each other, and this one was chosen to be undone."""
    return (_state(error) or "").startswith("40")


def _state(error: DBAPIError) -> str | None:
    return error.orig.sqlstate if isinstance(error.orig, Error) else None


def _was_connected(error: DBAPIError) -> bool:
    return bool(error.connection_invalidated or error.statement)
