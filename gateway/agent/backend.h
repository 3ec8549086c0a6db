// The model server behind an agent: which models it has, how it is, and calls to it.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/backend_access.h"
#include "agent/options.h"
#include "agent/reporter.h"
#include "base/text.h"
#include "dialect/endpoint.h"
#include "http/h1/client_pool.h"
#include "net/task_group.h"
#include "upstream/model_list.h"

namespace sluice::agent {

// Thread:   owning worker only.
// Lifetime: the loop, the task group, the options and the reporter outlive it. stop() before the group is joined.
class Backend final {
 public:
  // `asked`: the endpoints that the server is asked for (agent/server_endpoints).
  Backend(net::Loop& loop, net::TaskGroup& tasks, BackendAccess access, const RunOptions& options,
          std::vector<dialect::Endpoint> asked, Reporter& reporter);

  // Looks at the server now and every poll interval, each second while it is away, and whenever somebody asks for it,
  // until stop(). Says on the terminal what it finds and every change of it.
  Task<void> watch();
  void stop() noexcept;

  // A connection or a stream was lost: look at once.
  void look_now() noexcept { wake_.notify(); }
  // No connection to the server is open but that of a look that found none and is not over: it may have been started
  // anew, with another model.
  [[nodiscard]] bool out_of_touch() noexcept { return finding_ || !pool_.in_touch(); }

  // Whoever waits for the list of the first look that begins from now on; `wake` is notified when it is there. A look
  // under way that ends late is enough, for a busy server is no other one. One that took the port over meanwhile, and is
  // as slow to list what it serves, may get a call for a model of before.
  // Lifetime: backend and signal outlive it.
  class NextLook final {
   public:
    NextLook(Backend& backend, net::Signal& wake);
    ~NextLook() { backend_.waiting_.erase(position_); }
    NextLook(const NextLook&) = delete;
    NextLook& operator=(const NextLook&) = delete;
    [[nodiscard]] bool over() const noexcept {
      return backend_.stopped_ || backend_.looked_ >= number_ || backend_.late_ >= under_way_;
    }

   private:
    Backend& backend_;
    std::uint64_t number_;
    std::uint64_t under_way_;  // number_: none is
    std::list<net::Signal*>::iterator position_;
  };

  // Whether the last look that was not late found this model.
  [[nodiscard]] bool serves(std::string_view model) const noexcept { return served_.find(model) != served_.end(); }
  // Once the server has been found to serve anything.
  [[nodiscard]] bool found() const noexcept { return found_; }
  // Notified when found() becomes true.
  void watch_found(net::Signal* signal) noexcept { watcher_ = signal; }
  // Its Authorization; empty: none.
  [[nodiscard]] std::string_view authorization() const noexcept { return access_.authorization; }

  // `path` begins with "/v1/"; the URL's own prefix goes before it.
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest& request,
                                                          net::Signal& wake) noexcept;

 private:
  struct Answer {
    unsigned status = 0;
    std::string body;
  };
  // kLate: the server took no connection, or gave no answer, in time; it may be busy.
  enum class Found : std::uint8_t { kList, kLate, kNothing };
  // What one look has found.
  struct Look {
    Found found = Found::kNothing;
    upstream::ModelList list;
    std::string trouble;  // why there is no list, or none of use
  };
  Task<Result<Answer>> ask(std::string_view path, std::chrono::milliseconds time, std::size_t limit_bytes);
  Task<Result<Answer>> ask(http::OutgoingRequest request, net::Deadline until, std::size_t limit_bytes);
  Task<Look> look();
  Task<void> ask_slots();
  [[nodiscard]] bool slots_are_due() const noexcept;
  Task<void> ask_endpoints();
  [[nodiscard]] std::string trouble_of(unsigned status) const;
  [[nodiscard]] std::string trouble_of(const Error& error) const;
  [[nodiscard]] std::chrono::milliseconds pause_behind(Found found) const noexcept;
  void take(const Look& look);
  void report(const Look& look);
  void say(const Look& look);
  void note_left_out(std::size_t entries);

  const BackendAccess access_;
  const RunOptions& options_;
  Reporter& reporter_;
  http::h1::ClientPool pool_;
  net::Signal wake_;
  std::uint64_t begun_ = 0;   // looks
  std::uint64_t looked_ = 0;  // the last whose list is there, or will not be
  std::uint64_t late_ = 0;    // the last that was late
  std::size_t late_in_a_row_ = 0;
  bool finding_ = false;  // a look is under way that began with no connection open
  std::list<net::Signal*> waiting_;
  std::unordered_set<std::string, StringHash, std::equal_to<>> served_;
  std::vector<std::string> names_;            // as last listed
  std::optional<std::size_t> slot_question_;  // which one this server answers
  bool slots_known_ = false;                  // it has been asked since its list last changed
  std::uint32_t slots_;                       // as last said
  std::optional<MonoTime> slots_asked_at_;    // of this server
  // Endpoints that the server is asked for, those of them that it has not, and whether it is to be asked again.
  const std::vector<dialect::Endpoint> asked_endpoints_;
  std::vector<std::string> lacks_;
  MonoTime endpoints_asked_at_;
  bool endpoints_due_ = true;
  bool unanswered_ = false;  // some question had no answer in time
  std::string said_;
  std::size_t left_out_ = 0;  // of the model server's last list
  bool found_ = false;
  net::Signal* watcher_ = nullptr;
  bool stopped_ = false;
  net::Signal asked_;
  // Of what is being asked for; stop() moves it to the past.
  net::Deadline ask_until_ = net::Deadline::never();
};

}  // namespace sluice::agent
