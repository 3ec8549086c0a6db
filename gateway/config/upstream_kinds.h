// What APIs direct upstreams have, and how they are shown who asks: the rows that [[upstream]] kind and credential choose
// from. A kind says what is the same for all servers of it; the conf of one upstream may say otherwise.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::config {

// Where an endpoint of a dialect is found at an upstream.
enum class PathRule : std::uint8_t {
  kDialect,     // where the dialect has it
  kDeployment,  // under the model's name, which is one of Azure's deployments, with its api-version
};

// One kind of API.
struct UpstreamKind {
  std::string_view name;
  std::string_view url;         // where the conf gives none; empty: it has to
  std::string_view dialect;     // whose endpoints it has; empty: those of all
  std::string_view credential;  // a row of the credentials
  PathRule paths = PathRule::kDialect;
  std::string_view models_path = "/v1/models";  // where it is asked for its models
  std::string_view version_header = {};         // sent with that question, with the conf's api_version
  std::string_view version = {};                // where the conf gives none
  bool lists_models = true;                     // false: what it lists are not the names that calls are made with
};

// One way to show a key.
struct CredentialKind {
  std::string_view name;
  std::string_view header;  // lower case
  std::string_view scheme;  // stands before the key, with its space
};

[[nodiscard]] std::span<const UpstreamKind> upstream_kinds() noexcept;
[[nodiscard]] std::span<const CredentialKind> credential_kinds() noexcept;
// Null: there is no such row.
[[nodiscard]] const UpstreamKind* find_upstream_kind(std::string_view name) noexcept;
[[nodiscard]] const CredentialKind* find_credential_kind(std::string_view name,
                                                         std::span<const CredentialKind> kinds) noexcept;

}  // namespace sluice::config
