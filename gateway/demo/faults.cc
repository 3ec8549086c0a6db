#include "demo/faults.h"

#include <charconv>
#include <cstdlib>

#include "base/text.h"

namespace sluice::demo {
namespace {

constexpr std::array kRows{
    FaultRow{Fault::kNoDone, "no-done", "", "end the stream after its finish_reason, without [DONE]"},
    FaultRow{Fault::kErrorInStream, "error-in-stream", "nested",
             "an error event half-way: nested, flat, string, integer or choices-null"},
    FaultRow{Fault::kErrorNull, "error-null", "", "\"error\":null in every chunk"},
    FaultRow{Fault::kFlatError, "flat-error", "400", "a flat error body (SGLang) with this status"},
    FaultRow{Fault::kStringError, "string-error", "500", "{\"error\":\"…\"} with this status"},
    FaultRow{Fault::kHtmlError, "html-error", "502", "an HTML page with this status"},
    FaultRow{Fault::kEmptyError, "empty-error", "500", "an empty body with this status"},
    FaultRow{Fault::kIntegerCode, "integer-code", "400", "a nested error with an integer code (vLLM, llama.cpp)"},
    FaultRow{Fault::kOkError, "ok-error", "", "an error body under status 200 (TGI)"},
    FaultRow{Fault::kStatus, "status", "500", "a nested error with this status"},
    FaultRow{Fault::kRetryAfter, "retry-after", "7", "429 with Retry-After: SECONDS"},
    FaultRow{Fault::kPings, "pings", "", "comment lines between events (llama.cpp)"},
    FaultRow{Fault::kIds, "ids", "", "id: and retry: lines"},
    FaultRow{Fault::kBom, "bom", "", "a byte order mark before the first event"},
    FaultRow{Fault::kCrlf, "crlf", "", "CRLF line ends"},
    FaultRow{Fault::kCr, "cr", "", "CR line ends"},
    FaultRow{Fault::kSilence, "silence", "3", "nothing for SECONDS half-way"},
    FaultRow{Fault::kSlowHead, "slow-head", "3", "nothing for SECONDS before the head"},
    FaultRow{Fault::kCumulativeUsage, "cumulative-usage", "",
             "usage so far in every chunk (vLLM continuous_usage_stats)"},
    FaultRow{Fault::kUsageOnLastChunk, "usage-on-last-chunk", "",
             "usage in the chunk with the finish_reason, and no other"},
    FaultRow{Fault::kUnaskedUsage, "unasked-usage", "", "a usage chunk that nobody asked for"},
    FaultRow{Fault::kZeroUsage, "zero-usage", "", "usage that is all zero"},
    FaultRow{Fault::kNoUsage, "no-usage", "", "no usage at all"},
    FaultRow{Fault::kDieMidStream, "die-mid-stream", "", "reset the connection half-way"},
    FaultRow{Fault::kEofMidStream, "eof-mid-stream", "", "end the transfer cleanly half-way"},
    FaultRow{Fault::kBigEvent, "big-event", "1048576", "one event of BYTES half-way"},
    FaultRow{Fault::kContextOverflow, "context-overflow", "llama",
             "400 for a prompt that is too long: llama or vllm form"},
    FaultRow{Fault::kOllamaSilentFailure, "ollama-silent-failure", "",
             "one empty chunk, then a clean end (Ollama's /v1)"},
    FaultRow{Fault::kNotJson, "not-json", "", "an event half-way whose data is not JSON"},
    FaultRow{Fault::kEmptyFinish, "empty-finish", "", "finish_reason \"\" in every chunk before the last (SGLang)"},
    FaultRow{Fault::kGzip, "gzip", "", "a compressed answer, whatever was accepted"},
    FaultRow{Fault::kRefuse, "refuse", "", "close the connection without an answer"},
    FaultRow{Fault::kRedirect, "redirect", "", "307 to another path"},
    FaultRow{Fault::kTokens, "tokens", "24", "generate N tokens"},
    FaultRow{Fault::kPace, "pace", "20", "MILLISECONDS between tokens"},
};
static_assert(kRows.size() == static_cast<std::size_t>(Fault::kCount));

const FaultRow* find_row(std::string_view name) noexcept {
  for (const FaultRow& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

std::span<const FaultRow> fault_rows() noexcept { return kRows; }

bool Faults::add(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(",+");
    const std::string_view part = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    const FaultRow* row = find_row(part.substr(0, equals));
    if (row == nullptr) return false;
    set_.set(index(row->fault));
    arguments_[index(row->fault)] = equals == std::string_view::npos ? row->argument : part.substr(equals + 1);
  }
  return true;
}

std::uint64_t Faults::number(Fault fault) const noexcept {
  const std::string_view text = argument(fault);
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

double Faults::seconds(Fault fault) const noexcept { return std::strtod(arguments_[index(fault)].c_str(), nullptr); }

}  // namespace sluice::demo
