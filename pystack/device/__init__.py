"""How is a TUN device made, followed and removed? Linux only; `aio` and `cli` use it.

`tun` opens the device and gives it addresses; `addresses` pairs ours with the kernel's. `link` asks
the kernel by rtnetlink, `link_watch` follows the link, `link_state` is what it tells. `netns` calls
a function in another network namespace. `linux`, `rights` and `probe` say what is missing, before
something fails; `kernel` has the numbers of the kernel's headers.
"""
