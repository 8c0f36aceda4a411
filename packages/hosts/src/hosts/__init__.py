"""Joins further hosts to the first one.

A host opens connections to the first one, and needs no open port itself. At its end is the *link*, at the other the
*gateway*; they know each other by the host's secret (TLS 1.3 with a pre-shared key, :mod:`hosts.tls`). Each connection
begins with a line that says what it is for:

``api``        the host's worker asks Airflow's API server, what :mod:`hosts.proxy` lets pass
``registrar``  a step's task asks the registrar
``launcher``   none yet: it waits until somebody on the first host asks the host's launcher (:mod:`hosts.waiting_room`)

After that line bytes go both ways (:mod:`hosts.pipes`).
"""

API, REGISTRAR, LAUNCHER = b"api\n", b"registrar\n", b"launcher\n"
PORT = 8443
"""Of the gateway, in its container."""
API_PORT = 8080
"""Of the link, in its container: what the worker takes for Airflow's API server."""
TAKEN, TAKES = b"\x01", b"!"
"""How a waiting connection is taken: what the gateway says, and what the link answers."""
ALIVE = b"."
"""What the link says on a waiting connection, every :data:`ALIVE_SECONDS`."""
ALIVE_SECONDS = 5.0
