#!/usr/bin/env python3
"""A provider that knows the shape of hashicorp/aws and nothing else.

With it the real Terraform validates, plans and tests infra/ offline: an argument that does not exist, a missing one, a wrong
type, a reference to nothing are found. What it cannot find: values that AWS refuses, arguments that exclude each other, and
minimum or maximum numbers of blocks beyond "required". Planning makes every computed argument unknown; applying makes it up.
"""

import json
import pathlib
import sys

import msgpack
import tf.provider
import tf.runner
from tf.gen import tfplugin_pb2 as wire
from tf.gen import tfplugin_pb2_grpc as service

SHAPES = json.loads((pathlib.Path(__file__).resolve().parent / "aws-schema.json").read_text())
UNKNOWN = msgpack.ExtType(0, b"\x00")
NESTING = {"single": 1, "list": 2, "set": 3}


def optional(kind):
    return {"type": kind, "required": False, "optional": True, "computed": False}


def many(**attributes):
    return {"mode": "list", "min": 0, "block": {"attributes": attributes, "blocks": {}}}


# What infra/providers.tf may say.
PROVIDER = {
    "attributes": {"region": optional("string"), "profile": optional("string")},
    "blocks": {
        "default_tags": many(tags=optional(["map", "string"])),
        "assume_role": many(role_arn=optional("string"), external_id=optional("string")),
    },
}

# What data sources answer, where the answer matters.
ANSWERS = {
    "aws_caller_identity": {"account_id": "111122223333"},
    "aws_partition": {"partition": "aws", "dns_suffix": "amazonaws.com"},
}


def to_wire(block, in_set=False):
    """The shape of a block as the plugin protocol spells it. Inside a set nothing may be of a type yet to be known."""
    spelt = wire.Schema.Block()
    for name, attribute in block["attributes"].items():
        kind = "string" if in_set and attribute["type"] == "dynamic" else attribute["type"]
        required = attribute["required"]
        spelt.attributes.add(
            name=name,
            type=json.dumps(kind).encode(),
            required=required,
            optional=attribute["optional"] and not required,
            computed=attribute["computed"] and not required,
        )
    for name, nested in block["blocks"].items():
        mode = nested["mode"]
        added = spelt.block_types.add(type_name=name, nesting=NESTING[mode], min_items=0 if mode == "single" else nested["min"])
        added.block.CopyFrom(to_wire(nested["block"], in_set or mode == "set"))
    return spelt


def schema(block):
    return wire.Schema(version=0, block=to_wire(block))


def decode(value):
    if value.msgpack:
        return msgpack.unpackb(value.msgpack, raw=False, strict_map_key=False, ext_hook=msgpack.ExtType)
    return json.loads(value.json or b"null")


def encode(value):
    return wire.DynamicValue(msgpack=msgpack.packb(value, use_bin_type=True))


def made_up(name, kind):
    """A value for what only AWS would know."""
    if kind == "string":
        return f"arn:aws:made-up:::{name}" if name.endswith("arn") else f"made-up-{name}"
    if kind == "number":
        return 0
    if kind == "bool":
        return False
    if kind == "dynamic":
        return [b'"string"', "made-up"]
    return {} if kind[0] == "map" else []


def complete(value, block, make):
    """Fills in what is computed and not said, with what `make` gives for its name and type."""
    if not isinstance(value, dict):
        return value
    for name, attribute in block["attributes"].items():
        present = value.get(name)
        if attribute["computed"] and (present is None or isinstance(present, msgpack.ExtType)):
            value[name] = make(name, attribute["type"])
    for name, nested in block["blocks"].items():
        present = value.get(name)
        if isinstance(present, list):
            value[name] = [complete(one, nested["block"], make) for one in present]
        elif isinstance(present, dict):
            value[name] = complete(present, nested["block"], make)
    return value


def unknown(_name, _kind):
    return UNKNOWN


class Provider(service.ProviderServicer):
    """The calls that Terraform makes, in the order in which it makes them."""

    def __init__(self, _provider=None):
        pass

    def GetProviderSchema(self, _request, _context):
        answer = wire.GetProviderSchema.Response()
        answer.provider.CopyFrom(schema(PROVIDER))
        for kind, shape in SHAPES["resource"].items():
            answer.resource_schemas[kind].CopyFrom(schema(shape))
        for kind, shape in SHAPES["data"].items():
            answer.data_source_schemas[kind].CopyFrom(schema(shape))
        return answer

    def ValidateProviderConfig(self, _request, _context):
        return wire.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, _request, _context):
        return wire.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, _request, _context):
        return wire.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, _request, _context):
        return wire.ConfigureProvider.Response()

    def UpgradeResourceState(self, request, _context):
        return wire.UpgradeResourceState.Response(upgraded_state=wire.DynamicValue(json=request.raw_state.json))

    def ReadResource(self, request, _context):
        return wire.ReadResource.Response(new_state=request.current_state)

    def ReadDataSource(self, request, _context):
        read = complete(decode(request.config), SHAPES["data"][request.type_name], made_up)
        read.update(ANSWERS.get(request.type_name, {}))
        return wire.ReadDataSource.Response(state=encode(read))

    def PlanResourceChange(self, request, _context):
        proposed = decode(request.proposed_new_state)
        planned = complete(proposed, SHAPES["resource"][request.type_name], unknown)
        return wire.PlanResourceChange.Response(planned_state=encode(planned))

    def ApplyResourceChange(self, request, _context):
        planned = decode(request.planned_state)
        made = complete(planned, SHAPES["resource"][request.type_name], made_up)
        return wire.ApplyResourceChange.Response(new_state=encode(made))

    def StopProvider(self, _request, _context):
        return wire.StopProvider.Response()


class Name:
    """What the runner asks a provider for."""

    def full_name(self):
        return "registry.terraform.io/hashicorp/aws"


if __name__ == "__main__":
    # The runner serves the class that this module names; ours answers the protocol itself.
    tf.provider.ProviderServicer = Provider
    tf.runner.run_provider(Name(), sys.argv)
