"""GET /put/WORD gives the worker a job, GET /done lists what it has done, GET / counts visits."""
import http.server
import socket


def redis(*words):
    """One command in Redis's protocol: a string, a number, or a list of strings."""
    with socket.create_connection(("db", 6379), 2) as s, s.makefile("rwb") as f:
        f.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in map(str.encode, words)))
        f.flush()
        return answer(f)


def answer(f):
    kind, rest = (line := f.readline().strip())[:1], line[1:]
    if kind == b"*":
        return [answer(f) for _ in range(int(rest))]
    return f.read(int(rest) + 2)[:-2].decode() if kind == b"$" else rest.decode()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/put/"):
            text = redis("RPUSH", "jobs", self.path[5:])
        elif self.path == "/done":
            text = " ".join(redis("LRANGE", "done", "0", "-1"))
        else:
            text = "visit " + redis("INCR", "visits")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode() + b"\n")


http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
