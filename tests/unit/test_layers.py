"""Imports go down only: api -> memory -> errors, config; each library in its one place."""

import ast
from pathlib import Path

import pytest

from tests.service import ROOT

APP = ROOT / "app"
MODULES = sorted(APP.rglob("*.py"))

# What a part of the tree may import of app, and of the libraries that have one place.
LEAVES = {"app.config", "app.embeddings", "app.errors", "app.security", "app.observability"}
BELOW_MEMORY = {"app.storage", "app.providers", *LEAVES}
PARTS = {
    "app/__init__.py": {"app.api", "app.memory", *LEAVES, "flask"},
    "app/wsgi.py": {"app", "app.server", *LEAVES},
    "app/token.py": {"app.cli"},
    "app/reembed.py": {"app.cli"},
    "app/config": {"app.config", "app.errors", "os"},
    "app/errors.py": set(),
    "app/embeddings.py": set(),
    "app/cli": {"app.cli", "app.memory", *BELOW_MEMORY},
    "app/server": {"app.server", "app.errors", "gunicorn", "os"},  # os.sendfile
    "app/api": {"app.api", "app.memory", *BELOW_MEMORY, "flask", "werkzeug"},
    "app/memory/mem0_import.py": {"mem0"},
    "app/memory/extraction/__init__.py": {"app.memory", *BELOW_MEMORY, "mem0"},
    "app/memory/draft.py": {"app.memory", *BELOW_MEMORY, "mem0"},
    "app/memory": {"app.memory", *BELOW_MEMORY},
    "app/storage/backup": {"app.storage", *LEAVES, "os"},  # fsync, and rights of files
    "app/storage/holes.py": {"os"},
    "app/storage/history/postgresql.py": {"app.storage", *LEAVES, "psycopg"},
    "app/storage/history/postgresql_connection.py": {"app.storage", *LEAVES, "psycopg"},
    "app/storage/history/postgresql_reasons.py": {"psycopg"},
    "app/storage": {"app.storage", *LEAVES},
    "app/providers": {"app.providers", *LEAVES},
    "app/security": {"app.security", "app.errors"},
    "app/observability": {"app.observability", "app.config", "app.errors", "prometheus_client"},
}
WATCHED = {"app", "flask", "gunicorn", "werkzeug", "mem0", "os", "prometheus_client", "psycopg"}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            modules = (f"{node.module}.{alias.name}" for alias in node.names)
            below = {
                name
                for name in modules
                if (ROOT / name.replace(".", "/")).is_dir()
                or (ROOT / f"{name.replace('.', '/')}.py").is_file()
            }
            names |= below or {str(node.module)}
    return names


def allowed(path: Path) -> set[str]:
    name = str(path.relative_to(ROOT))
    return next(may for part, may in PARTS.items() if name == part or name.startswith(f"{part}/"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_part_may(path: Path) -> None:
    for name in imports(path):
        if name.split(".")[0] not in WATCHED:
            continue
        may = allowed(path)
        assert any(name == one or (one != "app" and name.startswith(f"{one}.")) for one in may), (
            name
        )


def test_only_config_reads_the_environment() -> None:
    for path in MODULES:
        if path.parent != APP / "config":
            assert "os.environ" not in path.read_text(), path
            assert "getenv" not in path.read_text(), path
