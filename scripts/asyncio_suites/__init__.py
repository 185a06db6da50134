"""Other people's tests of asyncio, run on `pystack.aio.EventLoop`."""
