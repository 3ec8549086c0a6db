#include "openai/batch_lines.h"

#include <algorithm>
#include <array>

#include "dialect/body_reader.h"
#include "openai/call_reader.h"
#include "wire/folded_name.h"

namespace sluice::openai {
namespace {

namespace ondemand = simdjson::ondemand;

using dialect::CallBody;
using dialect::Upload;

constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 40;  // of one line: sums of them stay far from an overflow

// One line, and the call in it.
struct BatchLine {
  const Endpoint* endpoint = nullptr;
  std::string_view body;  // of the call
  CallBody call;
};

// The lines of a file that hold something, one after the other.
class BatchLines final {
 public:
  explicit BatchLines(std::string_view file) noexcept : rest_(file) {}

  // False: there are no more.
  bool next() noexcept {
    while (!rest_.empty()) {
      const std::size_t end = std::min(rest_.find('\n'), rest_.size());
      line_ = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++number_;
      if (line_.find_first_not_of(" \t\r") != std::string_view::npos) return true;
    }
    return false;
  }
  [[nodiscard]] std::string_view line() const noexcept { return line_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

 private:
  std::string_view rest_, line_;
  std::uint64_t number_ = 0;
};

const Endpoint* endpoint_at(std::string_view url) noexcept {
  const auto rows = endpoints();
  const auto row = std::ranges::find_if(rows, [url](const Endpoint& endpoint) {
    const bool takes_lines = endpoint.work == dialect::Work::kGenerate || endpoint.work == dialect::Work::kEmbed;
    return takes_lines && endpoint.body == dialect::BodyKind::kJson && endpoint.path == url;
  });
  return row == rows.end() ? nullptr : &*row;
}

// The members of a line that are read; others go on as they stand.
class LineWalk final {
 public:
  LineWalk(ondemand::parser& parser, std::string_view line) noexcept : reader_(parser, line) {}

  Status run(BatchLine& into) {
    CallBody around;
    SLUICE_TRY(reader_.read(around, [&](std::string_view name, ondemand::value& value) -> Status {
      constexpr std::array<std::string_view, 4> kNames{"custom_id", "method", "url", "body"};
      for (std::size_t i = 0; i < kNames.size(); ++i) {
        if (!wire::equals_folded(name, kNames[i])) continue;
        if (seen_[i] || name != kNames[i])
          return wire::bad("A member occurs twice, or differs from custom_id, method, url and body in case alone.");
        seen_[i] = true;
        return i == 3 ? read_body(value, into) : read_text(i, value, into);
      }
      return ok();  // passed over
    }));
    if (!std::ranges::all_of(seen_, [](bool seen) { return seen; }))
      return wire::bad("It must have 'custom_id', 'method', 'url' and 'body'.");
    return ok();
  }

 private:
  Status read_text(std::size_t which, ondemand::value& value, BatchLine& into) {
    WipedString text;
    SLUICE_TRY(reader_.read_name(value, text, "'custom_id', 'method' and 'url' must be strings of 1 to 256 bytes."));
    if (which == 1 && text != "POST") return wire::bad("'method' must be POST.");
    if (which != 2) return ok();
    into.endpoint = endpoint_at(text);
    return into.endpoint != nullptr
               ? ok()
               : Status(wire::bad("'url' must be /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses "
                                  "or another endpoint of this gateway that takes JSON and makes no media."));
  }

  static Status read_body(ondemand::value& value, BatchLine& into) {
    ondemand::object object;
    if (value.get_object().get(object) || object.raw_json().get(into.body))
      return wire::bad("'body' must be a JSON object.");
    return ok();
  }

  dialect::BodyReader reader_;
  std::array<bool, 4> seen_{};
};

// What a single call may have and one of a batch may not.
Status check_batched(const CallBody& call) {
  if (call.model.empty()) return wire::bad("Its body has no 'model'; name the model to call.");
  if (call.stream) return wire::bad("Its call asks for a stream; calls of a batch are answered whole.");
  if (call.background) return wire::bad("Its call asks for 'background'; a batch is one.");
  if (call.stored.any() || !call.stored_prompt.empty())
    return wire::bad("Its call goes on from what a model server keeps; send the whole conversation in it.");
  if (!call.prompt_cache_key.empty()) return wire::bad("Its call has a 'prompt_cache_key'; leave it out in a batch.");
  if (call.labels.meta.present())
    return wire::bad("Its call has '_meta'; label a batch as a whole, by the header x-sluice-labels.");
  return ok();
}

Result<BatchLine> read_batch_line(std::string_view line, wire::Parser& parser) {
  BatchLine read;
  SLUICE_TRY(LineWalk(parser.memory().parser, line).run(read));
  Result<CallBody> call = read_call(*read.endpoint, read.body, parser);
  if (!call) return call.error();
  read.call = std::move(*call);
  SLUICE_TRY(check_batched(read.call));
  return read;
}

Status add_line(const BatchLine& line, Upload& upload, WipedString& model) {
  const CallBody& call = line.call;
  if (upload.lines == 0) {
    model = call.model;
    upload.endpoint = line.endpoint->name;
  }
  if (call.model != model) return wire::bad("It names another model than the first line; a batch calls one model.");
  if (line.endpoint->name != upload.endpoint)
    return wire::bad("It has another 'url' than the first line; a batch calls one endpoint.");
  ++upload.lines;
  upload.prompt_tokens += std::min(call.prompt_estimate, kMostTokens);
  if (line.endpoint->work != dialect::Work::kGenerate) return ok();
  const std::uint64_t answers = std::min(call.choices, kMostTokens);
  if (call.output_cap)
    upload.output_tokens += std::min(*call.output_cap, kMostTokens / answers) * answers;
  else
    upload.uncapped_answers += answers;
  return ok();
}

}  // namespace

WipedString read_batch(std::string_view file, Upload& upload, wire::Parser& parser) {
  WipedString model;
  BatchLines lines(file);
  while (lines.next()) {
    const Result<BatchLine> line = read_batch_line(lines.line(), parser);
    const Status added = line ? add_line(*line, upload, model) : Status(line.error());
    if (added) continue;
    upload.wrong_line = lines.number();
    upload.wrong = added.error();
    break;
  }
  return model;
}

Status append_edited_batch(Buffer& out, std::string_view file, const dialect::LineEdits& edits, wire::Parser& parser) {
  dialect::EditedBody edited;
  std::string_view of_chats;
  if (edits.cap_member == CapMember::kMaxTokens) of_chats = kMaxTokens;
  if (edits.cap_member == CapMember::kMaxCompletionTokens) of_chats = kMaxCompletionTokens;
  const char* copied = file.data();
  BatchLines lines(file);
  while (lines.next()) {
    const Result<BatchLine> line = read_batch_line(lines.line(), parser);
    if (!line) return line.error();
    dialect::Edits of_call{.model = edits.model, .cap_member = of_chats};
    const bool caps = line->endpoint->work == dialect::Work::kGenerate && !line->call.output_cap;
    if (caps) of_call.clamp_output_to = edits.cap;
    edit_body(*line->endpoint, line->call, line->body, of_call, edited);
    out.append({copied, static_cast<std::size_t>(line->body.data() - copied)});
    for (std::size_t i = 0; i < edited.count; ++i) out.append(edited.parts[i]);
    copied = line->body.data() + line->body.size();
  }
  out.append({copied, static_cast<std::size_t>(file.data() + file.size() - copied)});
  return ok();
}

std::optional<dialect::UsageReading> told_in_batch(std::string_view line, wire::Parser& parser) {
  ondemand::document document;
  ondemand::object usage;
  std::string_view text;
  std::optional<dialect::UsageReading> told;
  if (!parser.memory()
           .parser.iterate(line.data(), line.size(), line.size() + simdjson::SIMDJSON_PADDING)
           .get(document) &&
      !document["response"]["body"]["usage"].get_object().get(usage) && !usage.raw_json().get(text))
    told = dialect::read_usage(text);
  parser.trim();
  return told;
}

}  // namespace sluice::openai
