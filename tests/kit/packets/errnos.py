"""`with fails_with(errno.EADDRINUSE): …`: a call must raise OSError with that number."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fails_with(*numbers: int) -> Iterator[None]:
    wanted = " or ".join(errno.errorcode[number] for number in numbers)
    try:
        yield
    except OSError as failure:
        if failure.errno not in numbers:
            raise AssertionError(f"{failure} instead of {wanted}") from failure
    else:
        raise AssertionError(f"no error, should be {wanted}")
