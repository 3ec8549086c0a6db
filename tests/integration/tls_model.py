"""The fake model behind TLS, under a name of its own, and a proxy that opens tunnels to it."""
import base64
import pathlib
import socket
import ssl
import subprocess
import threading

from fake_model import FakeModel

HOST = "model.test"  # a name that no resolver knows: whoever gets there was taken there by the proxy


class TlsModel(FakeModel):
    """`ca`: what its certificate, for HOST, localhost and both loopback addresses, is signed by: itself."""

    def __init__(self, folder, **options):
        self.ca, key = pathlib.Path(folder) / "model.pem", pathlib.Path(folder) / "model.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},DNS:localhost,IP:127.0.0.1,IP:::1",
                        "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", key, "-out", self.ca],
                       check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca, key)
        self.others = []  # listeners
        self.resumed = []  # of each connection, in order: whether it resumed a session
        super().__init__(**options)
        self.url = f"https://{HOST}:{self.port}"

    def close(self):
        for listener in self.others:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            listener.close()
        super().close()

    def listen_on(self, address):
        """Serves the same on the same port of another address, of IPv6, too."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.others.append(socket.create_server((address, self.port), family=family, backlog=128))

        def accept(listener):
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with self.lock:
                    self.open.add(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

        threading.Thread(target=accept, args=(self.others[-1],), daemon=True).start()

    def _serve(self, sock):
        try:
            secured = self.context.wrap_socket(sock, server_side=True)
        except OSError:
            return sock.close()
        with self.lock:
            self.open.discard(sock)
            self.open.add(secured)
            self.resumed.append(secured.session_reused)
        return super()._serve(secured)


class ConnectProxy:
    """An HTTP proxy that knows CONNECT alone. Whatever host it is asked for is on 127.0.0.1 here.
    `login`: "USER:PASSWORD" that it wants; `says`: what it answers to everything instead of a tunnel."""

    def __init__(self, login=None, says=None):
        self.wanted = login and "Basic " + base64.b64encode(login.encode()).decode()
        self.says = says
        self.heads = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.open = set()
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for sock in [self.listener, *self.open]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                more = client.recv(4096)
                if not more:
                    return
                head += more
            text = head.decode()
            with self.lock:
                self.heads.append(text)
            if self.says is not None:
                return client.sendall(self.says)
            method, target, _ = text.split(" ", 2)
            if method != "CONNECT":
                return client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n")
            if self.wanted and f"proxy-authorization: {self.wanted}\r\n" not in text:
                return client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=x\r\n\r\n")
            with socket.create_connection(("127.0.0.1", int(target.rsplit(":", 1)[1]))) as server:
                self.open.add(server)
                client.sendall(b"HTTP/1.1 200 Connection established\r\nproxy-agent: test\r\n\r\n")
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()
        except OSError:
            pass
        finally:
            client.close()

    @staticmethod
    def _pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
