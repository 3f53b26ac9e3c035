"""What gunicorn serves."""

import atexit
import gc
import logging
import sys

from app import create_app
from app.errors import NotYet, StartupError
from app.observability.logs import catch_all
from app.server.chunks import checked

# gunicorn's own status for "this cannot start": it stops instead of trying for ever.
CANNOT_BOOT = 3
TRY_AGAIN = 1  # it starts another worker instead

catch_all()
try:
    app = create_app()
except NotYet as error:
    logging.getLogger(__name__).warning("%s", error)
    sys.exit(TRY_AGAIN)
except (StartupError, OSError) as error:  # no right to a file, no room for it: it says which
    logging.getLogger(__name__).critical("%s", error)
    sys.exit(CANNOT_BOOT)
app.wsgi_app = checked(app.wsgi_app)  # type: ignore[assignment, method-assign]
atexit.register(app.extensions["memory"].close)
# What was made so far stays to the end. No collection looks at it again, also not the one at the
# end, which took 0.25 s.
gc.freeze()
