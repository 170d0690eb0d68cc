"""Prints, as JSON, the actions that AWS's schemas of resource types say their handlers call.

Run by the Python of the environment that has cfn-lint, which ships the schemas: names of types as arguments.
"""

import glob
import json
import sys
from pathlib import Path

import cfnlint

SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas" / "resources"
HANDLERS = ["create", "read", "update", "delete"]

wanted = set(sys.argv[1:])
found = {}
for path in glob.glob(str(SCHEMAS / "*.json")):
    schema = json.loads(Path(path).read_text())
    if schema["typeName"] in wanted:
        handlers = schema.get("handlers", {})
        found[schema["typeName"]] = {
            name: sorted(set(handlers[name]["permissions"])) for name in HANDLERS if name in handlers
        }
missing = wanted - found.keys()
if missing:
    sys.exit(f"the schemas of cfn-lint have no {', '.join(sorted(missing))}")
print(json.dumps(found, indent=2, sort_keys=True))
