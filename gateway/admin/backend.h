// What the admin API works on. The server fills it in.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "admin/accounts.h"
#include "admin/agents.h"
#include "admin/secrets.h"
#include "admin/store_thread.h"
#include "base/json.h"
#include "base/task.h"

namespace sluice::admin {

// The running gateway, as operators see it.
// Thread: control thread; may wait for the workers.
class GatewayControl {
 public:
  virtual ~GatewayControl() = default;
  // Members of `sluice status`: version, uptime, workers, connections, calls, …; "state": "running" or "draining".
  [[nodiscard]] virtual json::object status() = 0;
  // One object for each model that is known: "name", where it is served, free slots.
  [[nodiscard]] virtual json::array models() = 0;
  // What the conf says of where calls of a model go, and how its places stand; empty: nobody knows it.
  [[nodiscard]] virtual json::object route(const std::string& model) = 0;
  // Every decision about a call with this key on this model, in words.
  [[nodiscard]] virtual json::array explain_route(const identity::Key& key, const std::string& model) = 0;
  // What a connected agent reports, added to its row in the list; empty: not connected.
  [[nodiscard]] virtual json::object agent(const std::string& agent_id) = 0;
  // Prometheus' text form.
  [[nodiscard]] virtual std::string metrics() = 0;
  // Applies the conf file anew or leaves everything as it is; the message has FILE:LINE:COLUMN, one line for each
  // error. Returns the keys whose changes wait for a restart: "server.workers".
  virtual absl::StatusOr<std::vector<std::string>> reload() = 0;
  // Begins to drain and returns.
  virtual absl::Status drain() = 0;
  // Writes a backup into a file that is not there yet, without holding this thread up. The object says what to keep
  // beside it. kAlreadyExists: the file is there; kFailedPrecondition: another backup is being written.
  virtual Task<absl::StatusOr<json::object>> backup(std::string file) = 0;
  // Secrets have changed: upstreams show what the store has now, as after a reload.
  virtual absl::Status use_secrets() = 0;
  // Ends the agent's tunnels. The book refuses it already.
  virtual void cut_agent(const std::string& agent_id) = 0;
};

struct AdminBackend {
  Accounts& accounts;
  Agents& agents;
  store::Store& store;
  identity::KeyDirectory& directory;
  identity::AgentBook& book;
  GatewayControl& gateway;
  const Clock& clock;
  StoreThread& store_thread;  // for what takes long
  Secrets& secrets;
};

}  // namespace sluice::admin
