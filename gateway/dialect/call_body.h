// What a call asks for, as its body says it, and how the body is changed: by splices, so that what is not edited reaches
// the upstream byte for byte. A dialect reads and writes; everybody else knows these types alone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cap_member.h"
#include "base/kept.h"
#include "base/wiped_string.h"
#include "dialect/upload.h"

namespace sluice::dialect {

// Where a value's text stands in the body. length 0: absent.
struct Member {
  std::size_t offset = 0;
  std::size_t length = 0;
  [[nodiscard]] bool present() const noexcept { return length != 0; }
};

// A member that bounds the output. `value` none: null, 0 or below, which servers read as "no bound".
struct OutputCap {
  std::string_view name;
  Member member;
  std::optional<std::uint64_t> value;
};

// What a call names of the answers that the model server keeps, and whether its own is to be kept. Ids are such as
// is_stored_id() knows: what is none names nothing that anybody has.
struct StoredRefs {
  bool keep = false;               // the answer is found by its id later
  bool names_no_id = false;        // something was named by what cannot be an id
  std::string answer;              // the one that the call goes on from; empty: none
  Kept kept = Kept::kResponse;     // what that is
  std::vector<std::string> items;  // parts of earlier answers, in the order of the body
  static constexpr std::size_t kMostItems = 1024;

  [[nodiscard]] bool any() const noexcept { return names_no_id || !answer.empty() || !items.empty(); }
};

// What a whole answer may be that the call asks for. A JSON object is looked at for an error in any case.
enum class AnswerForm : std::uint8_t {
  kObject,
  kText,   // or a text of any kind
  kBytes,  // sound
  kAny,    // whatever is kept: no byte of it is looked at
};

// Where labels of the call stand; what they say, dialect/body_labels.h reads.
struct LabelMembers {
  static constexpr std::string_view kOwnName = "_meta";
  Member meta;            // the value of `_meta`, or where it begins
  Member user, metadata;  // the same
  Member cut;             // what leaves the body: `_meta` with its name and a comma
  [[nodiscard]] bool any() const noexcept { return meta.present() || user.present() || metadata.present(); }
};

struct CallBody {
  WipedString model;             // unescaped; empty: it names none, as where the path does
  WipedString stored_prompt;     // the id of a prompt that the model server keeps, unescaped; empty: none
  WipedString prompt_cache_key;  // unescaped; empty: none
  StoredRefs stored;
  bool stream = false;
  bool background = false;    // the place answers before it has made anything, and goes on by itself
  bool wants_usage = false;   // the client asked to be told the usage of its stream
  std::uint64_t prompts = 1;  // of completions, or inputs of embeddings
  std::uint64_t choices = 1;  // answers in all, over all prompts; inputs of embeddings do not count
  // The smallest cap given.
  std::optional<std::uint64_t> output_cap;
  AnswerForm answer = AnswerForm::kObject;
  // Of Work::kMake: the tokens that each choice may be expected to have, at least 1.
  std::uint64_t output_estimate = 0;
  std::uint64_t characters = 0;       // to be spoken
  std::uint64_t sound_seconds = 0;    // to be heard, as far as its bytes tell
  std::uint64_t most_seconds = 0;     // that they may be
  std::uint64_t prompt_estimate = 0;  // tokens: text bytes of the prompt ÷ 4, rounded up; base64 is not text

  // Where edits go. Offsets count from the first byte of the body.
  std::size_t object_begin = 0;  // of '{'
  bool object_empty = false;     // "{}": an inserted member takes no comma
  Member model_member, cache_key_member;
  // The caps given, in their order in the body.
  static constexpr std::size_t kMaxCaps = 3;
  std::array<OutputCap, kMaxCaps> caps{};
  std::size_t cap_count = 0;
  // Places that the dialect alone edits, and what it has to know of them.
  static constexpr std::size_t kMaxOwn = 2;
  std::array<Member, kMaxOwn> own{};
  std::uint8_t own_marks = 0;
  LabelMembers labels;
  WipedString batch_path;          // of Work::kBatch: what its lines are to call, as the body says
  std::unique_ptr<Upload> upload;  // of Work::kUpload, and nothing else
};

// What to change in a body.
struct Edits {
  bool ask_for_usage = false;                                   // where Endpoint::asks_for_usage
  std::optional<std::uint64_t> clamp_output_to = std::nullopt;  // per choice
  std::string_view model = {};                                  // the upstream's name of the model; empty: as asked
  // The member that a cap goes into where the body has none; empty: the endpoint's own.
  std::string_view cap_member = {};
  std::string_view prompt_cache_key = {};  // what leaves in its place; empty: as asked
};

// The most output that a choice may have by the caps in the edited body, the larger where they differ, because servers
// go by one or the other. None: it names no cap, or one that bounds nothing.
[[nodiscard]] std::optional<std::uint64_t> cap_sent(const CallBody& call,
                                                    std::optional<std::uint64_t> clamp_output_to) noexcept;

// The edited body as parts: views into the body, and into `scratch` for what was put in. At most kMaxParts.
struct EditedBody {
  static constexpr std::size_t kMaxParts = 17;  // eight splices and what stands between them
  std::array<std::string_view, kMaxParts> parts{};
  std::size_t count = 0;
  WipedString scratch;  // REQUIRES: not moved or changed while the parts are in use
};

}  // namespace sluice::dialect
