"""Pairing an agent, as far as it can go wrong: each message says what is wrong, and the pairing key is not spent in vain."""
import contextlib
import json
import socket
import ssl
import subprocess
import threading

import pytest

from harness import free_port, run


@pytest.fixture
def pairing_key(gateway_direct):
    return json.loads(gateway_direct.cli("pair", "create", "--any-model", "--json").stdout)["key"]


def pair(url, key, folder, *options):
    return run("agent", "pair", "--gateway", url, "--pairing-key", key, "--dir", folder, *options, check=False)


def refused(ran, *parts):
    assert ran.returncode == 1, ran
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert "Unknown error" not in ran.stderr
    for part in parts:
        assert part in ran.stderr, ran.stderr


def date_back(folder, certificate, key):
    """Signs the certificate once more, with a validity that is over."""
    (folder / "ca.conf").write_text("[ca]\ndefault_ca = d\n[d]\ndatabase = index\nserial = serial\nnew_certs_dir = .\npolicy = p\n"
                                    "default_md = sha256\n[p]\ncommonName = supplied\n[e]\nsubjectAltName = IP:127.0.0.1\n")
    (folder / "index").write_text("")
    (folder / "serial").write_text("01\n")
    subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=other", "-out", folder / "csr.pem"], check=True, capture_output=True)
    subprocess.run(["openssl", "ca", "-batch", "-selfsign", "-config", folder / "ca.conf", "-keyfile", key, "-in", folder / "csr.pem",
                    "-out", certificate, "-notext", "-extensions", "e", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z"],
                   check=True, capture_output=True, cwd=folder)


@contextlib.contextmanager
def tls_server(folder, *openssl_options, expired=False):
    """Ends TLS with a certificate of its own, and says nothing. Yields port and certificate."""
    certificate, key = folder / "other.pem", folder / "other-key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=other",
                    "-keyout", key, "-out", certificate, *openssl_options], check=True, capture_output=True)
    if expired:
        date_back(folder, certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                        pass
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], certificate
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_ca_that_is_not_trusted_is_said(gateway_direct, pairing_key, tmp_path):
    url = f"https://127.0.0.1:{gateway_direct.port}"
    refused(pair(url, pairing_key, tmp_path / "a"), "signed by a CA that is not trusted here", "--ca")
    with tls_server(tmp_path) as (_, other):
        refused(pair(url, pairing_key, tmp_path / "a", "--ca", other), "signed by a CA that is not trusted here", "--ca")
    assert pair(url, pairing_key, tmp_path / "a", "--ca", gateway_direct.ca).returncode == 0  # and the key was not spent


def test_a_certificate_for_another_name_or_address_is_said(pairing_key, tmp_path):
    with tls_server(tmp_path, "-addext", "subjectAltName=DNS:other.example") as (port, ca):
        refused(pair(f"https://localhost:{port}", pairing_key, tmp_path / "a", "--ca", ca), "is for another host name")
        refused(pair(f"https://127.0.0.1:{port}", pairing_key, tmp_path / "a", "--ca", ca), "is not for this address")


def test_a_certificate_that_has_expired_is_said(pairing_key, tmp_path):
    with tls_server(tmp_path, expired=True) as (port, ca):
        refused(pair(f"https://127.0.0.1:{port}", pairing_key, tmp_path / "a", "--ca", ca), "has expired")


def test_no_gateway_no_name_and_no_tls_are_said(pairing_key, tmp_path):
    refused(pair("https://no-such-host.invalid", pairing_key, tmp_path / "a"), "the host name cannot be resolved", "--gateway")
    refused(pair(f"https://127.0.0.1:{free_port()}", pairing_key, tmp_path / "a"), "Connection refused", "whether the gateway runs")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        refused(pair(f"https://127.0.0.1:{listener.getsockname()[1]}", pairing_key, tmp_path / "a"), "does not speak TLS")
        thread.join()
    assert not (tmp_path / "a" / "key.pem").exists()


def test_a_folder_that_cannot_be_written_does_not_spend_the_pairing_key(gateway_direct, pairing_key, tmp_path):
    url = f"https://127.0.0.1:{gateway_direct.port}"
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "agent", "/proc/self", "/proc/agent"):  # also for root
        refused(pair(url, pairing_key, folder, "--ca", gateway_direct.ca), f"cannot use the folder {folder}", "--dir")
    good = tmp_path / "agent"
    assert pair(url, pairing_key, good, "--ca", gateway_direct.ca).returncode == 0
    assert sorted(path.name for path in good.iterdir()) == ["agent.json", "ca.pem", "certificate.pem", "key.pem"]


def test_the_pairing_key_of_the_command_line_beats_that_of_the_environment(gateway_direct, pairing_key, tmp_path):
    ran = run("agent", "pair", "--gateway", f"https://127.0.0.1:{gateway_direct.port}", "--pairing-key", pairing_key,
              "--dir", tmp_path / "a", "--ca", gateway_direct.ca, env={"SLUICE_PAIRING_KEY": "sp-sluice-wrong"}, check=False)
    assert ran.returncode == 0, ran


def test_a_gateway_starts_again_while_a_pairing_key_waits(make_gateway):
    gateway = make_gateway(via=None)
    for _ in range(2):
        gateway.cli("pair", "create", "--any-model")
    assert gateway.stop() == 0
    gateway.start()
    assert gateway.stop() == 0
