"""The `pystack` command, with the arguments of this program."""

import sys

from pystack.cli.main import main

sys.exit(main())
