interfaces {
    ethernet eth0 {
        address 192.0.2.10/24
        description "to the Internet"
    }
    openvpn vtun0 {
        authentication {
            password "not a real one"
            username branch
        }
        encryption {
            cipher aes256
        }
        mode client
        protocol tcp-active
        remote-host 192.0.2.1
        remote-port 443
        tls {
            ca-cert-file /config/auth/ca.crt
        }
    }
}
protocols {
    bgp 64503 {
        address-family {
            ipv6-unicast {
                network 2001:db8:3::/48 {
                }
            }
        }
        neighbor fe80::1 {
            address-family {
                ipv6-unicast {
                }
            }
            interface {
                source-interface vtun0
            }
            remote-as 64500
        }
        neighbor 10.8.0.1 {
            ebgp-multihop 2
            remote-as 64500
        }
    }
}
system {
    host-name branch
    /* a comment
       on two lines */
}


// Warning: Do not remove the following line.
// vyos-config-version: "bgp@1:openvpn@3"
// Release version: 1.3.4
