// Files that a conf names, and secrets: whether they can be read is checked, what is in them is read, as the loader asked.
#pragma once

#include <string>
#include <string_view>

#include "config/loader.h"
#include "config/reader.h"
#include "config/settings.h"

namespace sluice::config {

// Lifetime: of one check; options, folder and findings outlive it.
class NamedFiles final {
 public:
  // `folder`: of the conf file, which relative paths begin in.
  NamedFiles(const LoadOptions& options, const std::string& folder, Findings& findings) noexcept
      : options_(options), folder_(folder), findings_(findings) {}

  // Nothing is read, and what the file says of files is believed.
  [[nodiscard]] bool are_trusted() const noexcept { return options_.files == Files::kTrust; }
  [[nodiscard]] std::string whole_path(const std::string& path) const;
  // Whether the file at the key `at` can be read. `advice`: what else to give.
  void check(const std::string& at, const std::string& path, std::string_view advice);
  // The text that the reference stands for; where it cannot be had, that is found to be `missing`.
  void read_secret(const std::string& at, Secret& secret, Severity missing = Severity::kError);

 private:
  bool read_secret_file(const std::string& at, const std::string& path, Secret& secret, Severity missing);

  const LoadOptions& options_;
  const std::string& folder_;
  Findings& findings_;
};

// As a header can carry it.
[[nodiscard]] constexpr bool is_visible(char c) noexcept { return c > ' ' && c <= '~'; }

}  // namespace sluice::config
