#include "proxy/erase_responses.h"

#include <algorithm>
#include <span>

#include "proxy/errand.h"
#include "proxy/stored_path.h"

namespace sluice::proxy {
namespace {

using Erased = StoredResponses::Erased;

constexpr std::chrono::milliseconds kLongestAnswer{10'000};

// The row of the table that deletes what is stored, or ends it where there is no such row; null: no dialect has one.
struct Deletion {
  const dialect::Endpoint* endpoint = nullptr;
  std::uint32_t number = 0;
};
Deletion deletion_in(const dialect::Table& table, Kept kept) noexcept {
  const auto rows = table.endpoints();
  Deletion found;
  for (std::uint32_t number = 0; number < rows.size(); ++number) {
    if (rows[number].work != dialect::Work::kStored || rows[number].kept != kept) continue;
    if (rows[number].method == "DELETE") return {&rows[number], number};
    if (rows[number].method == "POST") found = {&rows[number], number};
  }
  return found;
}

// What a status of the answer means. 0: none came.
Erased outcome_of(unsigned status) noexcept {
  if (status >= 200 && status < 300) return Erased::kDone;
  const bool for_now =
      status < 400 || status >= 500 || status == 401 || status == 403 || status == 408 || status == 429;
  return for_now && status != 501 ? Erased::kLater : Erased::kDone;
}

Task<Erased> erase(Worker& worker, const Deletion& deletion, const store::ResponseRecord& response, Errand& errand) {
  // What runs is ended first, and asked for what it used.
  if (worker.kept_calls != nullptr && worker.kept_calls->holds(response.user_id, response.id)) co_return Erased::kLater;
  upstream::Lease lease;
  const upstream::Wanted wanted{
      .model = response.model, .tenant_id = response.tenant_id, .endpoint = deletion.number, .place = response.place};
  const upstream::Supply supply = worker.pool.take(wanted, {}, lease);
  if (supply == upstream::Supply::kNotTaken) co_return Erased::kDone;  // nothing that it would understand
  if (supply != upstream::Supply::kTaken) co_return Erased::kLater;
  ReplyHeaders headers;
  headers.add("accept", "application/json");
  headers.add("accept-encoding", "identity");
  for (const http::Header& header : lease->headers()) headers.add(header.name, header.value);
  std::string path;
  const http::OutgoingRequest request{
      .method = deletion.endpoint->method,
      .path = stored_path(*lease, {.endpoint = *deletion.endpoint, .id = response.id}, response.model, path),
      .headers = headers.span(),
      .body = {}};
  const net::Deadline until = net::Deadline::after(std::min(lease->times().head, kLongestAnswer));
  const std::unique_ptr<http::OutgoingCall> call = lease->start(request, errand.wake);
  while (call->head() == nullptr && call->state() == http::CallState::kRunning) {
    if (errand.call.drained || until.passed()) co_return Erased::kLater;
    (void)co_await errand.wake.wait(until);
  }
  co_return outcome_of(call->head() == nullptr ? 0 : call->head()->status);
}

// What became of each: the next few are handed over once this is told of all, also where a fault ends it.
struct Reports {
  StoredResponses& to;
  std::span<const store::ResponseRecord> rest;
  Reports(StoredResponses& responses, std::span<const store::ResponseRecord> all) noexcept : to(responses), rest(all) {}
  Reports(const Reports&) = delete;
  ~Reports() { to.left_alone(rest.size()); }
  void tell(Erased how) {
    to.erased(rest.front(), how);
    rest = rest.subspan(1);
  }
};

}  // namespace

Task<void> erase_responses(Worker& worker, std::vector<store::ResponseRecord> responses) {
  Errand errand(worker);
  Reports reports{*worker.responses, responses};
  std::size_t erased = 0;
  while (!reports.rest.empty()) {
    Erased how = Erased::kDone;
    const Deletion deletion = deletion_in(worker.dialects, reports.rest.front().kept);
    if (deletion.endpoint != nullptr) how = co_await erase(worker, deletion, reports.rest.front(), errand);
    if (errand.call.drained) co_return;
    if (how == Erased::kDone) ++erased;
    reports.tell(how);
  }
  worker.log.info("responses of revoked users were deleted where they are kept",
                  {{"deleted", erased}, {"to_try_again", responses.size() - erased}});
}

}  // namespace sluice::proxy
