"""`python -m app.reembed`: after a change of the embedder, embed every memory again; after one of
how words are cut, make those again.

Reads the same settings as the service, which must not run meanwhile. Needed also once for a
collection that mem0 made without keyword vectors.
"""

import sys

from app.config import Settings, prepare_environment
from app.config.notices import log_notices
from app.errors import ServiceError, StartupError


def main() -> None:
    try:
        settings = Settings.from_env()
        log_notices(settings)
        settings.make_data_dir()
        prepare_environment(settings.data_dir)
        _reembed(settings)
    except ServiceError as error:
        sys.exit(f"{error.code}: {error.detail}\nNothing is lost; run this again.")
    except (StartupError, OSError) as error:  # OSError: no permission for a file, or no room
        sys.exit(str(error))


def _reembed(settings: Settings) -> None:
    # Imported here because they import mem0, which reads the environment at its import.
    from app.memory.parts import open_parts
    from app.memory.reembedding import reembed

    parts = open_parts(settings)
    try:
        # Unfinished writes are recovered first, while their vectors still fit the collection.
        parts.journal.recover(parts.store)
        reembed(parts.store, parts.embedder, lambda line: print(line, flush=True))
    finally:
        parts.close()


if __name__ == "__main__":
    main()
