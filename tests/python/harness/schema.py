"""Validates every message against the published documents, as a client generated from them would."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

DOCS = Path(__file__).resolve().parents[3] / "docs"


@cache
def _definitions():
    return json.loads((DOCS / "schema.json").read_text())["$defs"]


@cache
def _validator(name):
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": _definitions()})


@cache
def _results():
    """The name of each method's result schema, from openrpc.json."""
    methods = json.loads((DOCS / "openrpc.json").read_text())["methods"]
    return {method["name"]: method["result"]["schema"]["$ref"].rsplit("/", 1)[1] for method in methods}


@cache
def _notifications():
    described = json.loads((DOCS / "openrpc.json").read_text())["x-notifications"]
    return {one["name"]: one["params"] for one in described}


@cache
def notification_names():
    return set(_notifications())


def check_request(message):
    _validator("ClientMessage").validate(message)


def check_message(message, method=None):
    """Validates a message of the server; `method` is the method of the request that it answers, if any."""
    _validator("ServerMessage").validate(message)
    if "result" in message and method:
        _validator(_results()[method]).validate(message["result"])
    if "method" in message:
        assert message["method"] in notification_names(), message
