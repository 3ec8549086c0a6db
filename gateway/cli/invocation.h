// One subcommand at work: it asks the running gateway and prints what that says.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "cli/socket_path.h"

namespace sluice::cli {

// What one subcommand was told. Each subcommand has an object of its own: CLI11 fills in the defaults of every
// subcommand, chosen or not, so with a shared one the options of the chosen one would not be the last word.
struct Options {
  Whereabouts where;
  bool json = false;
  std::uint32_t timeout_s = 30;  // that the gateway may take for its answer; of one that streams, for each part
  std::string name, tenant, user, key, model_one, expires, budget, format, from, to;
  std::vector<std::string> models, budgets;
  std::string rpm, tpm, concurrency, grace;
  std::optional<std::string> new_name;
  std::vector<std::string> tenants;
  bool create = false, suspend = false, resume = false, any_model = false;
};

// Thread:   main thread; blocks on the gateway.
// Lifetime: options and exit code outlive it.
class Invocation final {
 public:
  Invocation(const Options& options, int& exit_code) : o(options), exit_code_(exit_code) {}

  const Options& o;

  // One line on stderr. The exit code from now on: 1, the gateway did not do it; 2, the command makes no sense.
  void fail(std::string_view message);
  void misused(std::string_view message);

  // The answer's JSON; nothing: it failed, and the reason has been printed.
  std::optional<json::value> ask(const std::string& method, const std::string& target,
                                 const json::object* body = nullptr);
  // With columns: a list's table has these alone; --json has all.
  void show(const json::value& value, std::span<const std::string_view> columns = {});
  void call(const std::string& method, const std::string& target);
  void call(const std::string& method, const std::string& target, const json::object& body);
  void list(const std::string& target, std::initializer_list<std::string_view> columns);
  // Text that goes straight to stdout.
  void stream(const std::string& target);

  // "?tenant=acme&user=ada" of those that are not empty.
  [[nodiscard]] static std::string query(const std::vector<std::pair<std::string, std::string>>& parts);
  // REQUIRES: each is a whole number, or none.
  [[nodiscard]] json::object limits() const;
  [[nodiscard]] json::object with_terms(json::object body) const;

  void reload();
  void create_key();
  void update_key();
  void list_keys();
  void list_models();
  void create_pairing_key();
  // The value comes by standard input, never as an argument, which everybody on the machine may read.
  void set_secret();
  void change_budget(const std::string& method);
  // The gateway writes the file, so it is told where from the root on.
  void backup();

 private:
  std::optional<FoundSocket> socket();

  int& exit_code_;
};

}  // namespace sluice::cli
