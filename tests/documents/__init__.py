"""README.md and docs/: that what they show can be had, and their pictures are what is drawn."""
