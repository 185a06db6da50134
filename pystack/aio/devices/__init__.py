"""Where do packets come from, and where do they go to?

Each device obeys the contract in `drive.device`; docs/devices.md explains it. `tun` is the
kernel's, `callable_device` is over any carrier that has a function to send, `cable` joins two
stacks of one program, `impaired` puts delay, loss and bottlenecks before another device.
`arrivals` is the queue of what waits to be read, for devices in memory.
"""
