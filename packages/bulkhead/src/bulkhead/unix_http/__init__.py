"""HTTP over a unix socket, for the services that hold what is dangerous: a strict server, and a client.

Python's own ``http.server`` does the parsing. What it would let pass is refused here: bodies of unknown length,
upgrades, a length that is said twice, headers without end, requests that take for ever to arrive. Each connection
carries one request. Needs the standard library alone.
"""

from bulkhead.unix_http.client import Client, UnixConnection
from bulkhead.unix_http.messages import Refusal, Request, Response, segments
from bulkhead.unix_http.server import Server

__all__ = ["Client", "Refusal", "Request", "Response", "Server", "UnixConnection", "segments"]
