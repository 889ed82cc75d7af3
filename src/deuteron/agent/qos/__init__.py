"""What ports are held to: bandwidth by tc, packet rates and marks by nftables."""
