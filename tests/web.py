"""A real web server on this machine for the tests: range requests, and connections that break on purpose."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server holds and how it behaves; `requests` are the Range headers it got ("" for none), in order."""

    files: dict[str, bytes]
    address: str = ""
    break_after: int | None = None  # bytes of a response after which the connection is closed
    breaks: int = 0  # how many responses are broken so
    ranges: bool = True  # whether it honours Range
    answers: list[int] = field(default_factory=list)  # status codes to answer first, before it serves
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Site]:
    """A server of `files`, by path, on a free port."""
    site = Site(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            site.requests.append(wanted)
            content = site.files.get(self.path)
            if site.answers or content is None:
                self.send_response(site.answers.pop(0) if site.answers else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(match[1]) if site.ranges and (match := re.fullmatch(r"bytes=(\d+)-", wanted)) else None
            if start is not None and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = content[start or 0 :]
            self.send_response(200 if start is None else 206)
            if start is not None:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if site.breaks and site.break_after is not None:
                site.breaks -= 1
                body = body[: site.break_after]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
