#include "openai/stored_state.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include "openai/call_reader.h"

namespace sluice::openai {
namespace {

Result<CallBody> call_of(EndpointId id, std::string_view text) {
  wire::Parser parser;
  Buffer body;
  body.append(text);
  (void)body.prepare(simdjson::SIMDJSON_PADDING);
  return read_call(endpoint_of(id), body.view(), parser);
}

std::string why(EndpointId id, std::string_view text) {
  const Result<CallBody> call = call_of(id, text);
  return call ? "" : call.error().what;
}

// A body that carries `member` where the row's spot is.
std::string body_with(Spot spot, EndpointId id, const std::string& member) {
  const bool responses = id == EndpointId::kResponses;
  switch (spot) {
    case Spot::kTop:
      return R"({"model":"m",)" + member + "}";
    case Spot::kItems:
      return {};  // what an item names is looked up
    case Spot::kParts:
      return responses
                 ? R"({"input":[{"role":"user","content":[{"type":"input_file",)" + member + R"(}]}],"model":"m"})"
                 : R"({"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{)" + member + "}}]}]}";
    case Spot::kTools:
      return R"({"model":"m","tools":[{"type":"function"},{"type":"x",)" + member + "}]}";
    case Spot::kAudio:
      return responses ? R"({"model":"m","input":[{"role":"assistant","audio":{)" + member + "}}]}"
                       : R"({"model":"m","messages":[{"role":"assistant","audio":{)" + member + "}}]}";
    case Spot::kExtra:
      return R"({"model":"m","extra_body":{"google":{)" + member + "}}}";
    case Spot::kNowhere:
    case Spot::kVariables:
      break;
  }
  return {};
}

std::string member_of(const StateRow& row, std::string_view value) {
  return "\"" + std::string(row.name) + "\":" + std::string(value);
}

std::vector<EndpointId> endpoints_of(const StateRow& row) {
  std::vector<EndpointId> ids;
  for (const EndpointId id : {EndpointId::kChatCompletions, EndpointId::kResponses})
    if (row.apis & api_bit(api_of(endpoint_of(id)))) ids.push_back(id);
  return ids;
}

// Another spelling of a string: its second character as an escape.
std::string escaped(std::string_view name) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto c = static_cast<unsigned char>(name[1]);
  return std::string(1, name[0]) + "\\u00" + kHex[c >> 4] + kHex[c & 15] + std::string(name.substr(2));
}

TEST(StoredState, C50EveryRowIsRefusedHoweverItIsSpeltAndSaysWhichMemberItIs) {
  for (const StateRow& row : stored_state()) {
    for (const EndpointId id : endpoints_of(row)) {
      const std::string_view told = row.name;
      std::string other_case(row.name);
      other_case[0] = static_cast<char>(other_case[0] - ('a' - 'A'));
      for (const std::string& name : {std::string(row.name), escaped(row.name), other_case}) {
        const std::string body = body_with(row.spot, id, "\"" + name + R"(": "x_1")");
        SCOPED_TRACE(body);
        const Result<CallBody> call = call_of(id, body);
        ASSERT_FALSE(call);
        EXPECT_EQ(call.error().kind, ErrorKind::kBadRequest);
        EXPECT_EQ(std::string_view(call.error().what), row.refusal);
        std::string what(row.refusal);
        for (char& c : what) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        EXPECT_NE(what.find(told), std::string::npos) << what;
        EXPECT_NE(what.find("; "), std::string::npos) << "what to do";
      }
    }
  }
}

TEST(StoredState, NullAndEmptyReferToNothing) {
  for (const StateRow& row : stored_state()) {
    for (const EndpointId id : endpoints_of(row)) {
      for (const char* value : {"null", "\"\"", "[]", "[ ]", "null "}) {
        const std::string body = body_with(row.spot, id, member_of(row, value));
        EXPECT_EQ(why(id, body), "") << body;
      }
      EXPECT_NE(why(id, body_with(row.spot, id, member_of(row, "[null]"))), "");
      EXPECT_NE(why(id, body_with(row.spot, id, member_of(row, "{}"))), "");
      EXPECT_NE(why(id, body_with(row.spot, id, member_of(row, "7"))), "");
    }
  }
}

TEST(StoredState, C50ReferencesAreFoundInEveryPlaceOfARequest) {
  constexpr auto kChat = EndpointId::kChatCompletions;
  constexpr auto kResponses = EndpointId::kResponses;
  const std::pair<EndpointId, const char*> refused[] = {
      {kResponses, R"({"model":"m","input":[{"type":"computer_call_output","output":{"file_id":"f"}}]})"},
      {kResponses,
       R"({"model":"m","input":[{"type":"function_call_output","output":[{"type":"input_image","file_id":"f"}]}]})"},
      {kResponses, R"({"model":"m","input":[{"type":"code_interpreter_call","container_id":"c","code":"1"}]})"},
      {kResponses, R"({"model":"m","instructions":[{"role":"user","content":[{"file_id":"f"}]}]})"},
      {kResponses, R"({"model":"m","conversation":{"id":"conv_1"}})"},
      {kResponses, R"({"model":"m","previous_response_id":null,"previous_response_id":"r"})"},
      {kResponses, R"({"model":"m","previous_response_id":["r"]})"},
      {kResponses, R"({"model":"m","Previous_Response_Id":"r"})"},
      {kChat, R"({"model":"m","messages":[],"previous_response_id":"r"})"},
      {kResponses,
       R"({"model":"m","tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["f"]}}]})"},
      {kResponses, R"({"model":"m","tools":[{"type":"file_search","vector_store_ids":["v"]}]})"},
      {kResponses, R"({"model":"m","tools":[{"type":"image_generation","input_image_mask":{"file_id":"f"}}]})"},
      {kResponses,
       R"({"model":"m","tools":[{"type":"shell","environment":{"type":"container_reference","container_id":"c"}}]})"},
      {kResponses, R"({"model":"m","prompt":{"id":"p","variables":{"metadata":{"type":"input_file","file_id":"f"}}}})"},
      {kChat, R"({"messages":[{"role":"assistant","audio":{"id":"audio_1"}}],"model":"m"})"},
      {kChat, R"({"model":"m","audio":{"voice":{"id":"voice_1"},"format":"mp3"}})"},
      {kChat, R"({"model":"m","messages":[{"role":"user","content":[{"file":{"filename":"a","file_id":"f"}}]}]})"},
      {kChat, R"({"model":"m","messages":[{"role":"user","attachments":[{"f\u0069le_id":"f"}]}]})"},
      {EndpointId::kCompletions, R"({"model":"m","prompt":"x","kv_transfer_params":{"remote_engine_id":"e"}})"},
  };
  for (const auto& [id, body] : refused) EXPECT_NE(why(id, body), "") << body;
}

TEST(StoredState, TheCallersOwnNamesAreNoReferences) {
  constexpr auto kChat = EndpointId::kChatCompletions;
  constexpr auto kResponses = EndpointId::kResponses;
  const std::pair<EndpointId, const char*> good[] = {
      {kChat, R"({"model":"m","tools":[{"type":"function","function":{"name":"read","parameters":
          {"type":"object","properties":{"file_id":{"type":"string"},"container":{"type":"string"}}}}}]})"},
      {kChat, R"({"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"call_1","type":"function",
          "function":{"name":"read","arguments":"{\"file_id\":\"f\"}"}}]},{"role":"tool","tool_call_id":"call_1","content":"x"}]})"},
      {kChat,
       R"({"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"arguments":{"file_id":"f"}}}]}]})"},
      {kChat,
       R"({"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]})"},
      {kChat,
       R"({"model":"m","messages":[{"role":"user","content":"'file_id': item_reference"}],"metadata":{"file_id":"f"}})"},
      {kChat,
       R"({"model":"m","audio":{"voice":"alloy","format":"mp3"},"response_format":{"json_schema":{"schema":{"container":1}}}})"},
      {kResponses, R"({"model":"m","store":true,"metadata":{"conversation":"c"},"input":[
          {"type":"message","role":"user","content":"hi"},
          {"role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"a"}]},
          {"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{}"},
          {"type":"function_call_output","call_id":"call_1","output":"{\"file_id\":1}"},
          {"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"},
          {"type":"image_generation_call","id":"ig_1","result":"AAAA"}]})"},
      {kResponses, R"({"model":"m","tools":[{"type":"mcp","server_label":"a","headers":{"container":"x"}},
          {"type":"function","name":"f","parameters":{"properties":{"vector_store_ids":{"type":"array"}}}}]})"},
      {kResponses, R"({"model":"m","prompt":{"id":"p","variables":{"file_id":"a name of the caller's own"}}})"},
      {EndpointId::kEmbeddings, R"({"model":"m","input":"x","conversation":"c","previous_response_id":"r"})"},
  };
  for (const auto& [id, body] : good) EXPECT_EQ(why(id, body), "") << body;
}

TEST(StoredState, C50WhatNamesAResponseOrAnItemOfOneIsTold) {
  using Ids = std::vector<std::string>;
  struct Case {
    const char* members;
    const char* answer;
    Ids items;
    bool no_id = false;
  };
  const Case cases[] = {
      {R"("input":"x")", "", {}},
      {R"("input":"x","previous_response_id":"resp_1")", "resp_1", {}},
      {R"("previous\u005fresponse_id":"r\u0065sp_1")", "resp_1", {}},
      {R"("previous_response_id":null)", "", {}},
      {R"("previous_response_id":"a/b")", "", {}, true},
      {R"("input":[{"id":"msg_1"}])", "", {"msg_1"}},
      {R"("input":[{"type":null,"id":"msg_1"}])", "", {"msg_1"}},
      {R"("input":{"type":"item_reference","id":"msg_1"})", "", {"msg_1"}},
      {R"("input":[{"id":"msg_1","type":"item\u005freference"},{"TYPE":"Item_Reference","ID": "rs_1" }])",
       "",
       {"msg_1", "rs_1"}},
      {R"("input":[{"type":"item_reference","id":"msg\u005f1"}])", "", {}, true},
      {R"("input":[{"type":"item_reference","id":"m","id":"n"}])", "", {}, true},
      {R"("input":[{"type":"item_reference","id":7}])", "", {}, true},
      {R"("input":[{"type":"item_reference"}])", "", {}, true},
      {R"("input":[{"type":"item_reference","role":"user","id":"m","content":"x"}])", "", {"m"}},
      {R"("input":[{"type":"image_generation_call","id":"ig_1","result":null}])", "", {"ig_1"}},
      {R"("input":[{"type":"image_generation_call","id":"ig_1","result":"AAAA"}])", "", {}},
      {R"("input":[{"type":"reasoning","id":"rs_1","summary":[]}])", "", {"rs_1"}},
      {R"("input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"}])", "", {}},
      {R"("input":[{"type":"reasoning","id":"rs_1","content":[{"type":"reasoning_text","text":"x"}]}])", "", {}},
      {R"("input":[{"type":"mcp_approval_response","id":"a","approval_request_id":"mcpr_1"}])", "", {"mcpr_1"}},
      {R"("input":[{"role":"assistant","id":"msg_1","content":"x"},{"type":"function_call","id":"fc_1"}])", "", {}},
      {R"("instructions":[{"type":"item_reference","id":"m"}])", "", {"m"}},
  };
  for (const Case& one : cases) {
    const Result<CallBody> call = call_of(EndpointId::kResponses, R"({"model":"m",)" + std::string(one.members) + "}");
    ASSERT_TRUE(call) << one.members << call.error().what;
    EXPECT_EQ(call->stored.answer, one.answer) << one.members;
    EXPECT_EQ(call->stored.items, one.items) << one.members;
    EXPECT_EQ(call->stored.names_no_id, one.no_id) << one.members;
  }
  std::string many = R"({"model":"m","input":[{"id":"m"})";
  for (int i = 1; i < 1024; ++i) many += R"(,{"id":"m"})";
  EXPECT_EQ(why(EndpointId::kResponses, many + "]}"), "");
  EXPECT_NE(why(EndpointId::kResponses, many + R"(,{"id":"m"}]})").find("1,024"), std::string::npos);
}

TEST(StoredState, AResponseIsKeptUnlessItIsSaidOtherwise) {
  const auto keeps = [](EndpointId id, const char* more) {
    return call_of(id, R"({"model":"m","input":"x","messages":[])" + std::string(more) + "}")->stored.keep;
  };
  EXPECT_TRUE(keeps(EndpointId::kResponses, ""));
  EXPECT_TRUE(keeps(EndpointId::kResponses, R"(,"store":true)"));
  EXPECT_TRUE(keeps(EndpointId::kResponses, R"(,"store":null)"));
  EXPECT_FALSE(keeps(EndpointId::kResponses, R"(,"store":false)"));
  EXPECT_FALSE(keeps(EndpointId::kChatCompletions, R"(,"store":true)"));
  EXPECT_NE(why(EndpointId::kResponses, R"({"model":"m","store":1})").find("'store'"), std::string::npos);
}

TEST(StoredState, TheIdOfAStoredPromptIsTold) {
  const Result<CallBody> call =
      call_of(EndpointId::kResponses, R"({"model":"m","prompt":{"version":"2","i\u0064":"pmpt\u005f1"}})");
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->stored_prompt, "pmpt_1");
  EXPECT_EQ(call_of(EndpointId::kResponses, R"({"model":"m","prompt":null})")->stored_prompt, "");
  EXPECT_EQ(call_of(EndpointId::kResponses, R"({"model":"m","prompt":{"id":null}})")->stored_prompt, "");
  EXPECT_NE(why(EndpointId::kResponses, R"({"model":"m","prompt":{"id":"a","ID":"b"}})").find("prompt.id"),
            std::string::npos);
  EXPECT_NE(why(EndpointId::kResponses, R"({"model":"m","prompt":{"id":7}})").find("prompt.id"), std::string::npos);
}

}  // namespace
}  // namespace sluice::openai
