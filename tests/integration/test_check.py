"""`sluice check` says what serving would meet, with the place in the file; serving refuses the same."""
import pathlib
import re
import socket
import subprocess

import pytest

from harness import Gateway, free_port, run


@pytest.fixture
def stopped():
    gateway = Gateway(start=False)
    yield gateway
    gateway.close()


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_certificate(folder, name, *extra, key=("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
    """(certificate, key). `extra`: of `openssl x509`, for the days that it is good."""
    paths = [folder / f"{name}.{kind}" for kind in ("pem", "key", "csr")]
    openssl("req", "-new", *key, "-nodes", "-subj", "/CN=localhost", "-keyout", paths[1], "-out", paths[2])
    openssl("x509", "-req", "-in", paths[2], "-signkey", paths[1], "-out", paths[0], *(extra or ("-days", "3")))
    return paths[0], paths[1]


def check(gateway):
    return run("check", "--config", gateway.config, check=False)


def use(gateway, certificate, key):
    gateway.config.write_text(gateway.config.read_text().replace(f'certificate = "{gateway.ca}"', f'certificate = "{certificate}"')
                              .replace(f'key = "{gateway.tls_key}"', f'key = "{key}"'))


def line_of(gateway, text):
    """LINE of the only line of the conf that holds `text`."""
    found = [i for i, line in enumerate(gateway.config.read_text().splitlines(), 1) if text in line]
    assert len(found) == 1, found
    return found[0]


def refused_everywhere(gateway, key, *words):
    """check and serve say the same one line, at the key."""
    said = check(gateway)
    lines = said.stderr.strip().splitlines()
    assert said.returncode == 1 and len(lines) == 1 and said.stdout == "", (said.stdout, said.stderr)
    assert re.match(rf"{re.escape(str(gateway.config))}:{line_of(gateway, key)}:\d+: ", lines[0]), lines[0]
    assert all(word in lines[0] for word in words), lines[0]
    served = run("serve", "--config", gateway.config, check=False)
    assert served.returncode == 1 and served.stderr.strip() == lines[0], served.stderr


def test_a_good_conf_is_good(stopped):
    said = check(stopped)
    assert (said.returncode, said.stdout, said.stderr) == (0, f"{stopped.config}: good\n", "")
    assert not (stopped.state / "sluice.db").exists() and not (stopped.state / "ca-key.pem").exists(), "it only looks"


def test_an_expired_certificate(stopped):
    use(stopped, *make_certificate(stopped.folder, "old", "-days", "-1"))
    refused_everywhere(stopped, "certificate =", "expired", "old.pem", "renew")


def test_a_certificate_that_is_not_good_yet(stopped):
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError:
        pytest.skip("needs the cryptography package")
    import datetime
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(soon).not_valid_after(soon + datetime.timedelta(days=2)).sign(key, hashes.SHA256()))
    (stopped.folder / "early.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (stopped.folder / "early.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                                  serialization.NoEncryption()))
    use(stopped, stopped.folder / "early.pem", stopped.folder / "early.key")
    refused_everywhere(stopped, "certificate =", "has not come")


def test_an_expired_certificate_in_the_chain(stopped):
    old, _ = make_certificate(stopped.folder, "old", "-days", "-1")
    chain = stopped.folder / "chain.pem"
    chain.write_text(pathlib.Path(stopped.ca).read_text() + old.read_text())
    use(stopped, chain, stopped.tls_key)
    refused_everywhere(stopped, "certificate =", "expired", "chain")


def test_a_key_of_another_certificate(stopped):
    _, other = make_certificate(stopped.folder, "other")
    use(stopped, stopped.ca, other)
    refused_everywhere(stopped, 'key = "', "is not the key of")


def test_files_that_hold_something_else(stopped):
    junk = stopped.folder / "junk.pem"
    junk.write_text("neither")
    use(stopped, junk, stopped.tls_key)
    refused_everywhere(stopped, "certificate =", "junk.pem")


@pytest.mark.parametrize("key", [("-newkey", "rsa:1024"), ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1")])
def test_a_certificate_of_a_key_that_is_not_taken(stopped, key):
    use(stopped, *make_certificate(stopped.folder, "weak", key=key))
    refused_everywhere(stopped, "certificate =", "weak.pem")


@pytest.mark.parametrize("path", ["{folder}/file/state", "/proc/none/state", "{folder}/file"])
def test_a_state_folder_that_cannot_be_made(stopped, path):
    (stopped.folder / "file").write_text("")
    stopped.config.write_text(stopped.config.read_text().replace(f'state_dir = "{stopped.state}"',
                                                                 f'state_dir = "{path.format(folder=stopped.folder)}"'))
    said = check(stopped)
    assert said.returncode == 1 and said.stderr.startswith(f"{stopped.config}:{line_of(stopped, 'state_dir')}:"), said.stderr
    assert "state folder" in said.stderr and len(said.stderr.strip().splitlines()) == 1
    served = run("serve", "--config", stopped.config, check=False)
    assert served.returncode == 1 and "state folder" in served.stderr


def test_a_state_folder_that_can_be_made_is_not_made(stopped):
    stopped.config.write_text(stopped.config.read_text().replace(f'state_dir = "{stopped.state}"', f'state_dir = "{stopped.folder}/a/b/c"'))
    assert check(stopped).returncode == 0
    assert not (stopped.folder / "a").exists()


@pytest.mark.parametrize("other", ["0.0.0.0:{port}", "[::]:{port}", "127.0.0.1:{port}"])
def test_addresses_that_overlap(stopped, other):
    address = other.format(port=stopped.port)
    stopped.write_conf(f'[[listener]]\naddress = "{address}"\n# the second\n')
    said = check(stopped)
    second = line_of(stopped, "# the second") - 1
    assert said.returncode == 1 and said.stderr.startswith(f"{stopped.config}:{second}:11: address {address} "), said.stderr
    assert run("serve", "--config", stopped.config, check=False).stderr == said.stderr


def test_metrics_on_every_address_are_warned_of_and_served(stopped):
    port = free_port()
    stopped.write_conf(f'[admin]\nmetrics = "0.0.0.0:{port}"\n')
    said = check(stopped)
    assert said.returncode == 0 and said.stdout.endswith(": good\n")
    assert said.stderr.startswith(f"{stopped.config}:{line_of(stopped, 'metrics =')}:11: warning: ") and "no key" in said.stderr
    stopped.start()
    assert "warning: metrics asks for no key" in stopped.process.log


def test_an_address_in_use_or_of_another_machine(stopped):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        stopped.write_conf(f'[[listener]]\naddress = "127.0.0.1:{taken.getsockname()[1]}"\n')
        said = check(stopped)
        assert said.returncode == 1 and "in use" in said.stderr and said.stderr.startswith(f"{stopped.config}:")
    stopped.write_conf('[[listener]]\naddress = "192.0.2.1:9"\n')
    said = check(stopped)
    assert said.returncode == 1 and "192.0.2.1" in said.stderr and "no such address" in said.stderr


def test_a_conf_that_is_being_served_is_good(make_gateway):
    port = free_port()
    gateway = make_gateway(f'[admin]\nmetrics = "127.0.0.1:{port}"\n', via=None)
    said = check(gateway)
    assert said.returncode == 0, said.stderr


def test_a_ca_file_that_holds_no_ca(stopped):
    junk = stopped.folder / "junk-ca.pem"
    junk.write_text("no certificate")
    stopped.write_conf(f'[[upstream]]\nname = "a"\nurl = "https://127.0.0.1:1"\nca_file = "{junk}"\n')
    refused_everywhere(stopped, "ca_file", "junk-ca.pem")


def test_every_error_of_an_upstream_is_told_at_once(stopped):
    stopped.write_conf('[[upstream]]\nname = "a"\nurl = "http://127.0.0.1:1"\nmodels = ["a="]\ndialects = ["oai"]\nlacks = ["nothing"]\n')
    said = check(stopped)
    lines = [int(line.split(":")[1]) for line in said.stderr.splitlines()]
    assert said.returncode == 1 and lines == [line_of(stopped, key) for key in ("models", "dialects", "lacks")], said.stderr


def test_an_upstream_whose_name_is_not_known_is_warned_of(stopped):
    stopped.write_conf('[[upstream]]\nname = "a"\nurl = "http://no-such-host.invalid:1"\n')
    said = check(stopped)
    assert said.returncode == 0 and "warning: no-such-host.invalid cannot be resolved" in said.stderr


def test_a_folder_that_is_no_time_zone(stopped):
    stopped.write_conf('[ledger]\ntime_zone = "Europe"\n')
    refused_everywhere(stopped, "time_zone", "Europe")


@pytest.mark.parametrize("conf, key", [('[admin]\nsocket = "{folder}/none/admin.sock"\n', "socket"), ('[store]\npath = "{folder}/none/s.db"\n', "path"),
                                       ('[journal]\ndir = "{folder}/file/journal"\n', "dir"), ('[store]\npath = "{folder}"\n', "path")])
def test_places_of_files_that_cannot_be_made(stopped, conf, key):
    (stopped.folder / "file").write_text("")
    stopped.write_conf(conf.format(folder=stopped.folder))
    said = check(stopped)
    assert said.returncode == 1, said
    assert said.stderr.startswith(f"{stopped.config}:{len(stopped.config.read_text().splitlines())}:"), said.stderr


def test_a_reload_refuses_what_check_refuses(make_gateway):
    gateway = make_gateway(via=None)
    certificate, key = make_certificate(gateway.folder, "old", "-days", "-1")
    use(gateway, certificate, key)
    said = gateway.cli("reload", check=False)
    assert said.returncode == 1 and "expired" in said.stderr and f"{gateway.config}:" in said.stderr
