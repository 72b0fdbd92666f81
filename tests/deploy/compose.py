"""Checks a compose file against the compose specification and prints it as JSON, anchors and merges resolved.

compose.py FILE
"""
import json
import sys

import compose_spec
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
resolved = yaml.safe_load(text)
extensions = [key for key in resolved if key.startswith("x-")]
for key in extensions:
    del resolved[key]
spec = compose_spec.PyCompose.from_yaml(yaml.safe_dump(resolved))
spec.validate()
spec.to_spec()
json.dump(resolved, sys.stdout)
