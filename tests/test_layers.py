"""Imports go down only: api -> memory -> errors, config; each library in its one place."""

import ast
from pathlib import Path

import pytest

from tests.service import ROOT

APP = ROOT / "app"
MODULES = sorted(APP.rglob("*.py"))

# What a part of the tree may import of app, and of the libraries that have one place.
PARTS = {
    "app/__init__.py": {"app.api", "app.memory", "app.config", "app.errors", "app.logs", "flask"},
    "app/wsgi.py": {"app", "app.errors", "app.logs"},
    "app/token.py": {"app.config", "app.errors", "app.keys", "app.scopes"},
    "app/worker.py": {"gunicorn"},
    "app/reembed.py": {"app.memory", "app.config", "app.errors"},
    "app/config.py": {"app.errors", "os"},
    "app/errors.py": set(),
    "app/keys.py": set(),
    "app/scopes.py": set(),
    "app/logs.py": {"app.trace"},
    "app/metrics.py": {"app.config", "app.errors", "prometheus_client"},
    "app/trace.py": set(),
    "app/api": {
        "app.api",
        "app.memory",
        "app.config",
        "app.errors",
        "app.keys",
        "app.logs",
        "app.metrics",
        "app.scopes",
        "app.trace",
        "flask",
        "werkzeug",
    },
    "app/memory": {
        "app.memory",
        "app.config",
        "app.errors",
        "app.logs",
        "app.metrics",
        "app.scopes",
        "app.trace",
        "mem0",
    },
}
WATCHED = {"app", "flask", "gunicorn", "werkzeug", "mem0", "os", "prometheus_client"}


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


# The order inside app.memory, from the top; a module imports only from below itself.
LAYERS = [
    {"app.memory"},
    {"app.memory.service", "app.memory.providers"},
    {"app.memory.engine", "app.memory.readiness", "app.memory.reembedding", "app.memory.repeats"},
    {"app.memory.draft", "app.memory.journal"},
    {"app.memory.providers.openai", "app.memory.providers.ollama", "app.memory.providers.minilm"},
    {
        "app.memory.providers.checked",
        "app.memory.providers.calls",
        "app.memory.providers.shared",
        "app.memory.history",
    },
    {"app.memory.stores"},
    {"app.memory.stores.edge", "app.memory.stores.server"},
    {"app.memory.stores.slices", "app.memory.stores.words"},
    {"app.memory.stores.base"},
    {"app.memory.stores.paging"},
    {
        "app.memory.filters",
        "app.memory.ranking",
        "app.memory.listings",
        "app.memory.locks",
        "app.memory.places",
        "app.memory.bm25",
        "app.memory.transactions",
        "app.memory.tables",
    },
    {"app.memory.payloads", "app.memory.lean"},
]


def test_inside_app_memory_imports_go_down() -> None:
    height = {module: -level for level, modules in enumerate(LAYERS) for module in modules}
    for path in (APP / "memory").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name in imports(path):
            if name.startswith("app.memory"):
                assert height[name] < height[module], f"{module} imports {name}"


def test_only_config_reads_the_environment() -> None:
    for path in MODULES:
        if path.name != "config.py":
            assert "os.environ" not in path.read_text(), path
            assert "getenv" not in path.read_text(), path
