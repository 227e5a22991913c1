"""moto with corrections, on a free port of the loopback.

Prints its address once it takes calls, and ends when its input is closed, so that it never outlives the test that
started it. Besides AWS it answers POST /holdfast/clock?advance=SECONDS, which moves its clock forward, and
POST /holdfast/indexes?frozen=1 (or 0), which holds the indexes of tables as they are.
"""

import os
import socket
import sys
import threading
from urllib.parse import parse_qs

listening = socket.create_server(("127.0.0.1", 0))
port = listening.getsockname()[1]
# Read by moto when it is loaded: parts of it call the server itself.
os.environ["MOTO_PORT"] = str(port)

import clock  # noqa: E402
import corrections  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402


class Quiet(MotoRequestHandler):
    """Does not write a line for each request."""

    def log_request(self, *_):
        pass


class Front:
    """Takes what is meant for the emulator itself; the rest is AWS."""

    def __init__(self, aws):
        self.aws = aws

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"].startswith("/holdfast/") and environ["REQUEST_METHOD"] == "POST":
            wishes = parse_qs(environ.get("QUERY_STRING", ""))
            if environ["PATH_INFO"] == "/holdfast/clock":
                clock.advance(float(wishes["advance"][0]))
            elif environ["PATH_INFO"] == "/holdfast/indexes":
                corrections.freeze_indexes(wishes["frozen"][0] == "1")
            else:
                start_response("404 Not Found", [])
                return [b""]
            start_response("204 No Content", [])
            return [b""]
        refusal = corrections.refuse(environ)
        if refusal is not None:
            status, body = refusal
            start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body]
        return self.aws(environ, start_response)


def end_with_input():
    sys.stdin.buffer.read()
    os._exit(0)


clock.install()
corrections.install()
server = make_server(
    "127.0.0.1",
    port,
    Front(DomainDispatcherApplication(create_backend_app)),
    threaded=True,
    request_handler=Quiet,
    fd=listening.fileno(),
)
threading.Thread(target=end_with_input, daemon=True).start()
print(f"http://127.0.0.1:{port}", flush=True)
server.serve_forever()
