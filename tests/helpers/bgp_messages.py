"""BGP messages as FRR 10.3 sent them."""

from ipaddress import ip_network

from lab.routing.update import MARKER
from lab.topology import Prefix

# As FRR 10.3 sent them over a tunnel: three prefixes announced and withdrawn, of each family.
ATTRIBUTES = "400101005002000602010000fde940030 40aff0001800404 00000000".replace(" ", "")
ANNOUNCE4 = MARKER + bytes.fromhex("003f02" + "0000" + "001c" + ATTRIBUTES + "180a8000" + "180a8001" + "180a8002")
WITHDRAW4 = MARKER + bytes.fromhex("002302" + "000c" + "180a8000" + "180a8001" + "180a8002" + "0000")
REACH6 = "900e0030" + "00020110" + "20010db800ff00000000000000000001" + "00"
PREFIXES6 = "4020010db880000001" + "4020010db880000002" + "4020010db880000000"
ATTRIBUTES6 = REACH6 + PREFIXES6 + "40010100" + "5002000602010000fde9" + "80040400000000"
ANNOUNCE6 = MARKER + bytes.fromhex("006002" + "0000" + "0049" + ATTRIBUTES6)
WITHDRAW6 = MARKER + bytes.fromhex("003902" + "0000" + "0022" + "900f001e" + "000201" + PREFIXES6)
KEEPALIVE = MARKER + bytes.fromhex("001304")
END_OF_RIB = MARKER + bytes.fromhex("00170200000000")


def nets(*texts: str) -> frozenset[Prefix]:
    return frozenset(map(ip_network, texts))


THREE4 = nets("10.128.0.0/24", "10.128.1.0/24", "10.128.2.0/24")
THREE6 = nets("2001:db8:8000::/64", "2001:db8:8000:1::/64", "2001:db8:8000:2::/64")
