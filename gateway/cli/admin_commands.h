// The commands that talk to a running gateway.
//
//   sluice tenant create NAME | list | show NAME | update NAME | revoke NAME
//   sluice user create NAME --tenant T | list [--tenant T] | show NAME --tenant T | update … | revoke …
//   sluice key create --tenant T --user U [--create] [--name NAME] [--model M]… [--expires D] [--budget B]… [--rpm N] …
//   sluice key list [--tenant T] [--user U] | show ID | revoke ID | rotate ID [--grace 7d]
//   sluice key update ID [--name NAME] [--suspend | --resume] [--expires D|none] [--model M… | --any-model] [--rpm N] …
//   sluice budget set | unset B (--key ID | --tenant T [--user U [--model M]])
//   sluice budget list | explain --key ID [--model M]
//   sluice pair create (--model M… | --any-model) [--tenant T]…
//   sluice agent list | revoke ID
//   sluice models | status | metrics | reload | drain | backup FILE | resume
//   sluice audit export --format csv|jsonl [--from --to --tenant --user --model]
//
// Each finds the gateway as socket_path.h says.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice::cli {

// Adds them to `app`; they set `exit_code`: 0, or behind one line on stderr 1 (refused or failed) or 2 (it makes no sense). A command that is there already (`agent`)
// gets its subcommands added.
// Lifetime: `exit_code` outlives the parse.
void add_admin_commands(CLI::App& app, int& exit_code);

}  // namespace sluice::cli
