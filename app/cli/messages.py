"""Messages of the commands, which go to standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import ServiceError, StartupError
from app.storage.backup.archive import Damaged, TooNew
from app.storage.backup.copying import AnotherIsAtWork
from app.storage.backup.restoring import Refused, Unfinished


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def reported_failures(after: str) -> Iterator[None]:
    """Ends the command with a message for each expected failure of a backup or restore. The line
    `after` says what the failure means for the data."""
    try:
        yield
    except ServiceError as error:
        sys.exit(f"{error.code}: {error.detail}\n{after}")
    except Damaged as error:
        sys.exit(f"This backup cannot be used: {error}.\n{after}")
    except TooNew as error:
        sys.exit(f"A newer version made this backup: {error}. Use that version.\n{after}")
    except Unfinished as error:
        sys.exit(f"{error}\nThe restore is finished when the service starts, or by this command.")
    except AnotherIsAtWork:
        sys.exit(f"Another backup or restore is at work on this DATA_DIR.\n{after}")
    except (Refused, StartupError, OSError) as error:  # OSError: no permission, or no room
        sys.exit(f"{error}\n{after}")
    except KeyboardInterrupt:
        sys.exit(f"Interrupted. {after}")
