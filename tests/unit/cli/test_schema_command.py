"""`lab schema`: the schema on stdout, by name."""

import json

from tests.helpers.paper import Program


def test_schema_prints_that_of_topologies_by_default(lab: Program) -> None:
    result = lab("schema")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert lab("schema", "topology").stdout == result.stdout


def test_schema_prints_that_of_checks(lab: Program) -> None:
    result = lab("schema", "checks")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)["properties"].keys() == {"within", "expect", "steps"}


def test_schema_refuses_unknown_name_and_lists_the_known(lab: Program) -> None:
    result = lab("schema", "toplogy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "lab: unknown schema 'toplogy': give one of topology, checks\n"
