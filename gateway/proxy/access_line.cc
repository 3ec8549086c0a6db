// The access log: one line for each call, at its end. Ids and numbers alone; nothing that a client wrote.
#include <fmt/format.h>

#include "proxy/exchange.h"

namespace sluice::proxy {
namespace {

// "key_40", as the admin API calls it; nothing of a caller that is not known.
class IdText final {
 public:
  IdText(std::string_view kind, std::uint64_t id) noexcept {
    if (id != 0) size_ = fmt::format_to_n(text_.data(), text_.size(), "{}_{}", kind, id).size;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  std::array<char, 32> text_;
  std::size_t size_ = 0;
};

double milliseconds(std::chrono::microseconds time) noexcept { return static_cast<double>(time.count()) / 1e3; }

}  // namespace

void Exchange::write_access_line() const noexcept {
  const policy::Caller& caller = call_.caller;
  const IdText tenant("tenant", caller.tenant_id), user("user", caller.user_id), key("key", caller.key_id);
  worker_.log.access({{"request_id", call_.request_id},
                      {"tenant_id", tenant.view()},
                      {"user_id", user.view()},
                      {"key_id", key.view()},
                      {"endpoint", call_.endpoint},
                      {"model", call_.model},
                      {"upstream", outcome_.upstream},
                      {"attempts", outcome_.attempts},
                      {"stream", call_.stream},
                      {"status", outcome_.status},
                      {"end", to_string(outcome_.reason)},
                      {"usage", to_string(outcome_.usage.source)},
                      {"prompt_tokens", outcome_.usage.prompt_tokens},
                      {"completion_tokens", outcome_.usage.completion_tokens},
                      {"queued_ms", milliseconds(queued_)},
                      {"ttft_ms", milliseconds(outcome_.ttft)},
                      {"duration_ms", milliseconds(outcome_.duration)}});
}

}  // namespace sluice::proxy
