"""The contract in OpenAPI 3.0, for what cannot read 3.1: Dify, Coze, Open WebUI and others.

Schemas of 3.1 are JSON Schema 2020-12, those of 3.0 a dialect of draft 5. What 3.0 cannot say
(`contains`, `propertyNames`, `dependentRequired`) is left out: it makes the contract wider, and
the service refuses all the same.
"""

from typing import Any

Node = dict[str, Any]

_UNKNOWN = ("contains", "propertyNames", "dependentRequired")
_LISTS = ("anyOf", "oneOf", "allOf")
_SCHEMAS = ("items", "additionalProperties", "not")
_GIVEN_OUT = ("example", "examples", "value")  # of anything, and no schemas


def to_30(contract: Node) -> Node:
    """A contract in OpenAPI 3.1 as one in 3.0.3; what is given stays as it is."""
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
    return value if key in _GIVEN_OUT else _converted(value)


def _schema(given: Any) -> Any:
    if not isinstance(given, dict):  # additionalProperties may be true or false
        return given
    schema: Node = {}
    for key, value in given.items():
        schema |= _keyword(key, value)
    if "$ref" in schema and len(schema) > 1:  # 3.0 ignores what stands beside it
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
    """Null is no type in 3.0; a type may be `nullable`."""
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
