"""What instances' ports may send and receive: security groups and anti-spoofing by nftables."""
