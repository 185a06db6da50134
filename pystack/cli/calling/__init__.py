"""How is a command called, and how does it end?

`device_options` has the options that say which device to make, and opens the stack that follows
from them; `number` is a type of option. `examples` writes the examples of a command's help.
`until_stopped` runs a command's coroutine until it ends or a signal stops it; `failures` turns
every expected failure into one line and a status.
"""
