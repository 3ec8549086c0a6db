#include "server/worker_thread.h"

#include <algorithm>
#include <string>

#include "base/background.h"

namespace sluice::server {

WorkerThread::WorkerThread(unsigned index, const Shared& shared)
    : loop_(index),
      log_(shared.log),
      tasks_(loop_,
             [this](const char* what) {
               metrics_.fault();
               log_.error("fault in a task", {{"what", what}});
             }),
      metrics_(shared.meters, shared.metrics.shard(index)),
      worker_(loop_, shared.directory, shared.clock, shared.buffered, metrics_, shared.boot_id),
      lag_(loop_, shared.metrics.shard(index), shared.meters.loop_lag),
      catalog_(worker_.pool, [this](const std::string& model) { learn(model); }),
      front_(worker_, tasks_, shared.connections),
      work_(loop_.executor()) {
  worker_.doubts = &shared.doubts;
}

void WorkerThread::start() {
  thread_ = std::thread([this] {
    name_thread(("worker-" + std::to_string(loop_.index())).c_str());
    tasks_.spawn(lag_.watch());
    for (const auto& listening : listening_) accept_from(*listening);
    loop_.io().run();
  });
}

void WorkerThread::join() {
  if (thread_.joinable()) thread_.join();
}

void WorkerThread::listen(std::unique_ptr<net::Listener> listener, std::shared_ptr<const FrontSettings> settings) {
  listening_.push_back(std::make_unique<Listening>(Listening{std::move(listener), std::move(settings)}));
}

void WorkerThread::accept_from(Listening& listening) {
  tasks_.spawn(listening.listener->accept_all(
      [this, &listening](net::Socket socket) { front_.accept(std::move(socket), listening.settings); }));
}

void WorkerThread::set_front_settings(std::size_t listener, std::shared_ptr<const FrontSettings> settings) {
  listening_[listener]->settings = std::move(settings);
}

void WorkerThread::set_conf(std::shared_ptr<const proxy::Conf> conf, Learned learned) {
  learned_ = std::move(learned);
  worker_.conf = std::move(conf);
}

void WorkerThread::set_upstreams(std::vector<std::shared_ptr<upstream::DirectPlace>> places) {
  for (const auto& old : upstreams_) {
    old->stop();
    // One that stays under its name serves as it did until the new place has asked for its models.
    const bool stays = std::ranges::any_of(places, [&](const auto& place) { return place->name() == old->name(); });
    if (!stays) catalog_.withdraw(std::string(old->name()));
  }
  upstreams_ = std::move(places);
  for (const auto& place : upstreams_) {
    catalog_.expect(std::string(place->name()));
    tasks_.spawn(
        place->watch([this, place = place.get()](const upstream::ModelList& models) { offer(place, models); }));
  }
}

// What a direct upstream has told. Nothing, where it could not be reached, is an answer, too: a model that nobody knows
// does not wait for it.
void WorkerThread::offer(const upstream::DirectPlace* place, const upstream::ModelList& models) {
  const auto known = std::ranges::find(upstreams_, place, [](const auto& each) { return each.get(); });
  if (known == upstreams_.end()) return;
  if (models.names.empty() && !place->reachable()) return catalog_.told_nothing(std::string(place->name()));
  std::vector<upstream::Catalog::Offer> offers;
  for (const std::string& model : models.names) offers.emplace_back(model, *known);
  catalog_.offer(std::string(place->name()), std::move(offers));
  std::size_t& told = left_out_[std::string(place->name())];
  if (std::exchange(told, models.left_out) == models.left_out || models.left_out == 0 || loop_.index() != 0) return;
  log_.warn("entries of an upstream's /v1/models have no usable id and are left out",
            {{"upstream", place->name()}, {"left_out", models.left_out}, {"listed", models.names.size()}});
}

// A model that nobody configured: it gets default settings, in a new conf of this worker's own.
void WorkerThread::learn(const std::string& model) {
  if (!worker_.conf || worker_.conf->models.contains(model)) return;
  auto conf = std::make_shared<proxy::Conf>(*worker_.conf);
  conf->models.emplace(model, learned_ ? learned_(model) : proxy::ModelSettings{});
  worker_.conf = std::move(conf);
}

void WorkerThread::drain() noexcept {
  for (const auto& listening : listening_) listening->listener->close();
  front_.drain();
}

void WorkerThread::end_revoked() noexcept {
  for (proxy::RunningCall* call : worker_.running) {
    if (call->key != nullptr && !call->key->live(worker_.clock.wall())) call->wake->notify();
  }
}

void WorkerThread::cut() noexcept {
  for (proxy::RunningCall* call : worker_.running) {
    call->drained = true;
    call->wake->notify();
  }
}

void WorkerThread::close_all() noexcept { front_.cut(); }

void WorkerThread::finish() {
  lag_.stop();
  for (const auto& place : upstreams_) place->stop();
  if (closing_) tasks_.spawn(closing_());
  tasks_.when_idle([this] {
    work_.reset();
    loop_.io().stop();
  });
}

}  // namespace sluice::server
