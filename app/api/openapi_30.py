"""Converts the contract to OpenAPI 3.0, for tools that cannot read 3.1: Dify, Coze, Open WebUI and
others.

The schemas of 3.1 are JSON Schema 2020-12; those of 3.0 are a dialect of draft 5. Keywords that 3.0
lacks (`contains`, `propertyNames`, `dependentRequired`) are left out. So the converted contract
allows more than the service, which still refuses what the original contract does.
"""

from typing import Any

Node = dict[str, Any]

_UNKNOWN = ("contains", "propertyNames", "dependentRequired")
_LISTS = ("anyOf", "oneOf", "allOf")
_SCHEMAS = ("items", "additionalProperties", "not")
_EXAMPLES = ("example", "examples", "value")  # they hold any JSON, which is not converted


def to_30(contract: Node) -> Node:
    """`contract`, which is in OpenAPI 3.1, in 3.0.3. The argument is not changed."""
    info = {key: value for key, value in contract["info"].items() if key != "summary"}
    return {**_converted(contract), "openapi": "3.0.3", "info": info}


def _converted(node: Any) -> Any:
    if isinstance(node, list):
        return [_converted(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {key: _part(key, value) for key, value in node.items()}


def _part(key: str, value: Any) -> Any:
    if key == "schema":
        return _schema(value)
    if key == "schemas":
        return {name: _schema(one) for name, one in value.items()}
    return value if key in _EXAMPLES else _converted(value)


def _schema(given: Any) -> Any:
    if not isinstance(given, dict):  # additionalProperties may be true or false
        return given
    schema: Node = {}
    for key, value in given.items():
        schema |= _keyword(key, value)
    if "$ref" in schema and len(schema) > 1:  # 3.0 ignores the keywords beside a $ref
        schema["allOf"] = [{"$ref": schema.pop("$ref")}]
    return _nullable(schema)


def _keyword(key: str, value: Any) -> Node:
    if key in _UNKNOWN:
        return {}
    if key == "const":
        return {"enum": [value]}
    if key == "examples":
        return {"example": value[0]}
    if key == "type" and isinstance(value, list):
        return {"anyOf": [{"type": one} for one in value]}
    if key == "properties":
        return {key: {name: _schema(one) for name, one in value.items()}}
    if key in _LISTS:
        return {key: [_schema(one) for one in value]}
    return {key: _schema(value)} if key in _SCHEMAS else {key: value}


def _nullable(schema: Node) -> Node:
    """`schema` with `nullable` in the place of the type null, which 3.0 does not have."""
    if schema.get("type") == "null":
        return {**schema, "type": "string", "nullable": True, "enum": [None]}
    choices = schema.get("anyOf", [])
    others = [one for one in choices if one.get("enum") != [None] and one != {"type": "null"}]
    if len(others) == len(choices):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(others) > 1:
        return {**rest, "anyOf": others, "nullable": True}
    [only] = others
    return {**rest, **({"allOf": [only]} if "$ref" in only else only), "nullable": True}
