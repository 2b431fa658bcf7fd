"""A server on localhost that misbehaves as specified."""

import hashlib
import socket
import struct
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    """Response to one request."""

    status: int = 200  # another status is sent with a web page
    stop: int | None = None  # close the connection after so many bytes
    reset: bool = False  # close it with an error instead of quietly
    ranges: bool = True  # support Range
    if_range: bool = True  # support If-Range
    mark: str = 'ETag'  # validator: 'ETag', 'Last-Modified' or 'none'
    weak: bool = False  # a weak ETag, which may stay when the file changes
    back: int = 0  # start so many bytes before the requested range
    length: bool = True  # send Content-Length
    kind: str = 'application/octet-stream'
    content: bytes | None = None  # replaces the file from now on


class Handler(BaseHTTPRequestHandler):
    """Answers requests with the server's files and replies."""

    def do_GET(self):
        """Send a file or a range of it, as the next reply specifies."""
        server = self.server
        content, replies = server.files[self.path[1:]]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if reply.content is not None:
            content = reply.content
            server.files[self.path[1:]] = content, replies
        asked = self.headers.get('Range')
        # Log before sending: the client may close once it has everything.
        if reply.status != 200:
            server.log.append((self.path[1:], asked, reply.status, 0))
            self.answer(reply.status, b'<html>Sorry.</html>', 'text/html')
            return
        tag = ('W/' if reply.weak else '') + (f'"{hashlib.md5(content).hexdigest()}"')
        start, status, fields = 0, 200, {}
        condition = self.headers.get('If-Range', tag) if reply.if_range else tag
        if asked and reply.ranges and condition == tag:
            start, status = int(asked[len('bytes=') : -1]) - reply.back, 206
            if start >= len(content):
                server.log.append((self.path[1:], asked, 416, 0))
                self.answer(416, b'<html>Too far.</html>', 'text/html')
                return
            fields['Content-Range'] = f'bytes {start}-{len(content) - 1}/{len(content)}'
        if reply.mark != 'none':
            fields[reply.mark] = tag
        if reply.length:
            fields['Content-Length'] = str(len(content) - start)
        body = content[start:][: reply.stop]
        server.log.append((self.path[1:], asked, status, len(body)))
        self.answer(status, body, reply.kind, fields)
        if reply.reset:
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)
            )

    def answer(self, status, body, kind, fields=()):
        """Send a response."""
        self.send_response(status)
        self.send_header('Content-Type', kind)
        for name, value in dict(fields).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Log nothing on stderr, which the tests read."""


class Server(ThreadingHTTPServer):
    """Serves files from memory; ``log`` has path, Range, status, bytes sent."""

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files, self.log = {}, []
        self.thread = threading.Thread(
            target=self.serve_forever, args=(0.02,), daemon=True
        )
        self.thread.start()

    def give(self, name, content, *replies):
        """Serve a file; the last reply is used for all later requests."""
        self.files[name] = content, list(replies or [Reply()])
        return f'http://127.0.0.1:{self.server_port}/{name}'

    def sent(self, name):
        """Total bytes sent of a file."""
        return sum(size for path, _, _, size in self.log if path == name)

    def answers(self, name):
        """Status codes of all requests for a file."""
        return [status for path, _, status, _ in self.log if path == name]

    def close(self):
        """Stop the server."""
        self.shutdown()
        self.thread.join()
        self.server_close()
