"""What moves packets between a host and a device, and keeps the time?

`device` is the contract of a device. `driver` is what transports and servers know of a driver,
`device_driver` the one that moves packets between a host, a device and a loop; `device_writer`
keeps what a full device did not take. `alarm` rings at a time, exactly; `capture` writes the
packets of a driver to a file.
"""
