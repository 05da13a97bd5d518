"""The GitHub workflow in the documentation that measures the shards of a plan."""

import re
from pathlib import Path

import yaml

from lab.measure.shard import Shard
from lab.measure.trials.plan import Plan
from lab.measure.trials.recording import plan_settings

PAGE = Path(__file__).parents[3] / "docs/howto/measure.md"


def test_workflow_measures_each_shard_of_its_plan_once() -> None:
    (text,) = re.findall(r"```yaml\n(on: .*?)```", PAGE.read_text(), re.DOTALL)
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["report"]["needs"] == "measure"
    shards = jobs["measure"]["strategy"]["matrix"]["shard"]
    (command,) = [step["run"] for step in jobs["measure"]["steps"] if "lab measure" in step.get("run", "")]
    found = re.fullmatch(
        r"sudo \.venv/bin/lab measure (\S+) --shard \$\{\{ matrix\.shard \}\}/(\d+) --out run", command
    )
    assert found is not None
    plan, count = Plan.read(found[1]), int(found[2])
    assert shards == list(range(1, count + 1))
    blocks = [
        {block.number for setting in plan_settings(plan, Shard(n, count)) for block in setting.blocks} for n in shards
    ]
    assert sum(map(len, blocks)) == len(set().union(*blocks)) == max(set().union(*blocks))
