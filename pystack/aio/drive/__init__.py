"""What drives a host on an event loop: packets in and out, and the time."""
