"""The GitHub Action is a composite action as GitHub describes it, and its example uses it as it is."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.action import ACTION, action

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "howto" / "ci.md"
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def example() -> dict[str, Any]:
    """Return the workflow on the page that uses the action."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (text,) = (block for block in blocks if "actions/check@" in block)
    found: dict[str, Any] = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - texts only; YAML 1.1 reads `on` as true
    return found


def test_action_has_the_keys_of_a_composite_action() -> None:
    found = action()
    assert found.keys() == {"name", "description", "inputs", "outputs", "runs"}
    assert found["runs"].keys() == {"using", "steps"}
    assert found["runs"]["using"] == "composite"
    for step in found["runs"]["steps"]:
        assert step.keys() <= {"name", "id", "if", "shell", "env", "run", "uses", "with"}
        assert ("run" in step) != ("uses" in step)
        assert ("run" in step) == ("shell" in step)  # a composite action has no default shell


def test_each_input_is_described_and_used() -> None:
    found = action()
    for name, given in found["inputs"].items():
        assert given.keys() <= {"description", "required", "default"}, name
        assert given["description"].endswith("."), name
        assert given.get("required") is True or isinstance(given["default"], str), name
        assert f"`{name}`" in PAGE.read_text(), f"{name} is not documented"
    used = {name for text in _EXPRESSION.findall(ACTION.read_text()) if (name := text.removeprefix("inputs.")) != text}
    assert used == found["inputs"].keys()


def test_outputs_are_those_of_a_step() -> None:
    found = action()
    steps = {step["id"]: step for step in found["runs"]["steps"] if "id" in step}
    for name, given in found["outputs"].items():
        match = re.fullmatch(r"steps\.(\w+)\.outputs\.(\w+)", _EXPRESSION.fullmatch(given["value"])[1])  # type: ignore[index]
        assert match
        assert f'echo "{match[2]}=' in steps[match[1]]["run"], name


def test_scripts_have_no_expressions_and_are_valid() -> None:
    for step in action()["runs"]["steps"]:
        if "run" in step:
            assert not _EXPRESSION.search(step["run"])  # a value could be a command
            subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)


def test_foreign_actions_are_pinned() -> None:
    for step in action()["runs"]["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])


def test_example_is_short_and_gives_inputs_that_exist() -> None:
    workflow = example()
    assert workflow["on"] == "push"
    (job,) = workflow["jobs"].values()
    (step,) = (step for step in job["steps"] if "actions/check@" in step["uses"])
    assert step["uses"].partition("@")[0].endswith(f"/{ACTION.parent.relative_to(ROOT)}")
    required = {name for name, given in action()["inputs"].items() if given.get("required")}
    assert required <= step["with"].keys() <= action()["inputs"].keys()


@pytest.mark.parametrize("word", ["page.html", "junit.xml"])
def test_results_are_kept(word: str) -> None:
    (keep,) = (step for step in action()["runs"]["steps"] if "upload-artifact" in step.get("uses", ""))
    assert keep["if"] == "${{ always() }}"
    assert keep["with"]["path"] == "${{ inputs.results }}"
    assert f'"$RESULTS/{word}"' in ACTION.read_text()
