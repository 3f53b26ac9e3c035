"""GET /docs: a Swagger UI for the contract, served from an installed package.

The page fetches nothing from another host, and may run only the two scripts that it names.
"""

from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, abort, send_file

from app.api.http.auth import open_to_all

bp = Blueprint("docs", __name__, url_prefix="/docs")

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the icons of Swagger UI's own style sheet
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

_OURS = Path(__file__).parent / "docs_page"


def _swagger_ui() -> Path:
    # The folder is found without importing the package, which would import a web framework.
    spec = find_spec("flask_openapi3_swagger")
    if spec is None or not spec.submodule_search_locations:
        abort(404)
    return Path(next(iter(spec.submodule_search_locations))) / "templates" / "swagger"


@bp.get("")
@open_to_all
def page() -> Response:
    return _with_policy(send_file(_OURS / "index.html", mimetype="text/html"))


@bp.get("/<file>")
@open_to_all
def asset(file: str) -> Response:
    """A script or the style sheet of the page."""
    match file:
        case "init.js":
            return _with_policy(send_file(_OURS / file, mimetype="text/javascript"))
        case "swagger-ui-bundle.js":
            return _with_policy(send_file(_swagger_ui() / "js" / file, mimetype="text/javascript"))
        case "swagger-ui.css":
            return _with_policy(send_file(_swagger_ui() / "css" / file, mimetype="text/css"))
    abort(404)


def _with_policy(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    return response
