"""A server of files on localhost that misbehaves on request."""

import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves the files of a folder.

    Attributes:
        requests (list[tuple]): Name and range of each request.
        breaks (dict[int, int]): By the number of the request of a tar file, the
            bytes after which the connection breaks off; -1 for all others.
        statuses (list[int]): Statuses of the next requests of tar files.
        ranges (bool): Whether ranges are supported.
        pause (float): Seconds before each 4096 bytes of a tar file.
    """

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(('127.0.0.1', 0), Handler)
        self.folder = folder
        self.requests = []
        self.breaks = {}
        self.statuses = []
        self.ranges = True
        self.pause = 0

    @property
    def url(self):
        return f'http://127.0.0.1:{self.server_port}'

    def fetched(self):
        """Names of the tar files that were asked for."""
        return [name for name, _ in self.requests if name.endswith('.tar')]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):  # noqa: N802
        server, name = self.server, self.path.strip('/')
        asked = self.headers.get('Range')
        is_tar = name.endswith('.tar')
        number = len(server.fetched())
        server.requests.append((name, asked))
        path = server.folder / name
        if not path.is_file():
            return self.send_error(404)
        if is_tar and server.statuses:
            status = server.statuses.pop(0)
            if status != 200:
                return self.send_error(status)
        data = path.read_bytes()
        if asked and server.ranges:
            start, end = re.fullmatch(r'bytes=(\d+)-(\d*)', asked).groups()
            data = data[int(start) : int(end) + 1 if end else None]
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if is_tar:
            stop = server.breaks.get(number, server.breaks.get(-1))
            for i in range(0, len(data[:stop]), 4096):
                time.sleep(server.pause)
                self.wfile.write(data[:stop][i : i + 4096])
        else:
            self.wfile.write(data)
        self.close_connection = True


@contextmanager
def serving(folder):
    """Serve a folder in a thread."""
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
