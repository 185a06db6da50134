"""What the scripts say to --help, as files: a fresh clone shows them before it is set up."""
