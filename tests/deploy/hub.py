"""A small server with the endpoints of the Hugging Face Hub that an upload needs."""

import base64
import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Hub:
    """What a server has received.

    Attributes:
        files (dict[str, bytes]): Committed files by 'USER/NAME/PATH'.
        tokens (set[str]): Tokens of all requests.
        requests (list[str]): Paths of all requests, in order.
    """

    def __init__(self, accepts):
        self.accepts = accepts  # the only valid token
        self.files, self.tokens, self.requests = {}, set(), []
        self.repos = set()


def _answer(hub, path, body):
    """Status and content for a request."""
    parts = path.split('?')[0].strip('/').split('/')
    if parts[:3] == ['api', 'repos', 'create']:
        asked = json.loads(body)
        repo = f'{asked["organization"]}/{asked["name"]}'
        known = repo in hub.repos
        hub.repos.add(repo)
        return (409 if known else 200), dict(url=f'{hub.address}/{repo}', id=repo)
    if parts[:2] == ['api', 'validate-yaml']:
        return 200, dict(errors=[], warnings=[])
    repo = '/'.join(parts[2:4])
    if repo not in hub.repos:
        return 404, dict(error='Repository not found')
    if parts[4:5] == ['preupload']:
        files = json.loads(body)['files']
        return 200, dict(
            files=[
                dict(path=f['path'], uploadMode='regular', shouldIgnore=False)
                for f in files
            ]
        )
    if parts[4:5] == ['commit']:
        for line in body.splitlines():
            entry = json.loads(line)
            if entry['key'] == 'file':
                value = entry['value']
                content = base64.b64decode(value['content'])
                hub.files[f'{repo}/{value["path"]}'] = content
        oid = hashlib.sha1(body).hexdigest()
        return 200, dict(
            success=True,
            commitOid=oid,
            commitUrl=f'{hub.address}/{repo}/commit/{oid}',
        )
    return 404, dict(error=f'{path} is not known here')


@contextmanager
def serve(accepts='hf_secret'):
    """Serve on localhost; gives a :class:`Hub` with its ``address``."""
    hub = Hub(accepts)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def log_message(self, *_):
            pass

        def do_POST(self):
            if self.headers.get('Transfer-Encoding') == 'chunked':
                body = b''
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
            token = (self.headers.get('Authorization') or '').removeprefix('Bearer ')
            hub.tokens.add(token)
            hub.requests.append(self.path)
            if token == hub.accepts:
                status, content = _answer(hub, self.path, body)
            else:
                status, content = 401, dict(error='Invalid username or password.')
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    hub.address = f'http://127.0.0.1:{server.server_port}'
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
