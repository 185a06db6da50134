"""How are the standard streams written, read and laid out?

`output` writes lines, and says what becomes of them when nothing can be written. `colours` paints
where colour can be seen, `width` is the number of columns. `call_thread` makes calls that may
block, such as reading a terminal, beside the event loop.
"""
