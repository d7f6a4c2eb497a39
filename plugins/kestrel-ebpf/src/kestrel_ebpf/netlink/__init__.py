"""What the kernel tells over netlink sockets, decoded from bytes."""
