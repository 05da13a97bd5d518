"""Configurations that a user could bring, for tests that need any."""

FRR_CONF = """\
frr defaults traditional
log file /var/log/quagga/bgpd.log
router bgp 65001
 bgp router-id 192.0.2.1
 neighbor 10.255.0.2 remote-as 65002
 neighbor 10.255.0.2 password s3cret
 neighbor 192.0.2.77 remote-as 65077
 neighbor 198.51.100.9 remote-as 65009
 neighbor 198.51.100.9 shutdown
 address-family ipv4 unicast
  network 10.1.0.0/24
 exit-address-family
exit
"""
SERVER = """port 1194
dev tun
ca ca.crt
cert server.crt
key server.key
dh none
topology subnet
server 10.8.0.0 255.255.255.0
server-ipv6 2001:db8:8::/64
client-config-dir ccd
"""
CLIENT = """client
dev tun
remote 192.0.2.1 1194
nobind
ca ca.crt
cert branch.crt
key branch.key
"""
