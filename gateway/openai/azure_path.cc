#include "openai/azure_path.h"

#include <algorithm>
#include <array>

namespace sluice::openai {
namespace {

constexpr std::string_view kPrefix = "/openai";
constexpr std::string_view kVersion = "/v1";
constexpr std::string_view kDeployments = "/deployments/";

// What a deployment is asked for. One that ends as another does stands before it: a model's name may hold slashes, which
// the clients do not escape.
constexpr std::array<std::string_view, 8> kOfDeployments{
    "/chat/completions",   "/completions",  "/embeddings",         "/audio/transcriptions",
    "/audio/translations", "/audio/speech", "/images/generations", "/images/edits"};

// What is asked for without a deployment, and what stands below it.
constexpr std::array<std::string_view, 4> kOfResources{"/models", "/responses", "/files", "/batches"};

bool is_below(std::string_view path, std::string_view root) noexcept {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

std::string_view with_version(std::string_view rest, std::span<char> scratch) noexcept {
  if (kVersion.size() + rest.size() > scratch.size()) return {};
  std::ranges::copy(rest, std::ranges::copy(kVersion, scratch.begin()).out);
  return {scratch.data(), kVersion.size() + rest.size()};
}

}  // namespace

dialect::Alias azure_alias(std::string_view path, std::span<char> scratch) noexcept {
  if (!path.starts_with(kPrefix)) return {};
  std::string_view rest = path.substr(kPrefix.size());
  if (is_below(rest, kVersion)) return {.path = with_version(rest.substr(kVersion.size()), scratch)};
  if (!rest.starts_with(kDeployments)) {
    const bool known = std::ranges::any_of(kOfResources, [&](std::string_view root) { return is_below(rest, root); });
    return known ? dialect::Alias{.path = with_version(rest, scratch)} : dialect::Alias{};
  }
  rest.remove_prefix(kDeployments.size());
  const auto* const asked =
      std::ranges::find_if(kOfDeployments, [&](std::string_view end) { return rest.ends_with(end); });
  if (asked == kOfDeployments.end() || asked->size() == rest.size()) return {};
  return {.path = with_version(*asked, scratch), .model = rest.substr(0, rest.size() - asked->size())};
}

}  // namespace sluice::openai
