// Result<T>: a value or an Error. The only way that the data plane reports failure.
#pragma once

#include <boost/system/result.hpp>
#include <cstdlib>
#include <utility>

#include "base/error.h"

namespace sluice {

// Found by argument-dependent look-up when `value()` is called on an error, which is a bug: nothing throws on the data
// plane.
[[noreturn]] inline void throw_exception_from_error(const Error&, const boost::source_location&) { std::abort(); }

// `*result` and `result->` after `if (!result)`; `result.error()` otherwise.
template <class T>
class [[nodiscard]] Result : public boost::system::result<T, Error> {
 public:
  using boost::system::result<T, Error>::result;
};

using Status = Result<void>;

[[nodiscard]] inline Status ok() noexcept { return {}; }

}  // namespace sluice

// Returns the error of `expression` (a Status) from the enclosing coroutine.
#define SLUICE_CO_TRY(expression)                                                           \
  do {                                                                                      \
    if (auto sluice_status = (expression); !sluice_status) co_return sluice_status.error(); \
  } while (false)

// The same in a plain function.
#define SLUICE_TRY(expression)                                                           \
  do {                                                                                   \
    if (auto sluice_status = (expression); !sluice_status) return sluice_status.error(); \
  } while (false)
