#include "server/workers.h"

#include <fmt/format.h>

#include <algorithm>
#include <latch>
#include <system_error>

namespace sluice::server {

Workers::Workers(unsigned count, const Shared& shared)
    : dialects_(shared.dialects), responses_(shared.responses), kept_calls_(shared.kept_calls) {
  for (unsigned index = 0; index < count; ++index) workers_.push_back(std::make_unique<WorkerThread>(index, shared));
  std::vector<upstream::Pool*> pools;
  std::vector<proxy::Worker*> siblings;
  for (const auto& worker : workers_) {
    pools.push_back(&worker->worker().pool);
    siblings.push_back(&worker->worker());
  }
  for (const auto& worker : workers_) {
    worker->worker().pool.set_siblings(pools);
    worker->worker().siblings = siblings;
  }
}

Workers::~Workers() = default;

absl::StatusOr<Workers::Change> Workers::prepare(const config::Settings& settings, std::shared_ptr<SSL_CTX> tls) {
  Change change;
  for (const config::Upstream& upstream : settings.upstreams) {
    auto made = make_direct_settings(upstream, dialects_);
    if (!made.ok()) return made.status();
    const auto known = slots_.find(upstream.name);
    change.upstreams.push_back(
        {*std::move(made), known != slots_.end() ? known->second : std::make_shared<upstream::Slots>(upstream.slots),
         upstream.slots});
  }
  change.fronts.resize(workers_.size());
  for (auto& of_worker : change.fronts) {
    for (const config::Listener& listener : settings.listeners) {
      auto front = make_front_settings(settings, listener, tls);
      if (!front.ok()) return front.status();
      of_worker.push_back(*std::move(front));
    }
  }
  if (absl::Status opened = open_missing(settings, change); !opened.ok()) {
    abandon(change);
    return opened;
  }
  return change;
}

// An address that is listened on already is kept, with the connections that wait there, whichever way the conf spells
// it now. One whose port the system picked is the same as long as the conf asks for that.
absl::Status Workers::open_missing(const config::Settings& settings, Change& change) {
  std::vector<Address> have = addresses_;
  for (const config::Listener& listener : settings.listeners) {
    const auto kept = std::ranges::find(have, listener.address, &Address::conf);
    if (kept != have.end()) {
      change.addresses.push_back(*kept);
      have.erase(kept);
      continue;
    }
    auto endpoint = net::resolve_listen_address(listener.address);
    if (!endpoint.ok()) return endpoint.status();
    if (const auto same = std::ranges::find(have, *endpoint, &Address::bound); same != have.end()) {
      change.addresses.push_back({.conf = listener.address, .bound = same->bound, .id = same->id});
      have.erase(same);
      continue;
    }
    Address address{.conf = listener.address, .bound = *endpoint, .id = next_listener_++};
    change.opened.push_back(address.id);
    if (!overlaps_own(*endpoint)) {
      if (absl::Status free = net::check_free(*endpoint); !free.ok()) return free;
    }
    if (absl::Status opened = open(address); !opened.ok()) return opened;
    change.addresses.push_back(std::move(address));
  }
  return absl::OkStatus();
}

absl::Status Workers::open(Address& address) {
  absl::Status status;
  for (const auto& worker : workers_) {
    on(*worker, [&](WorkerThread& w) {
      auto opened = net::Listener::open(w.loop(), address.bound);
      status = opened.status();
      if (!opened.ok()) return;
      address.bound = (*opened)->endpoint();  // the first one's port where the system picked it
      w.hold(address.id, *std::move(opened));
    });
    if (!status.ok()) return status;
  }
  return status;
}

// Whether we hold the port already, on an address that may be a part of this one or have it as a part: a reload that
// widens or narrows an address opens the new one before the old one closes.
bool Workers::overlaps_own(const net::Endpoint& endpoint) const noexcept {
  return endpoint.port() != 0 && std::ranges::any_of(addresses_, [&](const Address& own) {
           return own.bound.port() == endpoint.port() && own.bound != endpoint;
         });
}

void Workers::keep(const Change& change) { addresses_ = change.addresses; }

void Workers::abandon(const Change& change) {
  for (const ListenerId id : change.opened) {
    for (const auto& worker : workers_) on(*worker, [id](WorkerThread& w) { w.drop(id); });
  }
}

std::vector<net::Endpoint> Workers::addresses() const {
  std::vector<net::Endpoint> bound;
  for (const Address& address : addresses_) bound.push_back(address.bound);
  return bound;
}

void Workers::apply(const Change& change, const std::function<std::uint32_t(const std::string& upstream)>& number_of,
                    const WorkerThread::Listed& listed) {
  addresses_ = change.addresses;
  struct Numbered {
    Change::Upstream upstream;
    std::uint32_t number = 0;
  };
  std::vector<Numbered> upstreams;
  for (const Change::Upstream& upstream : change.upstreams) {
    slots_[upstream.settings.name] = upstream.slots;
    upstream.slots->set_count(upstream.count);
    upstreams.push_back({upstream, number_of(upstream.settings.name)});
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    std::vector<ListeningAs> listening;
    for (std::size_t at = 0; at < change.addresses.size(); ++at)
      listening.push_back({change.addresses[at].id, change.fronts[i][at]});
    workers_[i]->post([upstreams, listed, listening = std::move(listening)](WorkerThread& worker) {
      worker.set_listening(listening);
      std::vector<std::shared_ptr<upstream::DirectPlace>> places;
      for (const Numbered& one : upstreams) {
        upstream::DirectSettings counted = one.upstream.settings;
        counted.connection.held = &worker.worker().held;
        places.resize(std::max<std::size_t>(places.size(), one.number + 1));
        places[one.number] = std::make_shared<upstream::DirectPlace>(worker.loop(), worker.tasks(), std::move(counted),
                                                                     one.upstream.slots);
      }
      worker.set_upstreams(std::move(places), listed);
    });
  }
}

absl::Status Workers::start() {
  for (std::size_t begun = 0; begun < workers_.size(); ++begun) {
    try {
      workers_[begun]->start();
    } catch (const std::system_error& e) {
      end(begun);
      return absl::ResourceExhaustedError(
          fmt::format("cannot start {} worker threads: {}; set [server] workers lower, or raise `ulimit -u`",
                      workers_.size(), e.code().message()));
    }
  }
  started_ = true;
  return absl::OkStatus();
}

void Workers::on(WorkerThread& worker, const std::function<void(WorkerThread&)>& work) {
  if (!started_) return work(worker);
  std::latch done(1);
  worker.post([&work, &done](WorkerThread& w) {
    work(w);
    done.count_down();
  });
  done.wait();
}

void Workers::run_all(const std::function<void(WorkerThread&)>& work) {
  if (!started_) return;  // or no more: nobody would run it
  std::latch done(static_cast<std::ptrdiff_t>(workers_.size()));
  post_all([&work, &done](WorkerThread& worker) {
    work(worker);
    done.count_down();
  });
  done.wait();
}

void Workers::settle() {
  if (started_) run_all([](WorkerThread&) {});
}

void Workers::revoked(const identity::Tenant*, const identity::User*, const identity::Key* key) noexcept {
  if (started_) run_all([](WorkerThread& worker) { worker.end_revoked(); });
  if (key == nullptr) responses_.sweep_soon();
  kept_calls_.look_at_revoked();
}

void Workers::stop() { end(workers_.size()); }

void Workers::end(std::size_t first_workers) {
  const std::span ending(workers_.data(), first_workers);
  for (const auto& worker : ending) {
    worker->post([](WorkerThread& w) {
      w.drain();
      w.finish();
    });
  }
  for (const auto& worker : ending) worker->join();
  started_ = false;
}

}  // namespace sluice::server
