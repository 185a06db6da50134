"""The TUN device: opened, given addresses, watched, and gone with its descriptor.

`open_tun` makes one, `Tun` is one; `probe` looks whether it can be had. Packets themselves pass
through `pystack.wire.codec` on `Tun.fd`. Used by `aio` and `cli` only.
"""
