"""What the model server stores for one caller is no other's, and what the gateway cannot keep apart is refused: behaviour 50 of the
wire contract. Whose responses are, it knows: test_stored_responses.py."""
import json

import pytest

from fake_model import whole_answer
from harness import Client, error_of

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"

# Path, members, and the word of the message that tells which one it is.
REFERENCES = {
    "previous response of a chat": (CHAT, r'"previous\u005fresponse_id":"resp_1"', "previous_response_id"),
    "conversation": (RESPONSES, '"conversation":{"id":"conv_1"}', "conversation"),
    "file in a part": (RESPONSES, '"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]', "file_id"),
    "image in a part": (RESPONSES, '"input":[{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}]', "file_id"),
    "file in a tool's output": (RESPONSES, '"input":[{"type":"function_call_output","call_id":"c","output":[{"file_id":"f"}]}]', "file_id"),
    "vector stores": (RESPONSES, '"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]', "vector_store_ids"),
    "container": (RESPONSES, '"tools":[{"type":"code_interpreter","container":"cntr_1"}]', "container"),
    "container of files": (RESPONSES, '"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["f"]}}]', "container"),
    "stored prompt": (RESPONSES, '"prompt":{"id":"pmpt_1"}', "prompt.id"),
    "file in a chat": (CHAT, '"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]', "file_id"),
    "sound in a chat": (CHAT, '"messages":[{"role":"assistant","audio":{"id":"audio_1"}}]', "'id' of 'audio'"),
}


@pytest.mark.parametrize("form", REFERENCES)
def test_contract_50_a_reference_to_stored_state_is_refused_by_name(gateway, key, fake, form):
    path, members, name = REFERENCES[form]
    before = len(fake.requests)
    with Client(gateway, key) as client:
        for body in ('{"model":"fake-model",%s}', '{%s,"model":"fake-model","stream":true}'):
            status, _, answer = client.call("POST", path, body % members)
            assert status == 400, body
            error = error_of(answer)
            assert name in error["message"] and error["type"] == "invalid_request_error", error
    assert not [r for r in fake.requests[before:] if r.target == path]


def test_contract_50_what_refers_to_nothing_goes_through_as_it_is(gateway, key, fake, mark):
    fake.on(mark, lambda c: c.answer(200, whole_answer()))
    bodies = ['{"model":"fake-model","messages":[{"role":"user","content":"%s","audio":null}],"store":true,"tools":[{"type":"function",'
              '"function":{"name":"f","parameters":{"type":"object","properties":{"file_id":{"type":"string"},"container":{}}}}}]}',
              '{"model":"fake-model","metadata":{"file_id":"mine"},"messages":[{"role":"user","content":"%s"},{"role":"assistant",'
              '"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\\"file_id\\":1}"}}]}]}']
    with Client(gateway, key) as client:
        for body in bodies:
            assert client.call("POST", CHAT, body % mark)[0] == 200
    assert [r.body.decode() for r in fake.seen(mark)] == [body % mark for body in bodies]


def test_a_stored_prompt_is_for_the_tenants_that_the_conf_names(make_gateway, fake):
    gateway = make_gateway('[policies]\nstored_prompts = ["acme:pmpt_acme", "*:pmpt_all"]\n')
    acme, other = gateway.key(tenant="acme"), gateway.key(tenant="other")

    def ask(key, prompt):
        with Client(gateway, key) as client:
            status, _, body = client.call("POST", RESPONSES, {"model": "fake-model", "input": "x", "prompt": {"id": prompt}})
        return status, body

    for key, prompt in ((acme, "pmpt_none"), (other, "pmpt_acme"), (other, "acme:pmpt_acme")):
        status, body = ask(key, prompt)
        assert status == 400 and "stored_prompts" in error_of(body)["message"]
    for key, prompt in ((acme, "pmpt_acme"), (acme, "pmpt_all"), (other, "pmpt_all")):
        assert b"stored_prompts" not in ask(key, prompt)[1]
        assert json.loads(fake.requests[-1].body)["prompt"] == {"id": prompt}
