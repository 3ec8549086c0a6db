#include "config/loader.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "config/reader.h"
#include "config/text.h"

namespace sluice::config {
namespace {

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::string> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  std::string text;
  std::array<char, 16 * 1024> block;
  if (file == nullptr) {
    const bool missing = errno == ENOENT || errno == ENOTDIR;
    const char* const why = std::strerror(errno);
    return missing ? absl::NotFoundError(why) : absl::UnavailableError(why);
  }
  while (const std::size_t size_bytes = std::fread(block.data(), 1, block.size(), file.get())) {
    text.append(block.data(), size_bytes);
    if (text.size() > kMostFileBytes) return absl::UnavailableError("it is larger than 16 MiB");
  }
  if (std::ferror(file.get()) != 0) return absl::UnavailableError(std::strerror(errno));
  return text;
}

LoadResult load_text(std::string_view text, const std::string& file_name, const LoadOptions& options) {
  LoadResult result;
  Findings findings(file_name);
  const std::string folder = folder_of(file_name);
  for (const KnownPolicy& policy : options.known_policies) {
    if (policy.defaults != nullptr) result.settings.policy.emplace_back(policy);
  }
  const Syntax syntax = read_toml(text, file_name, folder, result.settings, findings);
  if (result.settings.listeners.empty()) result.settings.listeners.emplace_back();
  // Where the file cannot be parsed, what hangs together is not known either.
  if (syntax == Syntax::kGood) check(result.settings, options, folder, findings);
  result.file = file_name;
  result.positions = findings.positions();
  result.diagnostics = findings.take();
  return result;
}

LoadResult load_file(const std::string& path, const LoadOptions& options) {
  const absl::StatusOr<std::string> text = read_file(path);
  if (text.ok()) return load_text(*text, path, options);
  LoadResult result;
  result.file = path;
  result.diagnostics.push_back(
      {path, 0, 0,
       cat("cannot be read: ", std::string(text.status().message()), "; put it there, or name another with --config"),
       Severity::kError});
  return result;
}

absl::StatusOr<std::string> admin_socket_of(const std::string& path) {
  const absl::StatusOr<std::string> text = read_file(path);
  if (absl::IsNotFound(text.status())) return absl::NotFoundError(cat("there is no conf file ", path));
  if (!text.ok())
    return absl::InvalidArgumentError(cat(path, " cannot be read: ", std::string(text.status().message())));
  Settings settings;
  Findings findings(path);
  if (read_toml(*text, path, folder_of(path), settings, findings) == Syntax::kBad)
    return absl::InvalidArgumentError(findings.take().front().to_string());
  const Diagnostic* wrong = findings.found_at("admin.socket");
  if (wrong == nullptr && settings.admin.socket.empty()) wrong = findings.found_at("server.state_dir");
  if (wrong != nullptr) return absl::InvalidArgumentError(wrong->to_string());
  return settings.admin_socket();
}

absl::StatusOr<Settings> load(const std::string& path, const LoadOptions& options) {
  LoadResult result = load_file(path, options);
  if (result.good()) return std::move(result.settings);
  std::vector<std::string> lines;
  for (const Diagnostic& diagnostic : result.diagnostics) lines.push_back(diagnostic.to_string());
  return absl::InvalidArgumentError(join(lines, "\n"));
}

bool LoadResult::good() const noexcept {
  return std::ranges::none_of(diagnostics, [](const Diagnostic& one) { return one.severity == Severity::kError; });
}

void LoadResult::add(const std::string& path, std::string text, Severity severity) {
  const Position at = position_of(positions, path);
  diagnostics.push_back({file, at.line, at.column, std::move(text), severity});
  sort(diagnostics);
}

std::string LoadResult::report() const {
  std::string all;
  for (const Diagnostic& one : diagnostics) all += one.to_string() + "\n";
  return all;
}

int print_check(const LoadResult& result, std::FILE* out, std::FILE* err) {
  std::fprintf(err, "%s", result.report().c_str());
  if (!result.good()) return 1;
  for (const Upstream& upstream : result.settings.upstreams) {
    const ProxyServer& proxy = upstream.through;
    if (proxy.host.empty()) continue;
    std::fprintf(out, "upstream %s: called through the proxy at %s:%u%s, by %s\n", upstream.name.c_str(),
                 proxy.host.c_str(), static_cast<unsigned>(proxy.port),
                 proxy.login.empty() ? "" : " with a user and a password",
                 proxy.named_by == "proxy" ? "its proxy" : cat(proxy.named_by, " of the environment").c_str());
  }
  std::fprintf(out, "%s: good\n", result.file.c_str());
  return 0;
}

}  // namespace sluice::config
