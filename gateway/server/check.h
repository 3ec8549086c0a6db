// What serving would meet beyond the text of the conf file, found before it is served, and told with its place.
#pragma once

#include <string>

#include "config/loader.h"
#include "server/serve.h"

namespace sluice::server {

// Who asks. All look at the conf, the certificate and its key, upstreams and their CAs.
enum class CheckFor : std::uint8_t {
  kServe,   // what is only known by doing it (ports, folders, the store) is left to that
  kReload,  // the same; what is read at start alone is not looked at
  kCheck,   // everything: nothing else will be done
};

// Reads the conf file and checks it. REQUIRES: not on a worker; reads files, and for kCheck asks the resolver.
[[nodiscard]] config::LoadResult load_checked(const std::string& conf_path, const PolicyMaker& policies, CheckFor who);

// `sluice check`: prints what load_checked() says; returns the exit code.
int check(const std::string& conf_path, const PolicyMaker& policies);

}  // namespace sluice::server
