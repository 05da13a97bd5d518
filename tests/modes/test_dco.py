"""The mode dco on a kernel without DCO; tests/kernel has the tests with it."""

import os

import pytest

from lab.catalogue import load
from lab.core.errors import NotSupported
from lab.engine import open_engine
from lab.host.doctor import probe_kernel
from lab.runtime.lab import Lab

pytestmark = [pytest.mark.docker, pytest.mark.variants]

SWITCHED = {"mode": "dco"}


def test_kernel_without_dco_is_not_supported_and_leaves_nothing() -> None:
    name = f"no-dco-{os.getpid()}"
    engine = open_engine()
    topology = load("tap-hub", name=name, openvpn="2.7", tunnel=SWITCHED)
    features = probe_kernel()
    if isinstance(features, str) or features["ovpn"] is None:
        pytest.skip("this kernel has ovpn devices")
    with pytest.raises(NotSupported, match="mode dco") as refusal:
        Lab.deploy(topology, engine=engine)
    assert refusal.value.feature == "ovpn"
    assert engine.find(name) == []
