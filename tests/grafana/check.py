"""Loads dashboards through the types that Grafana publishes (its foundation SDK, generated from Grafana's schema).

A fault is: a key that the types do not know (they drop it, so a misspelled option is one), a value that does not come back as it
was, and a value of another type than the schema says. What belongs to a plugin and has no published type (the queries of InfluxDB,
the target of an annotation) is left out: the test that runs those queries judges them.
"""
import enum
import json
import sys
import types
import typing

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

# Grafana reads more of these than the types tell.
UNTYPED = {"target"}


def lost(ours, theirs, path, faults):
    """Everything of ours must be in theirs."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in UNTYPED:
                continue
            if key not in theirs:
                # An empty value and its absence are one to Grafana.
                if value not in (None, "", [], {}):
                    faults.append(f"{path}.{key} is not known to Grafana's types")
                continue
            lost(value, theirs[key], f"{path}.{key}", faults)
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            faults.append(f"{path} has {len(ours)} entries and comes back with {len(theirs)}")
        for n, (mine, back) in enumerate(zip(ours, theirs)):
            lost(mine, back, f"{path}[{n}]", faults)
    elif ours != theirs:
        faults.append(f"{path} is {ours!r} and comes back as {theirs!r}")


def fits(value, hint, hints):
    """Whether a value is of a type."""
    origin = typing.get_origin(hint)
    if hint is typing.Any or hint is object:
        return True
    if isinstance(hint, str):
        hint = hints.get(hint, object)
        return fits(value, hint, hints)
    if isinstance(hint, typing.ForwardRef):
        return fits(value, hint.__forward_arg__, hints)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one, hints) for one in typing.get_args(hint))
    if origin is list:
        return isinstance(value, list) and all(fits(one, typing.get_args(hint)[0], hints) for one in value)
    if origin is dict:
        return isinstance(value, dict)
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if not isinstance(hint, type):
        return True
    if issubclass(hint, enum.Enum):
        return value in [one.value for one in hint] or value in list(hint)
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        # The types leave some parts as they were read.
        back = json.loads(json.dumps(hint.from_json(value), cls=JSONEncoder))
        return all(key in back for key in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def mistyped(thing, path, faults, seen):
    """Every attribute must be what its class declares."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, list):
        for n, one in enumerate(thing):
            mistyped(one, f"{path}[{n}]", faults, seen)
        return
    if not type(thing).__module__.startswith("grafana_foundation_sdk.models"):
        return
    hints = vars(sys.modules[type(thing).__module__])
    for name, hint in getattr(type(thing), "__annotations__", {}).items():
        value = getattr(thing, name, None)
        if value is None:
            continue
        if not fits(value, hint, hints):
            faults.append(f"{path}.{name} is {value!r}, which is no {hint}")
        mistyped(value, f"{path}.{name}", faults, seen)


def check(path):
    with open(path, encoding="utf-8") as file:
        ours = json.load(file)
    loaded = dashboard.Dashboard.from_json(ours)
    theirs = json.loads(json.dumps(loaded, cls=JSONEncoder))
    faults = []
    lost(ours, theirs, ours["uid"], faults)
    mistyped(loaded, ours["uid"], faults, set())
    return faults


def main():
    plugins.register_default_plugins()
    if len(sys.argv) < 2:
        sys.exit("usage: check.py DASHBOARD.json ...")
    faults = [fault for path in sys.argv[1:] for fault in check(path)]
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


main()
