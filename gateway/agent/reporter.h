// What the agent says of itself, and who is listening: one health line at each change and every ten seconds.
#pragma once

#include <list>
#include <string>
#include <vector>

#include "net/signal.h"
#include "tunnel/control.h"
#include "upstream/model_list.h"

namespace sluice::agent {

// Thread:   owning worker only.
// Lifetime: outlives every subscription.
class Reporter final {
 public:
  Reporter();

  // One listener: its signal is notified at each change.
  class Subscription final {
   public:
    Subscription(Reporter& reporter, net::Signal& wake) : reporter_(reporter) {
      position_ = reporter_.listeners_.insert(reporter_.listeners_.end(), &wake);
    }
    ~Subscription() { reporter_.listeners_.erase(position_); }
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    Reporter& reporter_;
    std::list<net::Signal*>::iterator position_;
  };

  // What the agent says of its model server in a hello.
  void set_hello(bool usage_in_stream, CapMember cap_member) noexcept {
    usage_in_stream_ = usage_in_stream;
    cap_member_ = cap_member;
  }
  [[nodiscard]] tunnel::HelloAnswer hello(std::string version) const {
    return {.version = std::move(version),
            .boot = boot_,
            .tunnels = 0,
            .usage_in_stream = usage_in_stream_,
            .cap_member = cap_member_};
  }
  // Of this start of the agent.
  [[nodiscard]] const std::string& boot() const noexcept { return boot_; }
  // Rises with each change of the models; telemetry waits for the next line.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

  [[nodiscard]] const std::vector<tunnel::ModelHealth>& models() const noexcept { return models_; }
  // `trouble`: what is wrong all the same; empty: nothing.
  void set_models(const upstream::ModelList& list, std::uint32_t slots, std::string trouble);
  // What the model server has not, of the endpoints that it was asked for.
  void set_lacks(std::vector<std::string> endpoints);
  // Something is wrong, and the models are served all the same.
  void set_trouble(std::string trouble);
  // The model server is away, and why: its models are still named, as unavailable.
  void set_unavailable(std::string trouble);
  void set_telemetry(tunnel::Telemetry telemetry) { telemetry_ = std::move(telemetry); }
  void call_began() noexcept { ++running_; }
  void call_answered() noexcept { ++answering_; }
  void call_ended(bool had_answered) noexcept {
    --running_;
    if (had_answered) --answering_;
  }
  [[nodiscard]] std::uint32_t running() const noexcept { return running_; }

  // The next line, with its own number.
  [[nodiscard]] std::string line();

 private:
  void changed() noexcept;

  std::string boot_;
  bool usage_in_stream_ = true;
  CapMember cap_member_ = CapMember::kAuto;
  std::uint64_t version_ = 1;
  std::uint64_t sequence_ = 0;
  std::vector<tunnel::ModelHealth> models_;
  std::string trouble_;
  std::vector<std::string> lacks_;
  tunnel::Telemetry telemetry_;
  std::uint32_t running_ = 0;
  std::uint32_t answering_ = 0;
  std::list<net::Signal*> listeners_;
};

}  // namespace sluice::agent
