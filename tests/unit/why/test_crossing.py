"""Which outer packets carry the inner ones."""

import pytest

from lab.why.crossing import carriers


@pytest.mark.parametrize(
    ("sizes", "transport", "carrying"),
    [
        ((390, 390, 390), "udp", (390, 390, 390)),
        ((390, 361, 390, 412, 390), "udp", (390, 390, 390)),
        ((390, 390), "udp", (390, 390)),
        ((390, 361), "udp", ()),
        ((1300, 196, 1300, 196, 1300, 196), "udp", (1300, 196, 1300, 196, 1300, 196)),
        ((1100,), "tcp", (1100,)),
        ((385, 385, 385), "tcp", (385, 385, 385)),
        ((410,), "tcp", ()),
        ((), "udp", ()),
        ((), "tcp", ()),
    ],
)
def test_packets_of_one_size_make_outer_packets_of_one_size(
    sizes: tuple[int, ...], transport: str, carrying: tuple[int, ...]
) -> None:
    assert carriers(sizes, 333, transport) == carrying
