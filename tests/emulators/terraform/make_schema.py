#!/usr/bin/env python3
"""Writes aws-schema.json: the shape of those resource and data types of the AWS provider that infra/ uses.

    npm pack @cdktf/provider-aws@21.22.1 && tar -xzf cdktf-provider-aws-21.22.1.tgz
    python3 tests/emulators/terraform/make_schema.py package

That package (Mozilla Public License 2.0) is generated from the schema of hashicorp/aws 6.25.0. Its source maps carry, for
every argument, whether it is required, optional or computed, and its type. Only these facts are taken from it.
Run it again when infra/ begins to use another type.
"""

import base64
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
INFRA = HERE.parents[2] / "infra"

ARGUMENT = re.compile(r"^  // (\S+) - computed: (\w+), optional: (\w+), required: (\w+)$", re.M)
CLASS = re.compile(r"^export class (\w+) extends (\S+)", re.M)
NESTED = re.compile(r'private _\w+ = new (cdktf\.)?(\w+)\(this, "[^"]+"(?:, (true|false))?')
USED = re.compile(r'^(resource|data) "(aws_\w+)"', re.M)

# What the generated code calls to read an argument, and the type that this gives away.
READERS = [
    ("getStringMapAttribute", ["map", "string"]),
    ("getNumberMapAttribute", ["map", "number"]),
    ("getBooleanMapAttribute", ["map", "bool"]),
    ("tolist(this.getListAttribute", ["set", "string"]),
    ("tolist(this.getNumberListAttribute", ["set", "number"]),
    ("getListAttribute", ["list", "string"]),
    ("getNumberListAttribute", ["list", "number"]),
    ("getStringAttribute", "string"),
    ("getNumberAttribute", "number"),
    ("getBooleanAttribute", "bool"),
]
MAPS = {"StringMap": ["map", "string"], "NumberMap": ["map", "number"], "BooleanMap": ["map", "bool"]}


def typescript(path):
    """The generated TypeScript, from the source map at the end of its compiled form."""
    found = re.search(r"sourceMappingURL=data:application/json;(?:charset=utf-8;)?base64,(\S+)", path.read_text())
    return json.loads(base64.b64decode(found.group(1)))["sourcesContent"][0]


def classes(source):
    """Each class by name: what it extends, and the text of its body."""
    found = list(CLASS.finditer(source))
    ends = [match.start() for match in found[1:]] + [len(source)]
    return {match.group(1): (match.group(2), source[match.end() : end]) for match, end in zip(found, ends)}


def block(known, name):
    """A block: its arguments by name, and the blocks inside it."""
    attributes, blocks = {}, {}
    body = known[name][1]
    found = list(ARGUMENT.finditer(body))
    ends = [match.start() for match in found[1:]] + [len(body)]
    for match, end in zip(found, ends):
        argument, text = match.group(1), body[match.end() : end]
        computed, optional, required = (word == "true" for word in match.groups()[1:])
        flags = {"computed": computed, "optional": optional, "required": required}
        inner = NESTED.search(text)
        if inner and not inner.group(1):
            many = inner.group(2).endswith("List")
            kind = inner.group(2).removesuffix("List") + "OutputReference" if many else inner.group(2)
            if computed and not optional and not required:
                attributes[argument] = {"type": "dynamic", **flags}
                continue
            mode = "single" if argument == "timeouts" else "set" if inner.group(3) == "true" else "list"
            blocks[argument] = {"mode": mode, "min": int(required), "block": block(known, kind)}
            continue
        kind = MAPS.get(inner.group(2), "dynamic") if inner else None
        if kind is None:
            kind = next((kind for reader, kind in READERS if reader in text), "dynamic")
        attributes[argument] = {"type": kind, **flags}
    return {"attributes": attributes, "blocks": blocks}


def folder_of(kind):
    """Where the package keeps a type: aws_s3_bucket is in lib/s3-bucket."""
    return kind.removeprefix("aws_").replace("_", "-")


def main(package):
    lib = pathlib.Path(package) / "lib"
    used = {match for path in sorted(INFRA.rglob("*.tf")) for match in USED.findall(path.read_text())}
    written = {"provider": "hashicorp/aws", "version": "6.25.0", "resource": {}, "data": {}}
    for what, kind in sorted(used):
        folder = lib / (("data-aws-" if what == "data" else "") + folder_of(kind))
        known = classes(typescript(folder / "index.js"))
        base = "cdktf.TerraformDataSource" if what == "data" else "cdktf.TerraformResource"
        top = next(name for name, (extends, _) in known.items() if extends == base)
        shape = block(known, top)
        shape["attributes"].setdefault("id", {"type": "string", "computed": True, "optional": False, "required": False})
        written[what][kind] = shape
    (HERE / "aws-schema.json").write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
    print(f"{len(written['resource'])} resources, {len(written['data'])} data sources")


if __name__ == "__main__":
    main(sys.argv[1])
