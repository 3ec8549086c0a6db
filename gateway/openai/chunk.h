// One streamed chunk of chat or completions: the few members that a gateway must see, and the chunk without what the
// client must not see.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "dialect/usage_reader.h"
#include "wire/skim.h"

namespace sluice::openai {

// A member that may have to go, with what is needed to cut it out with one comma.
struct Removable {
  wire::SkimMember member;
  const char* previous_end = nullptr;  // null: it is the first
  const char* next_begin = nullptr;    // null: it is the last
  std::size_t index = 0;
  [[nodiscard]] bool present() const noexcept { return member.begin != nullptr; }
  // Absent, null, or what servers write in its stead.
  [[nodiscard]] bool says_nothing() const noexcept {
    return !present() || member.value == "null" || member.value == "false" || member.value == "\"\"";
  }
};

enum class Choices : std::uint8_t { kAbsent, kEmpty, kSome };  // null is kEmpty

// Lifetime: views point into the chunk's text.
struct Chunk {
  std::string_view text;
  Removable usage;
  Removable error;
  std::string_view choices;  // the value; empty: absent
  std::string_view groq;     // x_groq
  std::string_view id, created, model, object, type;
  bool tells = false;  // it has a message or a detail, as errors do
  [[nodiscard]] Choices has_choices() const noexcept;
};

enum class ChunkForm : std::uint8_t { kObject, kMalformed };
[[nodiscard]] ChunkForm read_chunk(std::string_view text, Chunk& into) noexcept;

// The chunk with up to two members replaced or, with an empty replacement, cut out, commas and all.
struct ChunkEdit {
  const Removable* removed = nullptr;
  bool to_null = false;  // keep the member, with the value null
};
// Returns where `mark`, a place in the chunk that is kept, stands in `out`.
std::size_t append_edited(Buffer& out, const Chunk& chunk, ChunkEdit usage, ChunkEdit error,
                          const char* mark = nullptr);

// The chunk with "choices":[] in place of its choices: a usage chunk made from one that carried both.
void append_without_choices(Buffer& out, const Chunk& chunk);

// The strings of deltas that are text, at any depth; roles, ids and types are not.
struct DeltaText {
  std::uint64_t bytes = 0;  // escapes counted as what they stand for
  std::size_t strings = 0;
  std::string_view last;  // the last string, without its quotes
};
void add_text(std::string_view value, DeltaText& into, unsigned depth = 0) noexcept;

// Adds what one choice used to what others did: they read one prompt.
void add_choice(std::optional<dialect::UsageReading>& sum, const dialect::UsageReading& choice) noexcept;

// Bytes between quotes, with an escape counted as the one or two bytes that it mostly stands for.
[[nodiscard]] std::uint64_t string_bytes(std::string_view inside) noexcept;

// Which choices of a stream are known, and which have ended.
class ChoiceTable final {
 public:
  // `expected`: how many the call asked for, which end the stream together.
  explicit ChoiceTable(std::uint64_t expected) : expected_(expected) {}

  struct Seen {
    DeltaText text;
    std::size_t choices = 0;
    bool ended = false;  // one of them at least
    bool usage = false;  // one of them told what it used
  };
  // Looks at each choice: marks those that end, and finds the text in the deltas.
  Seen read(std::string_view choices);
  [[nodiscard]] bool all_ended() const noexcept { return ended_count_ != 0 && ended_count_ >= size(); }
  [[nodiscard]] bool ended(std::size_t index) const noexcept { return index < ended_.size() && ended_[index] != 0; }
  [[nodiscard]] std::size_t size() const noexcept;
  // What the choices told that they used, all together; each counts with the last that it told.
  [[nodiscard]] std::optional<dialect::UsageReading> used() const noexcept;

 private:
  void note_usage(std::uint64_t index, const dialect::UsageReading& told);
  void mark(std::uint64_t index, bool ended);

  std::uint64_t expected_;
  std::vector<std::uint8_t> ended_;  // by index; 0: seen or not, and open
  std::size_t ended_count_ = 0;
  std::vector<std::optional<dialect::UsageReading>> used_;  // by index; empty with nearly every server
};

}  // namespace sluice::openai
