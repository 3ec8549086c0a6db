// A dialect that no client speaks: all that a new one takes is a file such as this and a place in the table.
//
//   POST /toy/say            MODEL[ stream]\n TEXT       the call; no JSON in it
//   {"said":"a b c"}                                     a whole answer: a token for each word
//   data: a\n\n … event: end\ndata: \n\n                 a stream: a word for each event
//   {"oops":"words"}                                     an error
#pragma once

#include <algorithm>
#include <array>
#include <charconv>

#include "dialect/dialect.h"
#include "wire/json_text.h"
#include "wire/skim.h"
#include "wire/sse_events.h"

namespace sluice::test {

inline std::uint64_t words_in(std::string_view text) {
  return text.empty() ? 0 : static_cast<std::uint64_t>(std::ranges::count(text, ' ')) + 1;
}

class ToyFilter final : public dialect::EventFilter {
 public:
  dialect::StreamState filter(Buffer& in, Buffer& out) noexcept override {
    std::string_view rest = in.view();
    wire::RawEvent raw;
    while (state_ == dialect::StreamState::kOpen && splitter_.next(rest, raw) == wire::EventSplitter::Found::kEvent) {
      const wire::SseEvent event = wire::read_event(raw, joined_);
      if (event.name == "end") {
        state_ = dialect::StreamState::kDone;
      } else {
        wire::append_event(out, event.name, event.data);
        ++words_;
      }
    }
    in.consume(in.size() - rest.size());
    return state_;
  }
  [[nodiscard]] bool has_more() const noexcept override { return false; }
  [[nodiscard]] std::size_t held_bytes() const noexcept override { return 0; }
  dialect::StreamState finish(Buffer& out) noexcept override {
    if (state_ == dialect::StreamState::kOpen) return state_ = dialect::StreamState::kBroken;
    out.append("event: end\ndata: \n\n");
    return state_;
  }
  void cut(Buffer& out) noexcept override {
    state_ = dialect::StreamState::kDone;
    out.append("event: end\ndata: enough\n\n");
  }
  [[nodiscard]] std::uint64_t completion_tokens() const noexcept override { return words_; }
  [[nodiscard]] Usage usage(std::uint64_t prompt_estimate) const noexcept override {
    return {.source = UsageSource::kEstimated, .prompt_tokens = prompt_estimate, .completion_tokens = words_};
  }
  [[nodiscard]] dialect::Ending ending() const noexcept override { return dialect::Ending::kComplete; }
  [[nodiscard]] const std::optional<dialect::UsageReading>& told() const noexcept override { return told_; }
  [[nodiscard]] std::string_view model() const noexcept override { return "toy-1"; }

 private:
  wire::EventSplitter splitter_;
  Buffer joined_;
  dialect::StreamState state_ = dialect::StreamState::kOpen;
  std::uint64_t words_ = 0;
  std::optional<dialect::UsageReading> told_;
};

class ToyAnswer final : public dialect::WholeAnswer {
 public:
  void take(std::string_view bytes) override { text_.append(bytes); }
  [[nodiscard]] Form form() const noexcept override { return text_.ends_with('}') ? Form::kWhole : Form::kOpen; }
  [[nodiscard]] bool is_answer() const noexcept override { return !said().empty(); }
  [[nodiscard]] bool says_error() const noexcept override { return !wire::skim_find(text_, "oops").empty(); }
  [[nodiscard]] dialect::Ending ending() const noexcept override { return dialect::Ending::kComplete; }
  [[nodiscard]] std::optional<dialect::UsageReading> told() const noexcept override {
    return dialect::UsageReading{.usage = {.source = UsageSource::kMeasured, .completion_tokens = words_in(said())}};
  }
  [[nodiscard]] std::string_view model() const noexcept override { return "toy-1"; }
  [[nodiscard]] std::uint64_t text_bytes() const noexcept override { return said().size(); }

 private:
  [[nodiscard]] std::string_view said() const noexcept {
    const std::string_view value = wire::skim_find(text_, "said");
    return wire::is_string(value) ? wire::unquoted(value) : value;
  }
  std::string text_;
};

class ToyAssembly final : public dialect::Assembly {
 public:
  void take(Buffer& events) override {
    std::string_view rest = events.view();
    wire::RawEvent raw;
    while (splitter_.next(rest, raw) == wire::EventSplitter::Found::kEvent) {
      const std::string_view word = wire::read_event(raw, joined_).data;
      if (!word.empty()) said_.append(said_.empty() ? "" : " ").append(word);
    }
    events.consume(events.size() - rest.size());
  }
  [[nodiscard]] std::size_t size_bytes() const noexcept override { return said_.size(); }
  [[nodiscard]] std::string_view error() const noexcept override { return {}; }
  [[nodiscard]] dialect::Converted append_to(Buffer& out) const override {
    out.append(R"({"said":")");
    out.append(said_);
    out.append("\"}");
    return dialect::Converted::kDone;
  }

 private:
  wire::EventSplitter splitter_;
  Buffer joined_;
  std::string said_;
};

class ToyDialect final : public dialect::Dialect {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "toy"; }
  [[nodiscard]] std::span<const dialect::Endpoint> endpoints() const noexcept override { return kEndpoints; }
  [[nodiscard]] const char* advice_for(std::string_view path) const noexcept override {
    return path.starts_with("/toy/") ? "A toy can only be told to say something." : nullptr;
  }
  [[nodiscard]] std::string_view mark_of_clients() const noexcept override { return {}; }

  [[nodiscard]] Result<dialect::CallBody> read_call(const dialect::Endpoint&, std::string_view body,
                                                    wire::Parser&) const noexcept override {
    const std::size_t line = body.find('\n');
    if (line == std::string_view::npos) return client_error(ErrorKind::kBadRequest, "What is to be said?");
    const std::string_view first = body.substr(0, line);
    const std::size_t space = std::min(first.find(' '), first.size());
    dialect::CallBody call;
    call.model = first.substr(0, space);
    call.model_member = {.offset = 0, .length = space};
    call.stream = first.substr(space) == " stream";
    call.prompt_estimate = words_in(body.substr(line + 1));
    return call;
  }
  void edit_body(const dialect::Endpoint&, const dialect::CallBody& call, std::string_view body,
                 const dialect::Edits& edits, dialect::EditedBody& into) const override {
    into.scratch.assign(edits.model.empty() ? std::string_view(call.model) : edits.model);
    into.parts[0] = into.scratch;
    into.parts[1] = body.substr(call.model_member.length);
    into.count = 2;
  }

  [[nodiscard]] std::string_view cap_member(const dialect::Endpoint&, CapMember) const noexcept override {
    return "most";
  }
  [[nodiscard]] std::string_view other_cap_member(const dialect::Endpoint&, std::string_view) const noexcept override {
    return {};
  }
  [[nodiscard]] std::string_view usage_member() const noexcept override { return "count"; }
  [[nodiscard]] bool refuses_member(std::string_view, std::string_view) const override { return false; }

  [[nodiscard]] std::unique_ptr<dialect::EventFilter> filter(const dialect::Endpoint&,
                                                             const dialect::FilterOptions&) const override {
    return std::make_unique<ToyFilter>();
  }
  [[nodiscard]] std::unique_ptr<dialect::WholeAnswer> walk(const dialect::Endpoint&) const override {
    return std::make_unique<ToyAnswer>();
  }
  [[nodiscard]] std::unique_ptr<dialect::Assembly> assembly(const dialect::Endpoint&) const override {
    return std::make_unique<ToyAssembly>();
  }
  [[nodiscard]] dialect::Converted append_as_events(Buffer& out, const dialect::Endpoint&,
                                                    std::string_view answer) const override {
    const std::string_view said = wire::skim_find(answer, "said");
    if (!wire::is_string(said)) return dialect::Converted::kNot;
    for (std::string_view rest = wire::unquoted(said); !rest.empty();) {
      const std::size_t space = std::min(rest.find(' '), rest.size());
      wire::append_event(out, {}, rest.substr(0, space));
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
    wire::append_event(out, "end", "-");
    return dialect::Converted::kDone;
  }
  [[nodiscard]] std::string_view ping() const noexcept override { return "event: wait\ndata: \n\n"; }

  [[nodiscard]] dialect::ErrorAnswer error_answer(const Error& error, std::string_view message,
                                                  RefusalKind why) const override {
    const bool spent = why != RefusalKind::kNone;
    return oops(error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kModelNotFound ? 404
                : spent                                                                       ? 429
                                                                                              : 400,
                spent             ? "enough"
                : message.empty() ? std::string_view(error.what)
                                  : message);
  }
  [[nodiscard]] dialect::ErrorAnswer upstream_answer(std::uint16_t status, std::string_view,
                                                     std::string_view) const override {
    return oops(status, "the other toy is broken");
  }
  [[nodiscard]] std::optional<dialect::ErrorAnswer> error_in_answer(std::string_view body) const override {
    if (wire::skim_find(body, "oops").empty()) return std::nullopt;
    return oops(502, "the other toy is broken");
  }
  [[nodiscard]] WipedString error_event(const dialect::ErrorAnswer& answer) const override {
    return WipedString("event: oops\ndata: ").append(answer.body).append("\n\n");
  }

  [[nodiscard]] std::string_view request_id_header() const noexcept override { return {}; }
  void add_request_id(dialect::ErrorAnswer&, std::string_view) const override {}

  void append_model(std::string& into, const dialect::ListedModel& model) const override { into += model.name; }
  void append_count(std::string& into, std::uint64_t tokens) const override { into += std::to_string(tokens); }
  void append_models(std::string& into, std::span<const dialect::ListedModel> models) const override {
    for (const dialect::ListedModel& model : models) append_model(into, model);
  }

 private:
  static dialect::ErrorAnswer oops(std::uint16_t status, std::string_view words) {
    dialect::ErrorAnswer answer;
    answer.status = status;
    answer.body = R"({"oops":)";
    wire::append_json_string(answer.body, words);
    answer.body += '}';
    return answer;
  }

  static constexpr std::array<dialect::Endpoint, 1> kEndpoints{
      dialect::Endpoint{.name = "toy.say", .method = "POST", .path = "/toy/say"}};
};

}  // namespace sluice::test
