"""Checks an OpenAPI document, and that answers fit their schemas and hold nothing that no schema names.

Reads {"document": ..., "answers": [{"path", "status", "body"}]} from standard input; says what is wrong, and ends with 1 then.
"""
import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012


def strict(schema):
    """A copy in which objects with named properties have no others."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {name: strict(value) for name, value in schema.items()}
    if isinstance(copy.get("properties"), dict) and "additionalProperties" not in copy:
        copy["additionalProperties"] = False
    if "allOf" in copy:
        # Parts of one object know each other's properties only together.
        for part in copy["allOf"]:
            part.pop("additionalProperties", None)
    return copy


def main():
    asked = json.load(sys.stdin)
    document = asked["document"]
    wrong = [f"document: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    tight = {**document, "components": {"schemas": strict(document["components"]["schemas"])}}
    # An item is also a part of what stands on the board.
    tight["components"]["schemas"]["Item"].pop("additionalProperties", None)
    registry = Registry().with_resource("doc:", Resource(contents=tight, specification=DRAFT202012))
    fitting = 0
    for answer in asked["answers"]:
        responses = document["paths"][answer["path"]]["get"]["responses"]
        if answer["status"] not in responses:
            wrong.append(f"{answer['path']}: {answer['status']} is not described")
            continue
        schema = responses[answer["status"]]["content"]["application/json"]["schema"]
        schema = {"$ref": "doc:" + schema["$ref"]}
        errors = list(Draft202012Validator(schema, registry=registry).iter_errors(answer["body"]))
        wrong += [f"{answer['path']} at {error.json_path}: {error.message[:300]}" for error in errors]
        fitting += not errors
    print("\n".join(wrong) if wrong else f"valid, {fitting} answers fit")
    sys.exit(bool(wrong))


main()
