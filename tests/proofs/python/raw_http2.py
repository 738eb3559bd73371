"""Just enough HTTP/2 to break its rules."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags=0, stream=0, body=b""):
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def header_block(headers):
    """HPACK: literals without Huffman and without the table."""

    def text(value):
        value = value if isinstance(value, bytes) else value.encode()
        if len(value) < 127:
            return bytes([len(value)]) + value
        out, left = bytearray([127]), len(value) - 127
        while left >= 128:
            out.append(left & 127 | 128)
            left >>= 7
        return bytes(out) + bytes([left]) + value

    return b"".join(b"\0" + text(name) + text(value) for name, value in headers)


def call(path, *more, method="POST", content_type="application/grpc"):
    fixed = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x"), ("te", "trailers")]
    return header_block([*fixed, ("content-type", content_type), *more])


class Peer:
    """A connection that says what it is told to; use it with `with`."""

    def __init__(self, port, greet=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.stream = 1
        if greet:
            self.send(PREFACE + frame(SETTINGS))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Whether all of it could be sent."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def call(self, block, body=b"", flags=END_HEADERS):
        """Begins a call with these headers; the stream's number."""
        stream, self.stream = self.stream, self.stream + 2
        self.send(frame(HEADERS, flags, stream, block))
        for at in range(0, len(body), 16_384):
            self.send(frame(DATA, 0, stream, body[at : at + 16_384]))
        return stream

    def end(self, stream):
        self.send(frame(DATA, END_STREAM, stream))

    def _exactly(self, count):
        out = b""
        while len(out) < count:
            more = self.socket.recv(count - len(out))
            if not more:
                raise ConnectionError("closed")
            out += more
        return out

    def frames(self):
        """What comes back, to the end of the connection."""
        try:
            while True:
                head = self._exactly(9)
                body = self._exactly(int.from_bytes(head[:3], "big"))
                yield head[3], head[4], int.from_bytes(head[5:], "big"), body
        except (ConnectionError, BrokenPipeError):
            return

    def ended(self, stream):
        """Waits until this stream is over, one way or the other."""
        return any(
            number == stream and (kind == RST_STREAM or kind in (DATA, HEADERS) and flags & END_STREAM)
            for kind, flags, number, _ in self.frames()
        )

    def is_alive(self):
        self.send(frame(PING, 0, 0, b"areyouok"))
        return any(kind == PING and flags & ACK and body == b"areyouok" for kind, flags, _, body in self.frames())

    def is_closed(self):
        """Waits until the broker closes; a reset counts as well."""
        for _ in self.frames():
            pass
        return True
