// Coroutines: Task<T> is the one coroutine type, net::TaskGroup the one way to start one.
//
// Not asio::awaitable: that one keeps a stack of frames for each thread of execution and posts each wake-up as an
// operation of its own, with its lock and its allocation. Here awaiting a task that does not have to wait is a call,
// and frames come from a pool of the thread.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "base/blocks.h"

namespace sluice {

namespace asio = boost::asio;

using Executor = asio::io_context::executor_type;

namespace detail {

struct Promise : Pooled {
  std::coroutine_handle<> awaiting;  // null: nobody waits yet
  std::exception_ptr fault;

  // At its end a task goes on with whoever awaits it. The frame may be gone when resume() returns.
  struct End {
    bool await_ready() const noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> ended) const noexcept {
      if (const std::coroutine_handle<> next = ended.promise().awaiting) next.resume();
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  End final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { fault = std::current_exception(); }
};

template <class T>
struct ValuePromise : Promise {
  std::optional<T> value;
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    if (fault) std::rethrow_exception(fault);
    return *std::move(value);
  }
};

template <>
struct ValuePromise<void> : Promise {
  void return_void() const noexcept {}
  void take() const {
    if (fault) std::rethrow_exception(fault);
  }
};

}  // namespace detail

// A lazy coroutine: it begins when it is awaited, on the loop of whoever awaits it.
// Thread:   one loop only.
// Lifetime: owns the coroutine. What the coroutine refers to outlives the co_await.
template <class T>
class [[nodiscard]] Task final {
 public:
  struct promise_type : detail::ValuePromise<T> {
    Task get_return_object() noexcept { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
  };

  Task(Task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~Task() {
    if (coroutine_) coroutine_.destroy();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> coroutine;
      bool await_ready() const noexcept { return false; }
      // Runs the task here and now. A loop over tasks that never wait needs no deeper stack: each has returned.
      bool await_suspend(std::coroutine_handle<> awaiting) const {
        coroutine.resume();
        if (coroutine.done()) return false;
        coroutine.promise().awaiting = awaiting;
        return true;
      }
      T await_resume() const { return coroutine.promise().take(); }
    };
    return Awaiter{coroutine_};
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}
  std::coroutine_handle<promise_type> coroutine_;
};

// Completion token of Asio's own operations: `auto [ec, n] = co_await socket.async_wait(…, use_task);` gives a tuple of
// what the operation's handler is called with.
// Lifetime: the coroutine is resumed by the operation's end and by nothing else: cancel it and wait.
struct UseTask {};
inline constexpr UseTask use_task{};

namespace detail {

// One operation of Asio's and the coroutine that waits for it.
template <class Initiation, class... Values>
class Operation final {
 public:
  explicit Operation(Initiation initiation) : initiation_(std::move(initiation)) {}
  Operation(const Operation&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    std::move(initiation_)([this, waiting](Values... values) {
      values_.emplace(std::move(values)...);
      waiting.resume();
    });
  }
  std::tuple<Values...> await_resume() { return *std::move(values_); }

 private:
  Initiation initiation_;
  std::optional<std::tuple<Values...>> values_;
};

}  // namespace detail
}  // namespace sluice

// Asio's way of asking what a call with our token returns.
template <class... Values>
class boost::asio::async_result<sluice::UseTask, void(Values...)> {
 public:
  template <class Initiation, class... Arguments>
  static auto initiate(Initiation&& initiation, const sluice::UseTask&, Arguments&&... arguments) {
    auto start = [initiation = std::forward<Initiation>(initiation),
                  arguments = std::tuple<std::decay_t<Arguments>...>(std::forward<Arguments>(arguments)...)](
                     auto handler) mutable {
      std::apply([&](auto&... each) { std::move(initiation)(std::move(handler), std::move(each)...); }, arguments);
    };
    return sluice::detail::Operation<decltype(start), std::decay_t<Values>...>(std::move(start));
  }
};
