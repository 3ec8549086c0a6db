// Walks a whole JSON answer as it passes, in pieces of any size and in bounded memory: whether it is an answer at all,
// its usage wherever it stands, its model, and how much text is in it.
//
//   {"id":…,"choices":[{"message":{"content":"counted"},"usage":{second}}],"x_groq":{"usage":{third}},"usage":{first}}
//
// Brackets and quotes alone are looked at; what is not on the way to one of these members is skipped over.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/blocks.h"
#include "base/bytes.h"
#include "dialect/answer.h"
#include "openai/endpoint.h"
#include "wire/string_in_pieces.h"

namespace sluice::openai {

using dialect::Ending;
using dialect::UsageReading;

// Thread:   one.
// Lifetime: the endpoint outlives it. Holds no more of the answer than a name and a usage object; wiped.
class AnswerWalk final : public dialect::WholeAnswer, public Pooled {
 public:
  explicit AnswerWalk(const Endpoint& endpoint) noexcept : endpoint_(endpoint) {}
  AnswerWalk(const AnswerWalk&) = delete;
  AnswerWalk& operator=(const AnswerWalk&) = delete;

  void take(std::string_view bytes) override;

  [[nodiscard]] Form form() const noexcept override { return form_; }
  // It has what an answer of its endpoint has, or is an array where that is one: "choices", "data", "results" or "output",
  // as an array; of what was heard "text", as a string; of a file or a batch its id. Of what else is kept any object will
  // do.
  [[nodiscard]] bool is_answer() const noexcept override { return has_own_ || api_of(endpoint_) == Api::kStored; }
  // It has an "error" that is none of null and "", or is the flat form of one. A response that is kept has the error that
  // it ended with.
  [[nodiscard]] bool says_error() const noexcept override { return says_error_ && !is_kept_response_; }

  [[nodiscard]] Ending ending() const noexcept override {  // as responses and batches say it of themselves
    const Api api = api_of(endpoint_);
    return api == Api::kResponse || api == Api::kBatch ? ending_ : Ending::kComplete;
  }

  [[nodiscard]] bool runs_on() const noexcept override { return runs_on_; }  // as they say it

  // Of a response: its own, and those of the items in "output". Of a file its own, of a batch also those of the files that
  // it has made.
  [[nodiscard]] const dialect::KeptIds* kept_ids() const noexcept override {
    const Api api = api_of(endpoint_);
    return api == Api::kResponse || api == Api::kFile || api == Api::kBatch ? &ids_ : nullptr;
  }

  // The top level's usage; where there is none, what the choices say together; where they say nothing, x_groq's. Of
  // rankings also what `meta` says: its tokens, else what is billed (Cohere). Of what was heard, where there is no usage,
  // its duration.
  [[nodiscard]] std::optional<UsageReading> told() const noexcept override;
  [[nodiscard]] std::string_view model() const noexcept override { return model_; }
  [[nodiscard]] std::uint64_t text_bytes() const noexcept override { return text_bytes_; }
  [[nodiscard]] std::uint64_t images() const noexcept override { return images_; }

 private:
  // What a container is on the way to.
  enum class Node : std::uint8_t { kRoot, kChoices, kChoice, kGroq, kMeta, kImages, kText, kSkipped };
  // Names that mean something somewhere.
  enum class Key : std::uint8_t {
    kOther,
    kText,
    kNoText,
    kId,
    kUsage,
    kChoices,
    kData,
    kOutput,
    kGroq,
    kModel,
    kError,
    kObject,
    kStatus,
    kResults,
    kMeta,
    kTokens,
    kBilled,
    kOwnText,   // "text": may be all of an answer
    kMadeFile,  // "output_file_id", "error_file_id"
    kDuration,
  };

  void around(char c) noexcept;
  const char* through_structure(const char* at, const char* end);
  const char* through_skipped(const char* at, const char* end);
  const char* take_string(const char* at, const char* end);
  const char* through_string(const char* at, const char* end);
  void begin_string() noexcept;
  void end_string(std::string_view kept, std::int64_t size_bytes);
  void end_value();
  void note_duration(std::string_view digits);
  // SGLang's rankings are a list and nothing around it.
  [[nodiscard]] bool may_be_array() const noexcept { return form_ == Form::kOpen && api_of(endpoint_) == Api::kRank; }
  void open(const char* bracket);
  void close(char bracket);
  [[nodiscard]] Node child(const char* bracket);
  Node child_of_root(const char* bracket);
  Node capture(std::optional<UsageReading>& into, const char* begin) noexcept;
  void end_capture(const char* behind);
  [[nodiscard]] bool walks_whole() const noexcept { return below_from_ != 0; }
  [[nodiscard]] bool skips() const noexcept { return walks_whole() && below_ == Node::kSkipped; }
  [[nodiscard]] bool at_name() const noexcept;
  [[nodiscard]] bool is_id() const noexcept;
  static bool is_text(Key key) noexcept { return key == Key::kText || key == Key::kOwnText; }
  static Key key_of(std::string_view name) noexcept;

  const Endpoint& endpoint_;
  Form form_ = Form::kOpen;
  bool has_own_ = false;
  bool says_error_ = false;
  bool is_kept_response_ = false;
  bool runs_on_ = false;
  Ending ending_ = Ending::kComplete;

  std::uint32_t depth_ = 0;
  std::uint64_t objects_ = 0;     // a bit for each of the first 64 levels: it is an object
  std::array<Node, 3> path_{};    // of the levels that are walked member by member
  Node below_ = Node::kSkipped;   // kText or kSkipped: a container that is walked as a whole
  std::uint32_t below_from_ = 0;  // its level; 0: there is none
  Key key_ = Key::kOther;         // of the value that comes, or that is being walked
  bool after_colon_ = false;
  wire::StringInPieces string_;  // that is being walked; of text nothing is kept

  Buffer captured_;                                 // of a usage object
  const char* capture_from_ = nullptr;              // where the rest of it begins in the bytes at hand
  std::optional<UsageReading>* capture_ = nullptr;  // where it goes; null: none is being walked
  std::optional<UsageReading> own_, choice_, choices_, groq_, tokens_, billed_;

  std::string model_;
  std::string duration_;  // as it is spelt
  dialect::KeptIds ids_;
  std::uint64_t text_bytes_ = 0;
  std::uint64_t images_ = 0;
};

}  // namespace sluice::openai
