#include "server/workers.h"

#include <fmt/format.h>

#include <algorithm>
#include <latch>
#include <system_error>

namespace sluice::server {

Workers::Workers(unsigned count, const Shared& shared) {
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

absl::Status Workers::listen(const config::Settings& settings, const net::ServerTls* tls) {
  for (const config::Listener& listener : settings.listeners) {
    auto endpoint = net::resolve_listen_address(listener.address);
    if (!endpoint.ok()) return endpoint.status();
    if (const absl::Status free = net::check_free(workers_.front()->loop(), *endpoint); !free.ok()) return free;
    for (const auto& worker : workers_) {
      auto front = make_front_settings(settings, listener, tls);
      if (!front.ok()) return front.status();
      auto opened = net::Listener::open(worker->loop(), *endpoint);
      if (!opened.ok()) return opened.status();
      *endpoint = (*opened)->endpoint();  // the first one's port where the system picked it
      worker->listen(*std::move(opened), *std::move(front));
    }
    addresses_.push_back(*endpoint);
  }
  return absl::OkStatus();
}

absl::Status Workers::apply(const config::Settings& settings, const net::ServerTls* tls,
                            const std::function<std::uint32_t(const std::string& upstream)>& number_of,
                            const WorkerThread::Listed& listed) {
  // Everything that can fail comes first.
  struct Upstream {
    upstream::DirectSettings settings;
    std::shared_ptr<upstream::Slots> slots;
    std::uint32_t number;
  };
  std::vector<Upstream> upstreams;
  for (const config::Upstream& upstream : settings.upstreams) {
    auto made = make_direct_settings(upstream);
    if (!made.ok()) return made.status();
    auto& slots = slots_[upstream.name];
    if (!slots) slots = std::make_shared<upstream::Slots>(upstream.slots);
    upstreams.push_back({*std::move(made), slots, number_of(upstream.name)});
  }
  std::vector<std::vector<std::shared_ptr<const FrontSettings>>> fronts(workers_.size());
  for (auto& of_worker : fronts) {
    for (const config::Listener& listener : settings.listeners) {
      auto front = make_front_settings(settings, listener, tls);
      if (!front.ok()) return front.status();
      of_worker.push_back(*std::move(front));
    }
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->post([upstreams, listed, fronts = fronts[i]](WorkerThread& worker) {
      for (std::size_t at = 0; at < fronts.size(); ++at) worker.set_front_settings(at, fronts[at]);
      std::vector<std::shared_ptr<upstream::DirectPlace>> places;
      for (const Upstream& made : upstreams) {
        places.resize(std::max<std::size_t>(places.size(), made.number + 1));
        places[made.number] =
            std::make_shared<upstream::DirectPlace>(worker.loop(), worker.tasks(), made.settings, made.slots);
      }
      worker.set_upstreams(std::move(places), listed);
    });
  }
  return absl::OkStatus();
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

void Workers::run_all(const std::function<void(WorkerThread&)>& work) {
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

void Workers::revoked(const identity::Tenant*, const identity::User*, const identity::Key*) noexcept {
  if (started_) run_all([](WorkerThread& worker) { worker.end_revoked(); });
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
}

}  // namespace sluice::server
