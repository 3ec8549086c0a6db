// Which of a client's headers go on to an upstream: as they are, or so that the names of two callers never meet there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "http/request_head.h"
#include "identity/scope_key.h"
#include "policy/policy.h"
#include "proxy/reply.h"

namespace sluice::proxy {

// Immutable.
class ForwardRules final {
 public:
  enum class Way : std::uint8_t { kDrop, kPass, kScope };

  ForwardRules() = default;
  // Names in lower case, of `passed` also beginnings of names with a "*" behind them.
  ForwardRules(const std::vector<std::string>& passed, const std::vector<std::string>& scoped);

  // Case does not matter. What says who the client is, or belongs to its connection, is dropped whatever matches.
  [[nodiscard]] Way way_of(std::string_view name) const noexcept;

 private:
  struct Pattern {
    std::string text;
    bool prefix;
    Way way;
  };
  void add(const std::vector<std::string>& names, Way way);

  std::vector<Pattern> patterns_;
  std::uint32_t letters_ = 0;  // that patterns begin with, one bit a letter: most headers are told by it
};

// Adds what goes on of `fields`, at most kMostForwarded headers, and says whether that was all. What the client's
// Connection field names is dropped. Lifetime: as of ReplyHeaders::add: `fields` outlive `into`.
inline constexpr std::size_t kMostForwarded = 16;
enum class Forwarded : std::uint8_t { kAll, kSome };
Forwarded forward_headers(const ForwardRules& rules, const http::Fields& fields, const policy::Caller& caller,
                          const identity::ScopeKey& scope, ReplyHeaders& into) noexcept;

}  // namespace sluice::proxy
