"""How do the programs behind the scripts begin, end, and show what they found?

`ending` starts a program, so that Ctrl-C has its line from the first moment on; `until_ended` runs
it and makes a status of its end. `child_program` talks with a program in another namespace,
`pytest_run` runs pytest. `tables` prints results and writes them to files.
"""
