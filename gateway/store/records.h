// What the store keeps, as plain values. Ids are its rows: opaque, never used twice.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/kept.h"
#include "base/limits.h"
#include "identity/binding.h"
#include "identity/sha256.h"
#include "journal/audit_record.h"

namespace sluice::store {

struct TenantRecord {
  std::uint64_t id = 0;
  std::string name;  // unique among tenants that are not revoked
  LimitSpec limits;
  WallTime created;
  std::optional<WallTime> revoked;
};

struct UserRecord {
  std::uint64_t id = 0;
  std::uint64_t tenant_id = 0;
  std::string name;  // unique within its tenant among users that are not revoked
  LimitSpec limits;
  WallTime created;
  std::optional<WallTime> revoked;
};

struct KeyRecord {
  std::uint64_t id = 0;
  std::uint64_t user_id = 0;
  identity::Sha256 hash{};
  std::string hint;                 // "sk-sluice-7Gh2…", for lists
  std::vector<std::string> models;  // empty: every model
  std::optional<WallTime> expires;
  LimitSpec limits;
  WallTime created;
  std::optional<WallTime> revoked;
  std::optional<WallTime> suspended{};  // refused until it is resumed
  std::string name{};                   // for people; may be empty, not unique
  // The secret before, and until when it is good beside `hash`.
  struct Replaced {
    identity::Sha256 hash{};
    WallTime until;
  };
  std::optional<Replaced> replaced{};
};

// Whose keys. 0: of everybody.
struct KeyFilter {
  std::uint64_t tenant_id = 0;
  std::uint64_t user_id = 0;
};

// A budget on a key, user, tenant, model, or on a user's use of a model. One subject has at most one of each unit,
// period and kind (soft or not).
struct BudgetRecord {
  Scope scope = Scope::kKey;
  std::uint64_t subject = 0;  // id of the key, user or tenant; 0 with kModel
  std::string model;          // with kModel and kUserModel; else empty
  BudgetSpec spec;
  bool operator==(const BudgetRecord&) const = default;
};

struct AgentRecord {
  std::uint64_t id = 0;     // random, since certificates that name it may outlive the store
  std::string name;         // for people; not unique
  std::string fingerprint;  // SHA-256 of its newest certificate, hex
  WallTime expires;         // of that certificate
  WallTime created;
  std::optional<WallTime> revoked;
  std::optional<WallTime> suspended{};  // refused until it is resumed
  identity::Binding binding;
};

// Ids of keys and agents.
struct KeysAndAgents {
  std::vector<std::uint64_t> keys, agents;
};

// A model and an agent that serves it, or last did.
struct KnownModel {
  std::uint64_t agent_id = 0;
  std::string model;
  WallTime seen;
};

// What is known of a file beyond whose it is.
struct FileFacts {
  std::string purpose;  // "batch"; of a batch the id of the file that it was made of
  std::uint64_t bytes = 0;
  // Of one with the calls of a batch, and of the batch.
  std::string endpoint;             // that all of them call: "chat.completions"
  std::uint64_t prompt_tokens = 0;  // estimates, together
  std::uint64_t output_tokens = 0;  // at most
};

// A response, file or batch that a model server keeps: whose it is, and which place keeps it.
struct ResponseRecord {
  std::string id;  // as the model server calls it
  std::uint64_t tenant_id = 0, user_id = 0, key_id = 0;
  std::string place;  // name of the upstream or agent
  std::string model;  // as the gateway calls it
  WallTime created, expires;
  Kept kept = Kept::kResponse;
  FileFacts file{};
};

// A change of them, by user and id.
struct ResponseChange {
  enum class Kind : std::uint8_t {
    kAdd,       // or put in place of the one with this id, which the place has given anew
    kAddMade,   // a file that a batch has made; without effect where it is known
    kAddItems,  // of its output; without effect where there is no such response
    kForget,
    kEraseLater,  // one that is to be erased and whose place could not be asked: others come first
  };
  Kind kind = Kind::kAdd;
  ResponseRecord response;         // but for kAdd and kAddMade, user_id and id alone
  std::vector<std::string> items;  // ids
};

// A call that its place goes on with by itself, behind an answer that told its id: what asks after it, and charges it
// once.
struct KeptCall {
  enum class Kind : std::uint8_t { kResponse, kBatch };  // its number is what the store keeps
  Kind kind = Kind::kResponse;
  std::string id;        // as the place calls it
  std::string place;     // name of the upstream or agent
  std::string model;     // as the gateway calls it
  std::string endpoint;  // that began it, by its name: "responses"
  std::uint64_t tenant_id = 0, user_id = 0, key_id = 0;
  // The records of the call that began it and of its charge are (boot_id, number) and (boot_id, settle_number), in
  // whichever process they are written: so each is charged once.
  std::uint64_t boot_id = 0, number = 0, settle_number = 0;
  WallTime began, until;                                   // until: when it is waited for no longer
  std::int64_t day_us = 0;                                 // that it is charged to
  bool stream = false;                                     // its client asked for a stream
  std::uint64_t prompt_estimate = 0, reserved_output = 0;  // tokens that it holds
  std::uint64_t most_prompt = 0, most_output = 0;          // what it may claim to have used
  Price price;                                             // as it was when it began
  std::string request_id, client_request_id, client_ip;
  std::string labels;    // a JSON object; empty: none
  bool charged = false;  // by the call that began it: it is to be ended, and nothing more

  [[nodiscard]] PriceClass price_class() const noexcept {
    return kind == Kind::kBatch ? PriceClass::kBatch : PriceClass::kStandard;
  }
};

// Something that must not be read by who reads the store.
struct SecretRecord {
  std::string name;
  std::uint64_t version = 0;  // grows with each change of its value; sealed with it
  std::string sealed;         // identity/master_key.h
  WallTime created;
  WallTime changed;
};

struct AuditFilter {
  std::optional<WallTime> from;     // began at or after
  std::optional<WallTime> to;       // began before
  std::string tenant, user, model;  // names; empty: all. model: as asked for or as served
  std::uint64_t tenant_id = 0;      // beside or in place of the name; 0: all
  std::uint64_t user_id = 0;
};

// Where a page of audit records ended, so that the next one goes on behind it.
struct AuditPlace {
  WallTime began{WallTime::min()};
  std::uint64_t boot_id = 0;
  std::uint64_t number = 0;
};
struct AuditPage {
  std::vector<journal::AuditRecord> records;  // oldest first
  AuditPlace end;
};

}  // namespace sluice::store
