"""The facts about its images that the lab uses when it reads the user's files."""

import pytest

from lab.own.overrides import GROUPS, USERS
from lab.own.scripts import LACKING
from lab.runtime.lab import Lab

pytestmark = [pytest.mark.docker, pytest.mark.topology("p2p-tls")]


def test_users_and_groups_are_those_of_the_image(lab: Lab) -> None:
    hq = lab.host("hq")
    for table, known in (("passwd", USERS), ("group", GROUPS)):
        there = {line.partition(":")[0] for line in hq.exec("cat", f"/etc/{table}").stdout.splitlines()}
        assert there == known


def test_programs_that_scripts_are_told_to_lack_are_not_there(lab: Lab) -> None:
    find = 'for name in "$@"; do command -v "$name"; done; command -v ip'
    assert lab.host("hq").exec("sh", "-c", find, "sh", *LACKING).stdout.splitlines() == ["/usr/sbin/ip"]
