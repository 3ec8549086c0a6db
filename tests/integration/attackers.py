"""One hostile peer: attackers.py KIND PORT CA [KEY | AGENT_FOLDER]. Sends as fast as it may until standard input ends.

It comes back each time it is thrown out, after a pause: an attack is judged by what it does to others, and not by how
many connections it opens.
"""
import contextlib
import ctypes
import pathlib
import socket
import ssl
import sys
import threading
import time

BLOCK = 64 * 1024
PAUSE = 0.02  # between two connections


def connect(port, ca, alpn="http/1.1", certificate=None):
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols([alpn])
    if certificate:
        context.load_cert_chain(*certificate)
    plain = socket.create_connection(("127.0.0.1", port), timeout=5)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="localhost")


def empty_lines(port, ca, _):
    with connect(port, ca) as sock:
        while True:
            sock.sendall(b"\r\n" * (BLOCK // 2))


def post(key, fields):
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\n{fields}\r\n\r\n").encode()


def small_chunks(port, ca, key):
    with connect(port, ca) as sock:
        sock.sendall(post(key, "Transfer-Encoding: chunked"))
        while True:
            sock.sendall(b"1\r\n \r\n" * (BLOCK // 6))


def small_records(port, ca, key):
    with connect(port, ca) as sock:
        sock.sendall(post(key, "Content-Length: 30000000"))
        while True:
            sock.send(b" ")


def large_body(member):
    """As large as a body may be, of a model that there is not: read and understood, and sent to nobody."""
    count = 31 * 1024 * 1024 // len(member)

    def attack(port, ca, key):
        body = b'{"model":"none","x":{"":0' + member * count + b"}}"
        with connect(port, ca) as sock:
            while True:
                sock.sendall(post(key, f"Content-Length: {len(body)}") + body)
                sock.recv(BLOCK)
    return attack


def unread_body(port, ca, _):
    """Without a good key the body is not wanted: the gateway lingers for a moment, and reads."""
    with connect(port, ca) as sock:
        sock.sendall(post("none", "Content-Length: 30000000"))
        while True:
            sock.sendall(b" " * BLOCK)


def frame(kind, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + payload


def control_frames(payload):
    def attack(port, ca, folder):
        folder = pathlib.Path(folder)
        pair = (str(folder / "certificate.pem"), str(folder / "key.pem"))
        with connect(port, ca, "sluice-tunnel/1", pair) as sock:
            sock.sendall(frame(4, 0, b""))  # SETTINGS: the agent is the server
            block = payload * (BLOCK // len(payload))
            while True:
                sock.sendall(block)
    return attack


def key_updates(port, ca, key):
    """Python's ssl has no KeyUpdate: the library below it does."""
    lib = ctypes.CDLL("libssl.so.3")
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.SSL_CTX_new(ctypes.c_void_p(lib.TLS_client_method())))
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as plain:
        plain.settimeout(None)
        connection = ctypes.c_void_p(lib.SSL_new(context))
        try:
            lib.SSL_set_alpn_protos(connection, b"\x08http/1.1", 9)
            lib.SSL_set_fd(connection, plain.fileno())
            if lib.SSL_connect(connection) != 1:
                raise ConnectionError("no handshake")
            head = post(key, "Content-Length: 30000000")
            lib.SSL_write(connection, head, len(head))
            while lib.SSL_key_update(connection, 0) == 1 and lib.SSL_write(connection, b" ", 1) == 1:
                pass
            raise ConnectionError("thrown out")
        finally:
            lib.SSL_free(connection)
            lib.SSL_CTX_free(context)


def hellos(port, ca, _):
    """A hello, and gone: the gateway would compute for nobody."""
    context = ssl.create_default_context(cafile=ca)
    outgoing = ssl.MemoryBIO()
    hidden = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        hidden.do_handshake()
    hello = outgoing.read()
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(hello)


KINDS = {
    "empty-lines": empty_lines,
    "small-chunks": small_chunks,
    "small-records": small_records,
    "unread-body": unread_body,
    "large-text": large_body(b',"":"' + b"a" * 1_000_000 + b'"'),
    "large-lists": large_body(b',"":[[[[[[[[[[]]]]]]]]]]'),
    "large-names": large_body(b',"a":0'),
    "key-updates": key_updates,
    "hellos": hellos,
    "priority-frames": control_frames(frame(2, 9, b"\0\0\0\0\1")),
    "settings-frames": control_frames(frame(4, 0, b"")),
    "ping-frames": control_frames(frame(6, 0, b"12345678")),
    "window-frames": control_frames(frame(8, 0, b"\0\0\0\1")),
    "unknown-frames": control_frames(frame(0x77, 0, b"")),
}
BY_AGENTS = {kind for kind in KINDS if kind.endswith("-frames")}


def main():
    kind, port, ca, *more = sys.argv[1:]
    over = threading.Event()

    def wait_for_the_end():
        sys.stdin.read()
        over.set()

    def attack_for_ever():
        print("begun", flush=True)
        while True:
            with contextlib.suppress(OSError):
                KINDS[kind](int(port), ca, more[0] if more else "")
            time.sleep(PAUSE)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    threading.Thread(target=attack_for_ever, daemon=True).start()
    over.wait()


if __name__ == "__main__":
    main()
