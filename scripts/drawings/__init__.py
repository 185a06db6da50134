"""The pictures in docs/pictures: what `scripts/pictures` draws, and from which figures."""
