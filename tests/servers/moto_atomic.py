"""moto's server, in which creating an object that must be absent is one step.

moto looks whether there is such an object and stores it afterwards, in threads that do not wait for
each other (``put_object`` in moto/s3/responses.py): now and then two who create the same object at
once are both told that they did, which S3 never tells. Here one at a time asks it for that.

Run as: python -P moto_atomic.py PORT
"""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class OneCreatorAtATime:
    """An application whose conditional requests wait for each other."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ or environ["REQUEST_METHOD"] == "GET":
            return self._application(environ, start_response)
        # Received before the others have to wait: a client may be slow, or break off.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with self._lock:
            return self._application(environ, start_response)


if __name__ == "__main__":
    run_simple(
        "127.0.0.1",
        int(sys.argv[1]),
        OneCreatorAtATime(DomainDispatcherApplication(create_backend_app)),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
