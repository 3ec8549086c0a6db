// A direct upstream: a model server or a provider that the gateway calls itself, over pooled HTTP/1.1 connections.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "base/wiped_string.h"
#include "config/upstream_kinds.h"
#include "http/h1/client_pool.h"
#include "upstream/model_list.h"
#include "upstream/place.h"

namespace sluice::upstream {

// One [[upstream]] of the conf.
struct DirectSettings {
  std::string name;
  http::h1::ClientPoolOptions connection;  // base URL, CA file, connect and idle times
  config::UpstreamKind kind;
  std::string api_version;
  std::uint64_t endpoints = ~std::uint64_t{0};  // that it has: a bit for each number in the table of dialects
  std::string credential_header;                // lower case; empty: none is sent
  WipedString credential;                       // its value, never logged
  std::optional<Error> unusable;                // why it cannot be called as the conf stands; nothing: it can
  std::vector<std::string> models;              // empty: those that it lists
  NameMap<std::string> names;                   // its own, of those that it calls otherwise
  NameMap<Price> costs;                         // what it takes, by its own names
  std::optional<std::uint64_t> cost_percent;    // of that, or of what a call is charged
  bool usage_in_stream = true;
  CapMember cap_member = CapMember::kAuto;
  CallTimes times;
  std::string health_path;  // empty: its list of models says how it is
  std::chrono::milliseconds health_interval{10'000};
};

// Thread:   owning worker; `slots` is shared by all workers.
// Lifetime: the loop and the task group outlive it. stop() before the group is joined.
class DirectPlace final : public Place {
 public:
  DirectPlace(net::Loop& loop, net::TaskGroup& tasks, DirectSettings settings, std::shared_ptr<Slots> slots);

  // Asks for the models now and every health_interval (each second while unreachable), until stop(). `changed` hears of
  // each answer, and of none: the models served, or while it is unreachable those last served, and how many entries of
  // its list were left out. Models of the conf are served whatever the answer.
  using Changed = std::function<void(const ModelList& models)>;
  Task<void> watch(Changed changed);
  void stop() noexcept;

  [[nodiscard]] std::string_view name() const noexcept override { return settings_.name; }
  [[nodiscard]] const char* kind() const noexcept override { return "upstream"; }
  [[nodiscard]] std::span<const http::Header> headers() const noexcept override {
    return {headers_.data(), settings_.credential_header.empty() ? 0u : 1u};
  }
  [[nodiscard]] std::string_view secret() const noexcept override {
    const std::string_view value = settings_.credential;
    return value.substr(value.find(' ') + 1);  // behind the scheme; npos + 1 is 0
  }
  [[nodiscard]] std::string_view called(std::string_view model) const noexcept override {
    const auto found = settings_.names.find(model);
    return found == settings_.names.end() ? model : std::string_view(found->second);
  }
  [[nodiscard]] std::string_view path(const dialect::Endpoint& endpoint, std::string_view model,
                                      std::string& made) const override;
  [[nodiscard]] bool takes(std::uint32_t endpoint) const noexcept override {
    return (settings_.endpoints >> endpoint & 1) != 0;
  }
  [[nodiscard]] bool asks_for_usage() const noexcept override { return settings_.usage_in_stream; }
  [[nodiscard]] CapMember cap_member() const noexcept override { return settings_.cap_member; }
  [[nodiscard]] CallTimes times() const noexcept override { return settings_.times; }
  [[nodiscard]] std::uint64_t context_length(std::string_view model) const noexcept override {
    return facts_of(model).context_tokens;
  }
  [[nodiscard]] std::int64_t created(std::string_view model) const noexcept override { return facts_of(model).created; }
  [[nodiscard]] PlaceCost cost(std::string_view model) const noexcept override;
  [[nodiscard]] bool reachable() const noexcept override { return !away_; }
  [[nodiscard]] MonoTime healthy_at() const noexcept override { return healthy_at_; }
  // Why it could not be reached when it was last asked; nothing: it could.
  [[nodiscard]] const std::optional<Error>& away() const noexcept { return away_; }
  // The same in words, with the proxy named that it is called through. REQUIRES: away().
  [[nodiscard]] std::string why_away() const;
  // Why it does not list its models though it can be reached and the conf names none; nothing: it does, or need not.
  [[nodiscard]] const std::optional<Error>& unlisted() const noexcept { return unlisted_; }
  // Models that the conf names and the server's last list lacks, as the conf has them, the first few; empty: none.
  [[nodiscard]] const std::string& lacking() const noexcept { return lacking_; }
  [[nodiscard]] std::int64_t slots() const noexcept override { return slots_->count(); }
  [[nodiscard]] std::int64_t free_slots() const noexcept override { return slots_->free(); }
  [[nodiscard]] bool take_slot() noexcept override { return slots_->take(); }
  void free_slot() noexcept override { slots_->give(); }
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest& request,
                                                          net::Signal& wake) noexcept override;

 private:
  Task<Result<ModelList>> ask_models();
  Task<Status> ask_health();
  [[nodiscard]] ModelFacts facts_of(std::string_view model) const noexcept;
  void note_facts();
  [[nodiscard]] std::string find_lacking() const;
  [[nodiscard]] std::string version_query() const;

  DirectSettings settings_;
  std::shared_ptr<Slots> slots_;  // shared: a reload may drop the upstream while another worker's calls still run
  // Its key, and for the question for its models the version of its API.
  std::array<http::Header, 2> headers_;
  const std::string models_path_;
  http::h1::ClientPool pool_;
  net::Signal wake_;
  ModelList listed_;           // last
  NameMap<ModelFacts> facts_;  // of those that it says anything of
  std::optional<Error> away_;
  MonoTime healthy_at_ = MonoTime::max();  // max(): it has answered no question for its health yet
  std::optional<Error> unlisted_;
  std::string lacking_;
  bool stopped_ = false;
  // Of the list that is being asked for; stop() moves it to the past.
  net::Deadline ask_until_ = net::Deadline::never();
};

}  // namespace sluice::upstream
