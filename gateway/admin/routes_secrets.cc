// The admin API of secrets. No answer holds a value.
#include "admin/fields.h"
#include "admin/routes.h"
#include "admin/text.h"

namespace sluice::admin {

Routes::Made Routes::list_secrets(const Principal&, const Request&) {
  const auto listed = backend_.secrets.list();
  if (!listed.ok()) return listed.status();
  json::array all;
  for (const Secrets::Listed& one : *listed)
    all.push_back(json::object{{"name", one.record.name},
                               {"state", one.opens ? "good" : "cannot be opened"},
                               {"version", one.record.version},
                               {"used_by", json::array(one.used_by.begin(), one.used_by.end())},
                               {"created", format_time(one.record.created)},
                               {"changed", format_time(one.record.changed)}});
  return all;
}

Routes::Made Routes::secret(const Principal&, const Request& request) {
  const std::string& name = request.path[1];
  absl::Status done;
  if (request.method == "DELETE") {
    done = backend_.secrets.remove(name);
  } else {
    Fields fields(request.body);
    const identity::SecretText value = fields.secret("value");
    if (absl::Status good = fields.finish(); !good.ok()) return good;
    done = backend_.secrets.set(name, value);
  }
  if (done.ok()) done = backend_.gateway.use_secrets();
  if (!done.ok()) return done;
  return json::object{{"name", name}, {"done", request.method == "DELETE" ? "removed" : "set"}};
}

Routes::Made Routes::rotate_secrets(const Principal&, const Request&) {
  const auto sealed = backend_.secrets.rotate();
  if (!sealed.ok()) return sealed.status();
  return json::object{{"done", "rotated"}, {"secrets", *sealed}};
}

}  // namespace sluice::admin
