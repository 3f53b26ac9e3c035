"""The contract in OpenAPI 3.0: what it says, and that it is one."""

import copy
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_30_VALIDATOR

from app.api.openapi_30 import to_30
from tests.openapi import CONTRACT

REF = {"$ref": "#/components/schemas/Date"}


def converted(schema: dict[str, Any]) -> Any:
    given = {"openapi": "3.1.0", "info": {}, "components": {"schemas": {"It": schema}}}
    return to_30(given)["components"]["schemas"]["It"]


def test_the_whole_contract_is_valid_and_was_not_before() -> None:
    OPENAPI_30_VALIDATOR.validate(to_30(CONTRACT))
    with pytest.raises(jsonschema_rs.ValidationError):
        OPENAPI_30_VALIDATOR.validate(CONTRACT | {"openapi": "3.0.3"})


def test_it_has_the_same_operations_with_the_same_bodies_and_codes() -> None:
    before = copy.deepcopy(CONTRACT)
    contract = to_30(CONTRACT)
    assert before == CONTRACT
    for path, item in CONTRACT["paths"].items():
        for method, operation in item.items():
            same = contract["paths"][path][method]
            assert same["operationId"] == operation["operationId"]
            assert {*same["responses"]} == {*operation["responses"]}
            if "requestBody" in operation:
                [(kind, body)] = operation["requestBody"]["content"].items()
                twin = same["requestBody"]["content"][kind]
                assert {name: twin.get(name) for name in ("example", "examples")} == {
                    name: body.get(name) for name in ("example", "examples")
                }
    schemas = contract["components"]["schemas"]
    for name, schema in CONTRACT["components"]["schemas"].items():
        assert {*schemas[name].get("properties", {})} == {*schema.get("properties", {})}
        assert schemas[name].get("required") == schema.get("required")


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"const": "ok"}, {"enum": ["ok"]}),
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
        (
            {"type": ["null", "boolean", "string"]},
            {"anyOf": [{"type": "boolean"}, {"type": "string"}], "nullable": True},
        ),
        ({"anyOf": [REF, {"type": "null"}]}, {"allOf": [REF], "nullable": True}),
        ({"type": "null"}, {"type": "string", "nullable": True, "enum": [None]}),
        (REF, REF),
        ({**REF, "description": "x"}, {"allOf": [REF], "description": "x"}),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
        (
            {"type": "array", "items": {"const": 1}, "contains": {"const": 1}},
            {"type": "array", "items": {"enum": [1]}},
        ),
        (
            {"type": "object", "propertyNames": {}, "additionalProperties": {"const": 1}},
            {"type": "object", "additionalProperties": {"enum": [1]}},
        ),
        (
            {"type": "object", "properties": {"const": {"const": 1}, "example": {"const": 2}}},
            {"type": "object", "properties": {"const": {"enum": [1]}, "example": {"enum": [2]}}},
        ),
        ({"not": {"const": "*"}}, {"not": {"enum": ["*"]}}),
        ({"type": "object", "additionalProperties": False},) * 2,
    ],
    ids=str,
)
def test_what_3_0_says_in_another_way_is_said_so(schema: Any, wanted: Any) -> None:
    assert converted(schema) == wanted


def test_examples_are_given_out_as_they_are() -> None:
    example = {"type": ["a"], "const": 1, "schema": {"const": 1}}
    given = {"openapi": "3.1.0", "info": {"summary": "x", "title": "y"}, "example": example}
    assert to_30(given) == {"openapi": "3.0.3", "info": {"title": "y"}, "example": example}
