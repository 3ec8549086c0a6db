// What a server says when it is asked for its models, in the forms that servers give their lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::upstream {

// So much of a list of models is read; a longer one is not a list.
inline constexpr std::size_t kModelListBytes = 4u << 20;

// What a list says of a model beside its name. 0: nothing.
struct ModelFacts {
  std::int64_t created = 0;          // seconds since 1970
  std::uint64_t context_tokens = 0;  // prompt and answer together
  bool operator==(const ModelFacts&) const = default;
};

struct ModelList {
  std::vector<std::string> names;  // each once, in the order of the list
  std::vector<ModelFacts> facts;   // of each; empty: of none
  std::size_t left_out = 0;        // entries without a usable name, or beyond the most that are kept
  bool operator==(const ModelList&) const = default;
};

// A list is an array, or the array under "data" or "models"; null is a list of nothing. One list spells its names in one
// way: under "id", or where no entry has that under "model" or "name" (Ollama's /api/tags), or as bare strings where no
// entry is an object. Whatever else stands in it is left out and counted. A context's length has a name of its own on
// each server; the one that a server runs with goes before the one that a model was trained for.
// Error kProtocol: it is no list.
[[nodiscard]] Result<ModelList> read_model_list(std::string_view json);

// Whether it is one whole JSON object or array.
[[nodiscard]] bool is_json(std::string_view text);

}  // namespace sluice::upstream
