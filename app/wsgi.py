"""The WSGI application that gunicorn serves."""

import atexit
import gc
import logging
import sys

from app import create_app
from app.errors import NotYet, StartupError
from app.observability.logs import catch_all
from app.server.chunks import checked

# Exit statuses of a worker. After 3, gunicorn's own for "cannot boot", the master stops; after any
# other it starts another worker.
CANNOT_BOOT = 3
TRY_AGAIN = 1

catch_all()
try:
    app = create_app()
except NotYet as error:
    logging.getLogger(__name__).warning("%s", error)
    sys.exit(TRY_AGAIN)
except (StartupError, OSError) as error:  # OSError: no permission for a file, or no room
    logging.getLogger(__name__).critical("%s", error)
    sys.exit(CANNOT_BOOT)
app.wsgi_app = checked(app.wsgi_app)  # type: ignore[assignment, method-assign]
atexit.register(app.extensions["memory"].close)
# All objects so far live until the process ends, so the garbage collector need not visit them. The
# collection at the exit alone took 0.25 s.
gc.freeze()
