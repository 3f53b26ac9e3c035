"""`python -m app.token --user alice`: print a key that opens what alice's assistant remembers.

Reads the settings and nothing else, so it works while the service runs, and beside it.
"""

import argparse
import sys
import time
from datetime import UTC, datetime

from app.config import Settings
from app.errors import StartupError
from app.security.keys import DAY_S, DEFAULT_DAYS, MAX_DAYS, Keys, new_key_id
from app.security.principal import Principal
from app.security.scopes import SCOPE_KEYS, scope_id


def main() -> int:
    asked = _arguments().parse_args()
    given = {key: getattr(asked, key.removesuffix("_id")) for key in SCOPE_KEYS}
    try:
        settings = Settings.from_env()
        scope = {key: scope_id(given[key]) for key in SCOPE_KEYS if given[key] is not None}
    except (StartupError, ValueError) as error:
        return _failed(str(error))
    if settings.admin_api_key is None:
        return _failed("ADMIN_API_KEY is not set: keys are signed with it. 'make key' prints one.")
    if not scope:
        return _failed("give at least one of --user, --agent, --app, --run")
    caller = Principal(new_key_id(), scope, asked.read_only)
    ends_at = time.time() + asked.days * DAY_S
    print(Keys(settings.admin_api_key.get_secret_value()).mint(caller, ends_at))
    until = datetime.fromtimestamp(ends_at, UTC).date()
    mode = "read-only" if asked.read_only else "read and write"
    ends = f"DELETE /keys/{caller.id} ends it, or REVOKED_KEYS={caller.id}"
    print(f"id {caller.id}, {mode}, until {until}; {ends}", file=sys.stderr)
    if "app_id" not in scope:
        print("It sees its scope in every app; --app binds it to one.", file=sys.stderr)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.token", description=__doc__)
    parser.add_argument("--user", help="the user_id it is bound to")
    parser.add_argument("--agent", help="the agent_id it is bound to")
    parser.add_argument("--app", help="the app_id it is bound to")
    parser.add_argument("--run", help="the run_id it is bound to")
    parser.add_argument("--read-only", action="store_true", help="it may not change anything")
    parser.add_argument(
        "--days",
        type=_days,
        default=DEFAULT_DAYS,
        help=f"how long it is good (default {DEFAULT_DAYS})",
    )
    return parser


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"1 to {MAX_DAYS}")
    return days


def _failed(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
