"""What packets come from and go to: a TUN device, a cable in memory, faults in between."""
