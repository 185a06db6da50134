"""Addresses and ports that the programs have agreed upon.

pystack's device lies in the near namespace, whose kernel is the other sender and forwards
pystack's packets to the relay; the receiving kernel has the far one.
"""

SENDER_DEVICE = "tun0"
OURS, PREFIX = "198.18.0.2", 24
NEAR, FAR = "198.18.1.1", "198.19.0.1"  # the kernels' ends of the relay
NEAR_NETWORK, FAR_NETWORK = "198.18.0.0/16", "198.19.0.0/24"
PORT = 9001
SLOT_MS = 50  # the receiver counts octets by slots of time
