#include "server/worker_thread.h"

#include <algorithm>
#include <string>
#include <system_error>

#include "base/background.h"
#include "proxy/ask_after.h"
#include "proxy/erase_responses.h"

namespace sluice::server {

WorkerThread::WorkerThread(unsigned index, const Shared& shared)
    : loop_(index),
      log_(shared.log),
      outages_(shared.outages),
      unlisted_(shared.unlisted),
      lacking_(shared.lacking),
      tasks_(loop_,
             [this](const char* what) {
               metrics_.fault();
               log_.error("fault in a task", {{"what", what}});
             }),
      metrics_(shared.meters, shared.metrics.shard(index)),
      worker_(loop_, shared.dialects, shared.directory, shared.clock, shared.held, metrics_, shared.log,
              shared.boot_id),
      lag_(loop_, shared.metrics.shard(index), shared.meters.loop_lag),
      front_(worker_, tasks_, shared.connections),
      work_(loop_.executor()) {
  worker_.doubts = &shared.doubts;
  worker_.large_bodies = &shared.large_bodies;
  worker_.responses = &shared.responses;
  worker_.kept_calls = &shared.kept_calls;
}

void WorkerThread::start() {
  thread_ = std::thread([this] {
    name_thread(("worker-" + std::to_string(loop_.index())).c_str());
    tasks_.spawn(lag_.watch());
    loop_.io().run();
  });
}

void WorkerThread::join() {
  if (thread_.joinable()) thread_.join();
}

void WorkerThread::hold(ListenerId id, std::unique_ptr<net::Listener> listener) {
  listening_[id] = std::make_shared<Listening>(Listening{std::move(listener), nullptr});
}

void WorkerThread::drop(ListenerId id) noexcept { listening_.erase(id); }

void WorkerThread::set_listening(const std::vector<ListeningAs>& listening) {
  for (const ListeningAs& as : listening) {
    const ListeningPtr& one = listening_.at(as.id);
    const bool fresh = std::exchange(one->settings, as.settings) == nullptr;
    if (fresh) tasks_.spawn(accept_from(one));
  }
  std::erase_if(listening_, [&](const auto& entry) {
    const bool stays = std::ranges::find(listening, entry.first, &ListeningAs::id) != listening.end();
    if (!stays) close(*entry.second);
    return !stays;
  });
}

Task<void> WorkerThread::accept_from(ListeningPtr listening) {
  const net::Listener::Accepted accepted = [this, &listening](net::Socket socket) {
    front_.accept(std::move(socket), listening->settings);
  };
  co_await listening->listener->accept_all(accepted);
}

void WorkerThread::close(Listening& listening) noexcept {
  listening.listener->accept_waiting([&](net::Socket socket) { front_.accept(std::move(socket), listening.settings); });
  listening.listener->close();
}

void WorkerThread::set_models(std::shared_ptr<const proxy::Conf> conf, std::shared_ptr<const upstream::Models> models) {
  worker_.conf = std::move(conf);
  worker_.pool.set_queue_bounds(worker_.conf->settings.queue);
  worker_.pool.set_models(std::move(models));
}

void WorkerThread::set_upstreams(std::vector<std::shared_ptr<upstream::DirectPlace>> places, Listed listed) {
  listed_ = std::move(listed);
  for (const Upstream& old : upstreams_) {
    if (old.place == nullptr) continue;
    old.place->stop();
    outages_.forget(std::string(old.place->name()), loop_.index());
    unlisted_.forget(std::string(old.place->name()), loop_.index());
    lacking_.forget(std::string(old.place->name()), loop_.index());
  }
  upstreams_.clear();
  worker_.pool.set_upstreams({places.begin(), places.end()});
  for (const auto& place : places) {
    upstreams_.push_back({.place = place, .list = {}});
    if (place == nullptr) continue;
    // What watches a place holds it: a reload drops it here while the watcher is still about to see that it ended.
    tasks_.spawn(place->watch([this, place](const upstream::ModelList& models) { hear(place.get(), models); }));
  }
}

// What a direct upstream has told. Nothing, where it could not be reached, is an answer, too: a model that nobody knows
// does not wait for it.
void WorkerThread::hear(const upstream::DirectPlace* place, const upstream::ModelList& models) {
  const auto known = std::ranges::find(upstreams_, place, [](const Upstream& each) { return each.place.get(); });
  if (known == upstreams_.end()) return;
  worker_.pool.wake_all();  // it may be reachable again
  note_outage(*place);
  std::optional<upstream::ModelList> list;
  if (!models.names.empty() || place->reachable()) list = models;
  if (std::exchange(known->told, true) && known->list == list) return;
  known->list = std::move(list);
  listed_(std::string(place->name()), known->list);
}

void WorkerThread::note_outage(const upstream::DirectPlace& place) {
  const std::string name(place.name());
  if (place.unlisted()) {
    unlisted_.away(name, loop_.index(), place.unlisted()->what);
  } else if (!place.away()) {
    unlisted_.there(name, loop_.index());
  }
  if (place.lacking().empty()) {
    lacking_.there(name, loop_.index());
  } else {
    lacking_.away(name, loop_.index(), place.lacking());
  }
  if (!place.away()) return outages_.there(name, loop_.index());
  outages_.away(name, loop_.index(), place.why_away());
}

void WorkerThread::erase(std::vector<store::ResponseRecord> responses) {
  tasks_.spawn(proxy::erase_responses(worker_, std::move(responses)));
}

void WorkerThread::ask(proxy::KeptCalls::Question question) {
  tasks_.spawn(proxy::ask_after(worker_, std::move(question)));
}

void WorkerThread::drain() noexcept {
  for (const auto& [id, listening] : listening_) listening->listener->close();
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
  for (const Upstream& upstream : upstreams_) {
    if (upstream.place) upstream.place->stop();
  }
  if (closing_) tasks_.spawn(closing_());
  tasks_.when_idle([this] {
    work_.reset();
    loop_.io().stop();
  });
}

}  // namespace sluice::server
