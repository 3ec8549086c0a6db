#include "server/serve.h"

#include <fmt/format.h>

#include <boost/system/system_error.hpp>
#include <cstdio>
#include <exception>
#include <system_error>

#include "config/loader.h"
#include "server/check.h"
#include "server/gateway.h"
#include "server/show.h"

namespace sluice::server {
namespace {

int failed(std::string_view why) {
  std::fprintf(stderr, "sluice: %.*s\n", static_cast<int>(why.size()), why.data());
  return 1;
}

int no_means(const std::string& why) {
  return failed(
      fmt::format("cannot start: {}; fewer [server] workers need fewer threads and descriptors, or raise `ulimit -n` "
                  "and `ulimit -u`",
                  why));
}

absl::Status run(const std::string& conf_path, const PolicyMaker& policies, config::Settings settings) {
  Gateway gateway(conf_path, policies, std::move(settings));
  if (absl::Status opened = gateway.open(); !opened.ok()) return opened;
  return gateway.run();
}

}  // namespace

int serve(const std::string& conf_path, const PolicyMaker& policies) {
  config::LoadResult loaded = load_checked(conf_path, policies, CheckFor::kServe);
  std::fprintf(stderr, "%s", loaded.report().c_str());
  if (!loaded.good()) return 1;
  // The system may refuse what the standard library can only throw about: a thread, a loop's descriptors, memory.
  try {
    const absl::Status ran = run(conf_path, policies, std::move(loaded.settings));
    return ran.ok() ? 0 : failed(text_of(ran));
  } catch (const std::system_error& e) {
    return no_means(e.code().message());
  } catch (const boost::system::system_error& e) {
    return no_means(e.code().message());
  } catch (const std::exception& e) {
    return failed(fmt::format("cannot start: {}", e.what()));
  }
}

}  // namespace sluice::server
