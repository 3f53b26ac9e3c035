"""Errors as mem0's clients read them: as application/json, and only the field `detail`."""

import re
from typing import Any

from flask import Flask, Response, json, request

PROBLEM = "application/problem+json"


def init_app(app: Flask, prefixes: re.Pattern[str]) -> None:
    """Rewrite the problems of paths that begin with `prefixes`."""

    def plain(response: Response) -> Response:
        if response.mimetype == PROBLEM and prefixes.match(request.path):
            problem = json.loads(response.get_data())
            problem["detail"] = _with_fields(problem)
            response.set_data(json.dumps(problem))
            response.mimetype = "application/json"
        return response

    app.after_request(plain)


def _with_fields(problem: dict[str, Any]) -> str:
    wrong = [f"{error['field']}: {error['message']}" for error in problem.get("errors", ())]
    return " ".join([problem["detail"], "; ".join(wrong)]).strip()
