"""Checks an OpenAPI document, and that answers fit their schemas, hold nothing that no schema names, and together show every field.

Reads {"document": ..., "answers": [{"method", "path", "status", "body"}], "never": [...], "chance": [...]} from standard input. "never"
names what no answer is expected to show, as Schema.field, "chance" what one shows or not. Says what is wrong, and ends with 1 then.
"""
import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SCHEMAS = "#/components/schemas/"
HERE = "document:"


def strict(schema):
    """A copy in which objects with named properties have no others."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {name: strict(value) for name, value in schema.items()}
    if isinstance(copy.get("$ref"), str):
        copy["$ref"] = HERE + copy["$ref"].removeprefix(HERE)
    if isinstance(copy.get("properties"), dict) and "additionalProperties" not in copy:
        copy["additionalProperties"] = False
    return copy


class Fields:
    """Which fields of the schemas are described, and which were seen with a value that is not null."""

    def __init__(self, schemas, fits):
        self.schemas, self.fits = schemas, fits
        self.described, self.seen, self.known = set(), set(), set()

    def target(self, name, schema):
        if isinstance(schema, dict) and "$ref" in schema:
            name = schema["$ref"].removeprefix(HERE).removeprefix(SCHEMAS)
            return name, self.schemas[name]
        return name, schema

    def describe(self, name, schema):
        to, schema = self.target(name, schema)
        if to != name:
            if to in self.known:
                return
            self.known.add(to)
        if not isinstance(schema, dict):
            return
        for field, value in schema.get("properties", {}).items():
            self.described.add(f"{to}.{field}")
            self.describe(f"{to}.{field}", value)
        for part in schema.get("oneOf", []) + schema.get("anyOf", []) + schema.get("prefixItems", []):
            self.describe(to, part)
        for part in ("items", "additionalProperties"):
            self.describe(to, schema.get(part))

    def see(self, name, schema, value):
        name, schema = self.target(name, schema)
        if not isinstance(schema, dict):
            return
        for part in schema.get("oneOf", []) + schema.get("anyOf", []):
            if self.fits(part, value):
                self.see(name, part, value)
        if isinstance(value, dict):
            for field, part in schema.get("properties", {}).items():
                if value.get(field) is not None:
                    self.seen.add(f"{name}.{field}")
                    self.see(f"{name}.{field}", part, value[field])
        if isinstance(value, list):
            for one in value:
                self.see(name, schema.get("items"), one)


def described_answer(operation, status):
    content = operation["responses"][status].get("content", {})
    return content.get("application/json", {}).get("schema")


def main():
    asked = json.load(sys.stdin)
    document = asked["document"]
    wrong = [f"document: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    tight = {"components": {"schemas": strict(document["components"]["schemas"])}}
    registry = Registry().with_resource(HERE, Resource(contents=tight, specification=DRAFT202012))

    def errors(schema, value):
        return list(Draft202012Validator(strict(schema), registry=registry).iter_errors(value))

    fields = Fields(tight["components"]["schemas"], lambda schema, value: not errors(schema, value))
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status in operation["responses"]:
                fields.describe(f"{method} {path}", described_answer(operation, status))
    fitting = 0
    for answer in asked["answers"]:
        name = f"{answer['method']} {answer['path']}"
        operation = document["paths"][answer["path"]][answer["method"]]
        known = [status for status in (answer["status"], answer["status"][0] + "XX") if status in operation["responses"]]
        if not known:
            wrong.append(f"{name}: {answer['status']} is not described: {json.dumps(answer['body'])[:300]}")
            continue
        schema = described_answer(operation, known[0])
        if schema is None:
            if answer["body"] is not None:
                wrong.append(f"{name}: {answer['status']} is said to have no JSON")
            continue
        found = errors(schema, answer["body"])
        wrong += [f"{name} at {error.json_path}: {error.message[:300]}" for error in found]
        if not found:
            fields.see(name, schema, answer["body"])
        fitting += not found
    never = set(asked["never"])
    wrong += [f"{field}: no answer shows it" for field in sorted(fields.described - fields.seen - never - set(asked["chance"]))]
    wrong += [f"{field}: is shown after all, or is no field" for field in sorted(never - (fields.described - fields.seen))]
    print("\n".join(wrong) if wrong else f"valid, {fitting} answers fit, {len(fields.seen)} fields were seen")
    sys.exit(bool(wrong))


main()
