// A stream of a chat in, the events of Responses out: what each chunk becomes, at every split, and what the end repeats.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "openai/stream_filter.h"
#include "translate/responses_to_chat.h"
#include "wire/skim.h"

namespace sluice::translate {
namespace {

constexpr dialect::AnswerFacts kStreamTestFacts = {.unique = "1", .model = "m", .prompt_estimate = 7};

std::string chunk(std::string_view delta, std::string_view finish = "null", std::string_view more = {}) {
  std::string text =
      R"(data: {"id":"c","object":"chat.completion.chunk","created":5,"model":"x","choices":[{"index":0,"delta":)";
  text.append(delta).append(R"(,"finish_reason":)").append(finish).append(more).append("}]}\n\n");
  return text;
}
std::string said(std::string_view text) { return chunk(R"({"content":")" + std::string(text) + R"("})"); }
std::string end_of_chat(std::string_view finish = R"("stop")", std::string_view usage = {}) {
  std::string text = chunk("{}", finish);
  if (!usage.empty()) text.append(R"(data: {"id":"c","choices":[],"usage":)").append(usage).append("}\n\n");
  return text + "data: [DONE]\n\n";
}

// The client's bytes, where the chat's come in two pieces.
std::string events_of(const std::string& chat, std::size_t split) {
  openai::StreamFilter filter(openai::endpoint_of(openai::EndpointId::kChatCompletions), {.client_wants_usage = true});
  const auto translator = ResponsesToChat().events(kStreamTestFacts);
  Buffer in, between, out;
  const auto pass = [&] {
    translator->translate(between.view(), out);
    between.clear();
  };
  in.append(std::string_view(chat).substr(0, split));
  (void)filter.filter(in, between);
  pass();
  in.append(std::string_view(chat).substr(split));
  if (filter.filter(in, between) == dialect::StreamState::kDone) (void)filter.finish(between);
  pass();
  translator->finish(out);
  return std::string(out.view());
}
std::string events_of(const std::string& chat) { return events_of(chat, chat.size()); }

struct Event {
  std::string name, data;
};

// Also sees to it that each event has its name in both places, and the next number.
std::vector<Event> read_all(const std::string& text) {
  std::vector<Event> events;
  Buffer joined;
  wire::EventSplitter splitter;
  std::string_view rest = text;
  wire::RawEvent raw;
  while (splitter.next(rest, raw) == wire::EventSplitter::Found::kEvent) {
    const wire::SseEvent event = wire::read_event(raw, joined);
    EXPECT_EQ(wire::skim_find(event.data, "type"), '"' + std::string(event.name) + '"');
    EXPECT_EQ(wire::skim_count(wire::skim_find(event.data, "sequence_number")), events.size()) << event.data;
    events.push_back({std::string(event.name), std::string(event.data)});
  }
  EXPECT_TRUE(rest.empty()) << rest;
  return events;
}

// The events between in_progress and the last, each without type and number, and the output of the last behind them.
std::string story(const std::string& chat) {
  const std::vector<Event> events = read_all(events_of(chat));
  std::string text;
  for (std::size_t at = 2; at + 1 < events.size(); ++at) {
    const std::string number = "\"sequence_number\":" + std::to_string(at);
    const std::string& data = events[at].data;
    text.append(events[at].name.substr(9))
        .append(" ")
        .append(data.substr(data.find(number) + number.size() + 1))
        .append("\n");
  }
  text.append(events.back().name).append(" ");
  return text.append(wire::skim_find(wire::skim_find(events.back().data, "response"), "output"));
}

TEST(ResponseStream, TextIsAMessageThatBeginsGrowsAndEnds) {
  EXPECT_EQ(
      story(chunk(R"({"role":"assistant","content":""})") + said("He") + said(R"(\"l\n)") + said("lo") + end_of_chat()),
      R"(output_item.added "output_index":0,"item":{"id":"msg_1_0","type":"message","role":"assistant","content":[],"status":"in_progress"}}
content_part.added "item_id":"msg_1_0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}
output_text.delta "item_id":"msg_1_0","output_index":0,"content_index":0,"logprobs":[],"delta":"He"}
output_text.delta "item_id":"msg_1_0","output_index":0,"content_index":0,"logprobs":[],"delta":"\"l\n"}
output_text.delta "item_id":"msg_1_0","output_index":0,"content_index":0,"logprobs":[],"delta":"lo"}
output_text.done "item_id":"msg_1_0","output_index":0,"content_index":0,"text":"He\"l\nlo","logprobs":[]}
content_part.done "item_id":"msg_1_0","output_index":0,"content_index":0,"part":{"type":"output_text","text":"He\"l\nlo","annotations":[],"logprobs":[]}}
output_item.done "output_index":0,"item":{"id":"msg_1_0","type":"message","role":"assistant","content":[{"type":"output_text","text":"He\"l\nlo","annotations":[],"logprobs":[]}],"status":"completed"}}
response.completed [{"id":"msg_1_0","type":"message","role":"assistant","content":[{"type":"output_text","text":"He\"l\nlo","annotations":[],"logprobs":[]}],"status":"completed"}])");
}

TEST(ResponseStream, TheFirstAndTheLastEventsHoldTheResponse) {
  const std::vector<Event> events = read_all(events_of(
      said("a") +
      end_of_chat(
          R"("stop")",
          R"({"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}})")));
  ASSERT_GT(events.size(), 3U);
  EXPECT_EQ(events[0].name, "response.created");
  EXPECT_EQ(events[1].name, "response.in_progress");
  EXPECT_EQ(
      wire::skim_find(events[0].data, "response"),
      R"({"id":"resp_1","object":"response","created_at":5,"status":"in_progress","background":false,"error":null,"incomplete_details":null,)"
      R"("model":"m","output":[],"instructions":null,"max_output_tokens":null,"metadata":{},"parallel_tool_calls":true,)"
      R"("reasoning":{"effort":null,"summary":null},"temperature":null,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],)"
      R"("top_p":null,"truncation":"disabled","user":null,"previous_response_id":null,"service_tier":"default","store":false,"usage":null})");
  const std::string_view last = wire::skim_find(events.back().data, "response");
  EXPECT_EQ(events.back().name, "response.completed");
  EXPECT_EQ(wire::skim_find(last, "status"), R"("completed")");
  EXPECT_EQ(wire::skim_find(last, "usage"),
            R"({"input_tokens":10,"input_tokens_details":{"cached_tokens":3,"cache_write_tokens":0},"output_tokens":4,)"
            R"("output_tokens_details":{"reasoning_tokens":2},"total_tokens":14})");
}

TEST(ResponseStream, ReasoningIsASummaryThatGoesBackUnderItsName) {
  for (const std::string name : {"reasoning", "reasoning_content"}) {
    const std::string done =
        R"({"id":"rs_1_0","type":"reasoning","summary":[{"type":"summary_text","text":"hm!"}],"encrypted_content":"sluice:)" +
        name + R"(","status":"completed"})";
    EXPECT_EQ(
        story(chunk(R"({"role":"assistant","content":null,")" + name + R"(":"hm"})") +
              chunk(R"({"content":null,")" + name + R"(":"!"})") + said("a") + end_of_chat()),
        R"(output_item.added "output_index":0,"item":{"id":"rs_1_0","type":"reasoning","summary":[],"encrypted_content":"sluice:)" +
            name +
            R"(","status":"in_progress"}}
reasoning_summary_part.added "item_id":"rs_1_0","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}
reasoning_summary_text.delta "item_id":"rs_1_0","output_index":0,"summary_index":0,"delta":"hm"}
reasoning_summary_text.delta "item_id":"rs_1_0","output_index":0,"summary_index":0,"delta":"!"}
reasoning_summary_text.done "item_id":"rs_1_0","output_index":0,"summary_index":0,"text":"hm!"}
reasoning_summary_part.done "item_id":"rs_1_0","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":"hm!"}}
output_item.done "output_index":0,"item":)" +
            done + R"(}
output_item.added "output_index":1,"item":{"id":"msg_1_1","type":"message","role":"assistant","content":[],"status":"in_progress"}}
content_part.added "item_id":"msg_1_1","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}
output_text.delta "item_id":"msg_1_1","output_index":1,"content_index":0,"logprobs":[],"delta":"a"}
output_text.done "item_id":"msg_1_1","output_index":1,"content_index":0,"text":"a","logprobs":[]}
content_part.done "item_id":"msg_1_1","output_index":1,"content_index":0,"part":{"type":"output_text","text":"a","annotations":[],"logprobs":[]}}
output_item.done "output_index":1,"item":{"id":"msg_1_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}],"status":"completed"}}
response.completed [)" +
            done +
            R"(,{"id":"msg_1_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}],"status":"completed"}])");
  }
}

std::string call_chunk(std::string_view call) { return chunk(R"({"tool_calls":[)" + std::string(call) + "]}"); }

TEST(ResponseStream, CallsWhoseArgumentsComeMixedStayApart) {
  EXPECT_EQ(
      story(said(R"(\n\n)") +
            call_chunk(R"({"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}})") +
            call_chunk(R"({"index":1,"id":"b","type":"function","function":{"name":"ns2__ab__g","arguments":"{}"}})") +
            call_chunk(R"({"index":0,"function":{"arguments":"{\"x\":"}})") +
            call_chunk(R"({"index":0,"function":{"name":"","arguments":"1}"}})") + end_of_chat(R"("tool_calls")")),
      R"(output_item.added "output_index":0,"item":{"id":"fc_1_0","type":"function_call","call_id":"a","name":"f","arguments":"","status":"in_progress"}}
output_item.added "output_index":1,"item":{"id":"fc_1_1","type":"function_call","call_id":"b","name":"g","namespace":"ab","arguments":"","status":"in_progress"}}
function_call_arguments.delta "item_id":"fc_1_1","output_index":1,"delta":"{}"}
function_call_arguments.delta "item_id":"fc_1_0","output_index":0,"delta":"{\"x\":"}
function_call_arguments.delta "item_id":"fc_1_0","output_index":0,"delta":"1}"}
function_call_arguments.done "item_id":"fc_1_0","output_index":0,"name":"f","arguments":"{\"x\":1}"}
output_item.done "output_index":0,"item":{"id":"fc_1_0","type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1}","status":"completed"}}
function_call_arguments.done "item_id":"fc_1_1","output_index":1,"name":"g","arguments":"{}"}
output_item.done "output_index":1,"item":{"id":"fc_1_1","type":"function_call","call_id":"b","name":"g","namespace":"ab","arguments":"{}","status":"completed"}}
response.completed [{"id":"fc_1_0","type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1}","status":"completed"},)"
      R"({"id":"fc_1_1","type":"function_call","call_id":"b","name":"g","namespace":"ab","arguments":"{}","status":"completed"}])");
}

TEST(ResponseStream, CallsOfServersThatCountThemOddly) {
  // Every one with index 0 and whole; none with an index; an object for arguments; no id and no arguments.
  const auto output = [](const std::string& chat) {
    return story(chat).substr(story(chat).find("response.completed"));
  };
  EXPECT_EQ(
      output(call_chunk(R"({"index":0,"id":"a","function":{"name":"f","arguments":"{}"}})") +
             call_chunk(R"({"index":0,"id":"b","function":{"name":"f","arguments":"{}"}})") + end_of_chat()),
      R"(response.completed [{"id":"fc_1_0","type":"function_call","call_id":"a","name":"f","arguments":"{}","status":"completed"},)"
      R"({"id":"fc_1_1","type":"function_call","call_id":"b","name":"f","arguments":"{}","status":"completed"}])");
  EXPECT_EQ(
      output(call_chunk(R"({"id":"a","function":{"name":"f","arguments":{"x":"y"}}})") + end_of_chat()),
      R"(response.completed [{"id":"fc_1_0","type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":\"y\"}","status":"completed"}])");
  EXPECT_EQ(
      output(call_chunk(R"({"function":{"name":"f"}})") + end_of_chat()),
      R"(response.completed [{"id":"fc_1_0","type":"function_call","call_id":"call_1_0","name":"f","arguments":"{}","status":"completed"}])");
}

TEST(ResponseStream, CallsWithNeitherNumbersNorIdsAreToldApartByTheirPlaces) {
  const std::string text = story(
      call_chunk(R"({"function":{"name":"f","arguments":"{}"}},{"function":{"name":"g","arguments":"{\"x\":1}"}})") +
      end_of_chat());
  EXPECT_NE(text.find(R"("name":"f","arguments":"{}","status":"completed"},)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("name":"g","arguments":"{\"x\":1}","status":"completed"}])"), std::string::npos) << text;
}

TEST(ResponseStream, PiecesOfTwoCallsInOneChunkAreAllKept) {
  const auto both = [](std::string_view piece) {
    return call_chunk(R"({"index":0,"function":{"arguments":")" + std::string(piece) +
                      R"("}},{"index":1,"function":{"arguments":"7"}})");
  };
  const std::string text = story(call_chunk(R"({"index":0,"id":"a","function":{"name":"f","arguments":""}})") +
                                 call_chunk(R"({"index":1,"id":"b","function":{"name":"p__custom","arguments":""}})") +
                                 both("1") + both("2") + both("3") + end_of_chat());
  EXPECT_NE(text.find(R"("arguments":"123","status":"completed"})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("input":"777","status":"completed"})"), std::string::npos) << text;
}

TEST(ResponseStream, AListOfCallsHasAnEnd) {
  const auto translator = ResponsesToChat().events(kStreamTestFacts);
  Buffer out;
  for (int i = 0; i < 5'000; ++i)
    translator->translate(call_chunk(R"({"index":)" + std::to_string(i) + R"(,"function":{"name":"f"}})"), out);
  out.clear();
  translator->finish(out);
  EXPECT_NE(out.view().find("fc_1_511"), std::string_view::npos);
  EXPECT_EQ(out.view().find("fc_1_512"), std::string_view::npos);
}

TEST(ResponseStream, ThoughtAndTextInTurnsWithoutEndAreNoGigabytes) {
  std::string parts;
  for (int i = 0; i < 5'000; ++i) parts += R"({"text":"a"},{"thinking":"b"},)";
  const std::string out = events_of(chunk(R"({"content":[)" + parts + R"({"text":"a"}]})") + end_of_chat());
  EXPECT_LT(out.size(), 3'000'000U);
  EXPECT_NE(out.find("event: response.completed"), std::string::npos);
}

TEST(ResponseStream, ACustomToolGetsItsTextInOnePiece) {
  EXPECT_EQ(
      story(call_chunk(R"({"index":0,"id":"a","function":{"name":"apply_patch__custom","arguments":"{\"inp"}})") +
            call_chunk(R"({"index":0,"function":{"arguments":"ut\": \"a\\n\\\"b\\\"\"}"}})") +
            end_of_chat(R"("tool_calls")")),
      R"(output_item.added "output_index":0,"item":{"id":"ctc_1_0","type":"custom_tool_call","call_id":"a","name":"apply_patch","input":"","status":"in_progress"}}
custom_tool_call_input.delta "item_id":"ctc_1_0","output_index":0,"delta":"a\n\"b\""}
custom_tool_call_input.done "item_id":"ctc_1_0","output_index":0,"input":"a\n\"b\""}
output_item.done "output_index":0,"item":{"id":"ctc_1_0","type":"custom_tool_call","call_id":"a","name":"apply_patch","input":"a\n\"b\"","status":"completed"}}
response.completed [{"id":"ctc_1_0","type":"custom_tool_call","call_id":"a","name":"apply_patch","input":"a\n\"b\"","status":"completed"}])");
}

TEST(ResponseStream, ACustomToolGetsWhatAModelWroteInItsOwnWay) {
  const auto input = [](std::string_view arguments) {
    const std::string text = story(call_chunk(R"({"index":0,"id":"a","function":{"name":"p__custom","arguments":")" +
                                              std::string(arguments) + R"("}})") +
                                   end_of_chat());
    const std::string_view item = std::string_view(text).substr(text.find("response.completed [") + 20);
    return std::string(wire::skim_find(item.substr(0, item.size() - 1), "input"));
  };
  EXPECT_EQ(input(R"({\"patch\":\"x\"})"), R"("x")");
  EXPECT_EQ(input(R"(*** Begin)"), R"("*** Begin")");
  EXPECT_EQ(input(R"({\"a\":\"x\",\"b\":1})"), R"("{\"a\":\"x\",\"b\":1}")");
  EXPECT_EQ(input(R"({\"input\":\"a\nb\"})"), R"("a\nb")");  // a line end that JSON would have escaped
}

TEST(ResponseStream, AShellCallHasItsAction) {
  const std::string text = story(
      call_chunk(
          R"({"index":0,"id":"a","function":{"name":"local_shell__shell","arguments":"{\"command\":[\"ls\"]}"}})") +
      end_of_chat());
  EXPECT_NE(
      text.find(
          R"(response.completed [{"id":"lsh_1_0","type":"local_shell_call","call_id":"a","action":{"type":"exec","command":["ls"],"env":{}},"status":"completed"}])"),
      std::string::npos)
      << text;
}

TEST(ResponseStream, AShellCallIsJsonWhateverTheModelWrote) {
  const auto action = [](std::string_view arguments) {
    const std::string text =
        story(call_chunk(R"({"index":0,"id":"a","function":{"name":"local_shell__shell","arguments":")" +
                         std::string(arguments) + R"("}})") +
              end_of_chat());
    const std::string_view item = std::string_view(text).substr(text.find("response.completed [") + 20);
    return std::string(wire::skim_find(item.substr(0, item.size() - 1), "action"));
  };
  EXPECT_EQ(action(R"({\"command\":[},\"a\":1})"), R"({"type":"exec","command":[],"env":{}})");
  EXPECT_EQ(action(R"({\"command\":[\"ls\"],\"a\\\"b\":1})"), R"({"type":"exec","command":["ls"],"a\"b":1,"env":{}})");
}

TEST(ResponseStream, ARefusalIsAPartOfItsOwn) {
  const std::string text =
      story(said("a") + chunk(R"({"refusal":"No"})") + chunk(R"({"refusal":"."})") + end_of_chat());
  EXPECT_NE(text.find(R"(refusal.delta "item_id":"msg_1_0","output_index":0,"content_index":1,"delta":"No"})"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(R"(refusal.done "item_id":"msg_1_0","output_index":0,"content_index":1,"refusal":"No."})"),
            std::string::npos)
      << text;
  EXPECT_NE(
      text.find(
          R"(response.completed [{"id":"msg_1_0","type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]},{"type":"refusal","refusal":"No."}],"status":"completed"}])"),
      std::string::npos)
      << text;
}

TEST(ResponseStream, LogProbabilitiesComeWithTheirText) {
  const std::string text =
      story(chunk(R"({"content":"a"})", "null",
                  R"(,"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}]})") +
            end_of_chat());
  EXPECT_NE(text.find(R"("logprobs":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}],"delta":"a"})"),
            std::string::npos)
      << text;
  EXPECT_NE(
      text.find(
          R"("text":"a","annotations":[],"logprobs":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]}]}])"),
      std::string::npos)
      << text;
}

TEST(ResponseStream, AnAnswerThatMetItsCapOrAFilterIsIncompleteAndSaysWhy) {
  for (const auto& [finish, reason] : {std::pair(R"("length")", R"({"reason":"max_output_tokens"})"),
                                       std::pair(R"("content_filter")", R"({"reason":"content_filter"})")}) {
    const std::vector<Event> events = read_all(events_of(said("a") + end_of_chat(finish)));
    const std::string_view last = wire::skim_find(events.back().data, "response");
    EXPECT_EQ(events.back().name, "response.incomplete");
    EXPECT_EQ(wire::skim_find(last, "status"), R"("incomplete")");
    EXPECT_EQ(wire::skim_find(last, "incomplete_details"), reason);
    EXPECT_NE(wire::skim_find(last, "output").find(R"("status":"incomplete")"), std::string_view::npos);
  }
}

TEST(ResponseStream, AServerThatTellsNoUsageIsCounted) {
  const std::vector<Event> events = read_all(events_of(said("a word") + end_of_chat()));
  EXPECT_EQ(wire::skim_find(wire::skim_find(events.back().data, "response"), "usage"),
            R"({"input_tokens":7,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":2,)"
            R"("output_tokens_details":{"reasoning_tokens":0},"total_tokens":9})");
}

TEST(ResponseStream, AnErrorFailsTheResponseAndIsWhatSdksRaise) {
  const std::string chat =
      said("a") + R"(data: {"error":{"message":"Out of \"memory\"","type":"server_error","param":null,"code":"oom"}})"
                  "\n\n";
  openai::StreamFilter filter(openai::endpoint_of(openai::EndpointId::kChatCompletions), {});
  const auto translator = ResponsesToChat().events(kStreamTestFacts);
  Buffer in, between, out;
  in.append(chat);
  EXPECT_EQ(filter.filter(in, between), dialect::StreamState::kError);
  translator->translate(between.view(), out);
  translator->finish(out);
  const std::vector<Event> events = read_all(std::string(out.view()));
  const Event& failed = events[events.size() - 2];
  EXPECT_EQ(failed.name, "response.failed");
  EXPECT_EQ(wire::skim_find(wire::skim_find(failed.data, "response"), "error"),
            R"({"code":"oom","message":"Out of \"memory\""})");
  EXPECT_EQ(events.back().name, "error");
  EXPECT_EQ(wire::skim_find(events.back().data, "error"),
            R"({"message":"Out of \"memory\"","type":"server_error","param":null,"code":"oom"})");
}

TEST(ResponseStream, NothingButAnEndIsAnEmptyResponse) { EXPECT_EQ(story(end_of_chat()), "response.completed []"); }

TEST(ResponseStream, WhatLeavesIsTheSameAtEverySplit) {
  const std::string chat =
      chunk(R"({"role":"assistant","content":""})") + chunk(R"({"reasoning":"hm"})") + chunk(R"({"reasoning":"hm2"})") +
      chunk(R"({"reasoning":"hm3"})") + said("He") + said("l") + said(R"(l\u00e9\\)") + said("") + said(R"(o\")") +
      ": ping\n\n" + call_chunk(R"({"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}})") +
      call_chunk(R"({"index":0,"function":{"arguments":"1"}})") +
      call_chunk(R"({"index":0,"function":{"arguments":"2"}})") +
      call_chunk(R"({"index":0,"function":{"arguments":"}"}})") + said("more") + said(" text") + said(".") +
      end_of_chat(R"("tool_calls")", R"({"prompt_tokens":1,"completion_tokens":2,"total_tokens":3})");
  const std::string whole = events_of(chat);
  for (std::size_t split = 0; split < chat.size(); ++split) ASSERT_EQ(events_of(chat, split), whole) << split;
  const std::vector<Event> events = read_all(whole);
  EXPECT_EQ(
      wire::skim_find(wire::skim_find(events.back().data, "response"), "output"),
      R"([{"id":"rs_1_0","type":"reasoning","summary":[{"type":"summary_text","text":"hmhm2hm3"}],"encrypted_content":"sluice:reasoning","status":"completed"},)"
      R"({"id":"msg_1_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hell\u00e9\\o\"","annotations":[],"logprobs":[]}],"status":"completed"},)"
      R"({"id":"fc_1_2","type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":12}","status":"completed"},)"
      R"({"id":"msg_1_3","type":"message","role":"assistant","content":[{"type":"output_text","text":"more text.","annotations":[],"logprobs":[]}],"status":"completed"}])");
}

TEST(ResponseStream, AChunkThatIsLikeTheLastButForItsEndIsReadAnew) {
  // Of one length behind the text, so that nothing but its bytes tells them apart.
  const std::string open = R"(,"logprobs":null)", ended = R"(,"abcde":123)";
  const std::string chat = chunk(R"({"content":"a"})", "null", open) + chunk(R"({"content":"b"})", "null", open) +
                           chunk(R"({"content":"c"})", "null", open) +
                           chunk(R"({"content":"d"})", R"("length")", ended);
  const std::vector<Event> events = read_all(events_of(chat + "data: [DONE]\n\n"));
  EXPECT_EQ(events.back().name, "response.incomplete");
  EXPECT_NE(events.back().data.find(R"("text":"abcd")"), std::string::npos);
}

TEST(ResponseStream, WhatTheEndWillRepeatIsCountedAsHeld) {
  const auto translator = ResponsesToChat().events(kStreamTestFacts);
  Buffer out;
  const std::string text(10'000, 'x');
  for (int i = 0; i < 20; ++i) translator->translate(said(text), out);
  EXPECT_GT(translator->held_bytes(), 800'000U);  // the text itself, and three times at the end
  EXPECT_LT(translator->held_bytes(), 840'000U);
}

}  // namespace
}  // namespace sluice::translate
