// Coroutines: Task<T> is the one coroutine type, TaskGroup the one way to start one.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice {

namespace asio = boost::asio;

using Executor = asio::io_context::executor_type;

// A lazy coroutine on one loop. It runs on the executor of whoever awaits it.
template <class T>
using Task = asio::awaitable<T, Executor>;

// Completion token of every asynchronous call: `auto [ec, n] = co_await socket.async_wait(…, use_task);`
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> use_task{};

}  // namespace sluice
