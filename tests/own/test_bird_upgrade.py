"""Configurations of BIRD 1.6, translated: BIRD 2 and 3 accept them."""

from pathlib import Path, PurePosixPath

import pytest

from lab.configs.bird.upgrade import upgrade
from lab.configs.disk import Disk
from lab.image import VERSIONS
from tests.helpers.scripts import run_script

pytestmark = pytest.mark.docker

SAMPLES = Path(__file__).parents[1] / "data" / "configs" / "bird1"
PROGRAMS = ("/usr/sbin/bird", "/opt/bird3/usr/sbin/bird")
MORE = """
log "/var/log/bird.log" { debug, trace, info, remote, warning, error, auth, fatal, bug };
define ours = [ 172.20.0.0/14{21,29}, 10.0.0.0/8{15,24} ];
table peers;
function is_ours() { return net ~ ours; }
filter into int depth; {
  depth = 3; if bgp_path.len > depth then reject;
  if is_ours() then { bgp_local_pref = 200; accept; } reject; }
protocol device { }
protocol direct { interface "eth*", "lo"; }
protocol pipe { table master4; peer table peers; import none; export all; }
template bgp common {
  local as 65001; import filter into; export where source ~ [ RTS_STATIC, RTS_BGP ]; import limit 100 action block; }
protocol bgp one from common { neighbor 10.8.0.2 as 65002; password "secret"; start delay time 2; gateway direct; }
protocol rip { import all; export none; interface "tun*" { mode multicast; }; }
protocol static { route 10.1.0.0/16 multipath via 10.8.0.2 weight 2 via 10.8.0.3; check link; }
"""


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("case", ["sample", "more"])
def test_bird_accepts_the_translation(tmp_path: Path, program: str, case: str) -> None:
    if case == "sample":
        files, disk = [(PurePosixPath("/bird.conf"), False), (PurePosixPath("/bird6.conf"), True)], Disk(SAMPLES)
    else:
        (tmp_path / "old.conf").write_text(MORE)
        files, disk = [(PurePosixPath("/old.conf"), False)], Disk(tmp_path)
    text = upgrade(files, disk).text
    parsed = run_script(VERSIONS[0], f"{program} -p -c /files/bird.conf 2>&1", {"bird.conf": text.encode()})
    assert not parsed.failed, f"{parsed.stdout}\n{text}"
