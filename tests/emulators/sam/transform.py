#!/usr/bin/env python3
"""Prints template.yaml as CloudFormation sees it, in JSON: after the SAM transform, with the state machine's definition inside.

    target/sam/bin/python tests/emulators/sam/transform.py [template.yaml]

Where a zip would be uploaded to, CodeUri is left as s3://local/<path below the checkout>.
"""

import json
import os
import pathlib
import sys

# The transform asks the SDK for a Region and asks AWS for nothing.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[3]


def with_local_files(template):
    """What `sam deploy` would upload is named, or put in place."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties["CodeUri"] = "s3://local/" + properties["CodeUri"]
        if resource["Type"] == "AWS::Serverless::StateMachine":
            properties["Definition"] = json.loads((ROOT / properties.pop("DefinitionUri")).read_text())
    return template


def main(path):
    template = with_local_files(yaml_parse(path.read_text()))
    # The parser fills in every parameter that has a default; the others stay references.
    parameters = {name: said["Default"] for name, said in template["Parameters"].items() if "Default" in said}
    translated = Translator({}, Parser()).translate(template, parameters)
    json.dump(translated, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "template.yaml")
