// What the admin API shows of routes: `sluice route show` and `sluice route explain`.
#pragma once

#include <span>
#include <string>

#include "base/json.h"
#include "config/settings.h"
#include "identity/directory.h"
#include "server/workers.h"

namespace sluice::server {

// {"model", "stands_for", "routes": [{"tenants", "places": [rank, …], "fallback"}], "places": [{…, "now"}]}: what the conf
// says, in its words, and how each place of the model stands now. Empty: nobody knows the model.
[[nodiscard]] json::object show_route(Workers& workers, const config::Settings& settings, const std::string& model);

// Every decision about a call with this key on this model, in words: [{"decision", "outcome"}].
[[nodiscard]] json::array explain_route(Workers& workers, const config::Settings& settings, const identity::Key& key,
                                        WallTime now, const std::string& model);

}  // namespace sluice::server
