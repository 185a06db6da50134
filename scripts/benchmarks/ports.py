"""What client and server have agreed upon."""

SINK = 9001  # takes octets to the end, then answers with their number (8 octets, big endian)
SOURCE = 9002  # sends octets until the client has closed its half
ECHO = 9003
ONCE = 9004  # answers MESSAGE octets with as many, and closes
WEB = 9005  # what a library serves
ORIGIN = 9006  # HTTP for the libraries' clients: `GET /N` is answered with N octets

MESSAGE = 64  # octets of a request, and of its response
