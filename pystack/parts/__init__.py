"""The parts of TCP that can be replaced: their names, where they come from, whose fault one is."""
