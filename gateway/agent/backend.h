// The model server behind an agent: which models it has, and calls to it.
#pragma once

#include <memory>
#include <string>

#include "agent/options.h"
#include "agent/reporter.h"
#include "http/client_pool.h"
#include "net/task_group.h"
#include "upstream/model_list.h"

namespace sluice::agent {

// Thread:   owning worker only.
// Lifetime: the loop, the task group and the reporter outlive it. stop() before the group is joined.
class Backend final {
 public:
  Backend(net::Loop& loop, net::TaskGroup& tasks, http::BaseUrl url, const RunOptions& options, Reporter& reporter);

  // Asks for the models now and every poll interval, each second while the server is away, until stop().
  Task<void> watch();
  void stop() noexcept;
  // A call failed to connect: look at once whether the server is there.
  void look_now() noexcept { wake_.notify(); }

  // `path` begins with "/v1/"; the URL's own prefix goes before it.
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest& request,
                                                          net::Signal& wake) noexcept;

 private:
  Task<Result<upstream::ModelList>> ask_models();

  // Says so once for each change.
  void note_left_out(std::size_t entries);

  const RunOptions& options_;
  Reporter& reporter_;
  http::ClientPool pool_;
  net::Signal wake_;
  std::size_t left_out_ = 0;  // of the model server's last list
  bool stopped_ = false;
  net::Signal asked_;
  // Of the list that is being asked for; stop() moves it to the past.
  net::Deadline ask_until_ = net::Deadline::never();
};

}  // namespace sluice::agent
