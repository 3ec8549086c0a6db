#include "config/upstream_kinds.h"

#include <algorithm>
#include <array>

namespace sluice::config {
namespace {

// The paths and headers are those of each API's reference.
constexpr std::array kKinds = {
    UpstreamKind{.name = "openai-compatible", .url = "", .dialect = "", .credential = "bearer"},
    UpstreamKind{.name = "openai", .url = "https://api.openai.com", .dialect = "openai", .credential = "bearer"},
    UpstreamKind{.name = "anthropic",
                 .url = "https://api.anthropic.com",
                 .dialect = "anthropic",
                 .credential = "x-api-key",
                 .models_path = "/v1/models?limit=1000",
                 .version_header = "anthropic-version",
                 .version = "2023-06-01"},
    UpstreamKind{.name = "azure",
                 .url = "",
                 .dialect = "openai",
                 .credential = "api-key",
                 .paths = PathRule::kDeployment,
                 .models_path = "/openai/models",
                 .version = "2024-10-21",
                 .lists_models = false},
};

constexpr std::array kCredentials = {
    CredentialKind{.name = "bearer", .header = "authorization", .scheme = "Bearer "},
    CredentialKind{.name = "x-api-key", .header = "x-api-key", .scheme = ""},
    CredentialKind{.name = "api-key", .header = "api-key", .scheme = ""},
};

}  // namespace

std::span<const UpstreamKind> upstream_kinds() noexcept { return kKinds; }
std::span<const CredentialKind> credential_kinds() noexcept { return kCredentials; }

const UpstreamKind* find_upstream_kind(std::string_view name) noexcept {
  const auto found = std::ranges::find(kKinds, name, &UpstreamKind::name);
  return found == kKinds.end() ? nullptr : &*found;
}

const CredentialKind* find_credential_kind(std::string_view name, std::span<const CredentialKind> kinds) noexcept {
  const auto found = std::ranges::find(kinds, name, &CredentialKind::name);
  return found == kinds.end() ? nullptr : &*found;
}

}  // namespace sluice::config
