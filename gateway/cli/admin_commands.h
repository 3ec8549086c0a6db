// The commands that talk to a running gateway.
//
//   sluice tenant create NAME | list | show NAME | update NAME | revoke NAME
//   sluice user create NAME --tenant T | list [--tenant T] | show NAME --tenant T | update … | revoke …
//   sluice key create --tenant T --user U [--model M]… [--rpm N] [--tpm N] [--concurrency N] [--budget B]…
//                     [--expires D] [--create]
//                     [--name NAME]
//   sluice key list [--tenant T [--user U]] | show ID | revoke ID | rotate ID [--grace 7d]
//   sluice key update ID [--name NAME] [--suspend | --resume] [--expires D|none] [--model M… | --any-model] [--rpm N|none] …
//   sluice budget set | unset (--key ID | --tenant T [--user U [--model M]]) --budget B
//   sluice budget list          sluice budget explain --key ID [--model M]
//   sluice pair create          sluice agent list | revoke ID
//   sluice models | status | metrics | reload | drain
//   sluice audit export --format csv|jsonl [--from --to --tenant --user --model]
//
// Each finds the gateway as socket_path.h says.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice::cli {

// Adds them to `app`; they set `exit_code`: 0, or 1 after one line on stderr. A command that is there already (`agent`)
// gets its subcommands added.
// Lifetime: `exit_code` outlives the parse.
void add_admin_commands(CLI::App& app, int& exit_code);

}  // namespace sluice::cli
