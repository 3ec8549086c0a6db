// The only calls that reach a model server, whatever a gateway asks for: it may have administrative paths on the port.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/endpoint.h"
#include "tunnel/control.h"

namespace sluice::agent {

// Immutable.
// Lifetime: the table's rows outlive it.
class ForwardedCalls final {
 public:
  // `endpoints`: this program's table. `allowed`: what the owner lets through beside it, each "POST /v1/…" and one that
  // wrong_allowance() has nothing against.
  ForwardedCalls(std::span<const dialect::Endpoint> endpoints, std::vector<std::string> allowed)
      : endpoints_(endpoints), allowed_(std::move(allowed)) {}

  [[nodiscard]] bool allows(std::string_view method, std::string_view path) const noexcept;
  // Says in the answer to a gateway's hello what is forwarded: of the endpoints that the hello names those that stand in
  // the table, and of one that names none the whole table; and the owner's own.
  void tell(const tunnel::Hello& hello, tunnel::HelloAnswer& answer) const;

 private:
  std::span<const dialect::Endpoint> endpoints_;
  std::vector<std::string> allowed_;
};

// What is wrong with a value of --allow, for people; empty: nothing.
[[nodiscard]] std::string wrong_allowance(const std::string& text);

}  // namespace sluice::agent
