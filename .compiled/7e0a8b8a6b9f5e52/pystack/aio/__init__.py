"""asyncio on top of the socket calls: the one room that awaits.

`Stack` is a host with a device and a loop; `Transport` and `Server` are what asyncio's users
know; `Driver` moves packets and keeps the time.
"""
