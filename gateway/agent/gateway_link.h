// The agent's tunnels to one gateway: as many as it wants, kept up for as long as the agent runs.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/options.h"
#include "agent/uplink.h"
#include "http/url.h"
#include "net/task_group.h"

namespace sluice::agent {

// How long to wait before the next attempt: full jitter over a doubling bound, so that a thousand agents do not come
// back in step. The bound is at most `cap` in the first minute after a loss, then 30 s, or `cap` where that is longer.
class Backoff final {
 public:
  // `random`: 64 random bits. `cap`: as the gateway's hello said ([tunnel] reconnect_cap).
  [[nodiscard]] std::chrono::milliseconds next(MonoTime now, std::uint64_t random,
                                               std::chrono::milliseconds cap) noexcept;
  void reset() noexcept { *this = {}; }

 private:
  unsigned attempts_ = 0;
  MonoTime began_{};
};

// Thread:   owning worker only.
// Lifetime: stop() and the context's task group's join() before destruction.
class GatewayLink final {
 public:
  GatewayLink(UplinkContext& context, http::BaseUrl url, std::uint32_t most_tunnels);

  void start();
  // Every tunnel leaves; none is opened any more.
  void stop() noexcept;
  // Cuts what is left.
  void cut() noexcept;
  [[nodiscard]] std::size_t tunnels() const noexcept { return uplinks_.size(); }
  // The gateway has said hello, and is not one that would call none of the models that are there.
  [[nodiscard]] bool useful() const noexcept;
  // Notified when that changes and when the last tunnel has ended.
  void watch(net::Signal* signal) noexcept { watcher_ = signal; }

 private:
  using UplinkPtr = std::shared_ptr<Uplink>;  // shared: see Uplink

  Task<void> keep_place();
  Task<void> greet(UplinkPtr uplink, net::Signal& changed);
  Task<void> pause(net::Signal& changed, Backoff& backoff);
  Task<void> run_uplink(UplinkPtr uplink, std::unique_ptr<net::Stream> stream);
  Task<std::unique_ptr<net::Stream>> dial();
  Task<Result<std::unique_ptr<net::Stream>>> connect();
  Task<UplinkPtr> hold(UplinkPtr uplink, net::Signal& changed);
  void fill_places(const tunnel::Hello& hello, const net::Signal& place);
  // More tunnels are kept up than the gateway wants: a keep_place() that sees it ends with its own.
  [[nodiscard]] bool surplus() const noexcept { return places_.size() > wanted_; }
  [[nodiscard]] bool calls(const tunnel::ModelHealth& model) const noexcept;
  void compare_models();
  void complain(std::string_view what);

  UplinkContext& context_;
  http::BaseUrl url_;
  std::uint32_t most_tunnels_;
  std::list<UplinkPtr> uplinks_;
  std::list<std::shared_ptr<net::Signal>> places_;  // each wakes one keep_place()
  std::size_t wanted_ = 0;
  std::chrono::milliseconds reconnect_cap_{tunnel::Hello{}.reconnect_cap_ms};  // as last told
  std::optional<std::vector<std::string>> may_serve_;                          // sorted, as last told; nothing: any
  std::vector<std::string> not_called_;  // models of the server that are not among them
  bool was_useful_ = false;              // as the watcher knows
  net::Signal* watcher_ = nullptr;
  std::string trouble_;  // why there is no tunnel; empty: there is one
  bool greeted_ = false;
  bool stopped_ = false;
};

}  // namespace sluice::agent
