"""What the scripts say to --help, as files: a fresh clone shows them before it is set up.

`commands` has those of the commands of `scripts/pystack`."""
