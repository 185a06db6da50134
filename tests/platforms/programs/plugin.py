"""pytest with the plugin, and no other one, on the folder that is given."""

import os
import sys

import pytest

# other plugins, and pytest itself, have other ways elsewhere that look for what is not here
WITHOUT = ("-p", "no:faulthandler", "-p", "no:cacheprovider", "--capture=sys")
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

sys.exit(pytest.main(["-q", "-p", "pystack.testing.pytest_plugin", *WITHOUT, *sys.argv[1:]]))
