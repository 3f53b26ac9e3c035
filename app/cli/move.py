"""`python -m app.cli.move`: take the history of DATA_DIR/history.db over into the empty PostgreSQL
database of DATABASE_URL.

Reads the same settings as the service, which must not run meanwhile, neither here nor there. The
file is kept. The vectors stay where they are, which has to be the Qdrant server of QDRANT_URL.
"""

import argparse
import sys
from contextlib import closing

from app.config import Settings, prepare_environment
from app.errors import ServiceError, StartupError


def main() -> int:
    argparse.ArgumentParser(prog="python -m app.cli.move", description=__doc__).parse_args()
    try:
        settings = Settings.from_env()
        settings.make_data_dir()
        prepare_environment(settings.data_dir)
        _move(settings)
    except KeyboardInterrupt:
        return _failed("interrupted")
    except ServiceError as error:
        return _failed(error.detail)
    except (StartupError, OSError) as error:
        return _failed(str(error))
    return 0


def _move(settings: Settings) -> None:
    # Imported here because the driver takes 0.05 s, for which --help need not wait.
    from app.storage.history.moving import move
    from app.storage.history.postgresql import PostgreSQL
    from app.storage.history.sqlite import SQLite
    from app.storage.journal.liveness import FileLocks, anybody_lives

    if settings.database_url is None:
        raise StartupError("DATABASE_URL is not set: it says where the history shall be.")
    path = settings.data_dir / "history.db"
    if not path.exists():
        raise StartupError(f"There is no history in {path}.")
    processes = settings.data_dir / "processes"
    if anybody_lives(processes):
        raise StartupError(f"A service is running on {settings.data_dir}: stop it first.")
    with closing(FileLocks(processes)):
        move(SQLite(path), PostgreSQL(settings.database_url.get_secret_value(), 2), _tell)
    print(f"Moved. {path} was kept; a service that is started with DATABASE_URL does not read it.")
    if (settings.data_dir / "qdrant").exists():
        print(f"The vectors in {settings.data_dir / 'qdrant'} were not moved: QDRANT_URL's count.")


def _tell(table: str, rows: int) -> None:
    print(f"{rows:10,} {table}", flush=True)


def _failed(why: str) -> int:
    print(f"{why}\nNothing was moved.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
