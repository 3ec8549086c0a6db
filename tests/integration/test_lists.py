"""Lists through the command line: what is asked for is chosen in the store, by id, before anything is counted off."""
import http.client
import json
import socket
import urllib.parse

from harness import Client


def ids(gateway, *command):
    return [one["id"] for one in json.loads(gateway.cli(*command, "--json").stdout)]


def page(gateway, **query):
    """One page of keys, as the admin socket gives it."""
    connection = http.client.HTTPConnection("admin")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(gateway.socket_path)
    connection.request("GET", "/keys?" + urllib.parse.urlencode(query))
    answer = json.load(connection.getresponse())
    connection.close()
    return answer


def test_a_page_of_a_tenants_keys_is_full_however_many_of_others_lie_between(make_gateway):
    gateway = make_gateway(via=None)
    mine = []
    for number in range(3):
        for other in range(4):
            gateway.key(tenant="other", user=f"u{other}")
        mine.append(gateway.key(tenant="mine", user="ada")["id"])
    first = page(gateway, tenant="mine", limit=2)
    assert [key["id"] for key in first["keys"]] == mine[:2] and first["next"] == mine[1]
    rest = page(gateway, tenant="mine", limit=2, after=first["next"])
    assert [key["id"] for key in rest["keys"]] == mine[2:] and "next" not in rest
    assert ids(gateway, "key", "list", "--tenant", "mine") == mine


def test_a_tenant_of_the_same_name_as_a_revoked_one_has_lists_of_its_own(make_gateway):
    gateway = make_gateway(via=None)
    old = gateway.key(tenant="acme", user="ada")
    tenant = next(one for one in json.loads(gateway.cli("tenant", "list", "--json").stdout) if one["name"] == "acme")
    gateway.cli("tenant", "revoke", tenant["id"])
    new = gateway.key(tenant="acme", user="ada")
    assert ids(gateway, "key", "list", "--tenant", "acme") == [new["id"]]
    assert ids(gateway, "key", "list", "--tenant", tenant["id"]) == [old["id"]]
    assert len(ids(gateway, "user", "list", "--tenant", "acme")) == 1
    assert ids(gateway, "user", "list", "--tenant", "acme") != ids(gateway, "user", "list", "--tenant", tenant["id"])


def test_a_user_is_listed_within_the_tenant_that_was_named(make_gateway):
    gateway = make_gateway(via=None)
    key = gateway.key(tenant="mine", user="ada")
    gateway.key(tenant="other", user="bob")
    user = ids(gateway, "user", "list", "--tenant", "mine")[0]
    assert ids(gateway, "key", "list", "--user", user) == [key["id"]]
    assert ids(gateway, "key", "list", "--user", user, "--tenant", "other") == []


def test_audit_records_are_chosen_by_a_tenants_id_as_well(make_gateway, fake):
    gateway = make_gateway()
    key = gateway.key(tenant="acme", user="ada")
    with Client(gateway, key) as client:
        request = client.chat("hello")[1]["x-request-id"]
    record = gateway.audit_of(request)

    def export(*options):
        lines = gateway.cli("audit", "export", "--format", "jsonl", *options).stdout.splitlines()
        return [json.loads(line)["request_id"] for line in lines]

    assert export("--tenant", record["tenant_id"]) == export("--tenant", "acme") == [request]
    assert export("--user", record["user_id"]) == [request]
    gateway.key(tenant="beta", user="bob")
    assert export("--tenant", "beta") == []
