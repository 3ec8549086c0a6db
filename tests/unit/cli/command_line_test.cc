// What the command line says of what makes no sense, and of how it is used.
#include "cli/command_line.h"

#include <gtest/gtest.h>

#include <utility>

namespace sluice::cli {
namespace {

struct Parsed {
  int code = 0;
  std::string out, err;
};

struct CommandLine : testing::Test {
  CommandLine() {
    app.require_subcommand(1);
    app.set_version_flag("--version", "sluice 1.2.3");
    CLI::App* key = app.add_subcommand("key", "API keys")->require_subcommand(1);
    CLI::App* create = key->add_subcommand("create", "Create a key");
    create->add_option("--tenant", tenant, "whose")->required();
    create->callback([this] { exit_code = 7; });
    for (const char* name : {"list", "show", "revoke"}) key->add_subcommand(name, name);
    CLI::App* budget = app.add_subcommand("budget", "Budgets")->require_subcommand(1);
    for (const char* name : {"set", "list", "explain"}) budget->add_subcommand(name, name);
    app.add_subcommand("drain", "Drain")->callback([this] { drained = true; });
    app.add_subcommand("status", "Status");
    add_help(app, exit_code);
  }

  Parsed run(std::vector<const char*> words) {
    words.insert(words.begin(), "sluice");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Parsed ran;
    ran.code = cli::run(app, static_cast<int>(words.size()), words.data(), exit_code);
    ran.out = testing::internal::GetCapturedStdout();
    ran.err = testing::internal::GetCapturedStderr();
    return ran;
  }
  // REQUIRES: the words are wrong.
  std::string said(std::vector<const char*> words) {
    const Parsed ran = run(std::move(words));
    EXPECT_EQ(ran.code, kMisuse);
    EXPECT_EQ(ran.out, "");
    return ran.err;
  }

  CLI::App app{"a program", "sluice"};
  std::string tenant;
  int exit_code = 0;
  bool drained = false;
};

TEST_F(CommandLine, ACommandThatIsNearlyOneIsNamed) {
  EXPECT_EQ(said({"key", "creat"}), "sluice: there is no command `key creat`; did you mean `key create`?\n");
  EXPECT_EQ(said({"key", "lst", "--tenant", "x"}), "sluice: there is no command `key lst`; did you mean `key list`?\n");
  EXPECT_EQ(said({"staus"}), "sluice: there is no command `staus`; did you mean `status`?\n");
  EXPECT_EQ(said({"keys", "list"}), "sluice: there is no command `keys`; did you mean `key`?\n");
  EXPECT_EQ(said({"create", "key"}), "sluice: there is no command `create`; did you mean `key create`?\n");
  EXPECT_EQ(said({"list"}), "sluice: there is no command `list`; did you mean `key list` or `budget list`?\n");
  EXPECT_EQ(said({"key", "explain"}), "sluice: there is no command `key explain`; did you mean `budget explain`?\n");
  EXPECT_EQ(said({"version"}), "sluice: there is no command `version`; did you mean `--version`?\n");
  EXPECT_EQ(said({"quux"}), "sluice: there is no command `quux`; see: sluice help\n");
}

TEST_F(CommandLine, AnOptionThatIsNearlyOneIsNamedAndNothingIsDone) {
  EXPECT_EQ(said({"key", "create", "--tenat", "acme"}),
            "sluice: `key create` has no option --tenat; did you mean `--tenant`?\n");
  EXPECT_EQ(said({"key", "create", "--tenat=acme"}),
            "sluice: `key create` has no option --tenat; did you mean `--tenant`?\n");
  EXPECT_EQ(said({"drain", "--quux"}), "sluice: `drain` has no option --quux; see: sluice help drain\n");
  EXPECT_EQ(said({"--verson"}), "sluice: sluice has no option --verson; did you mean `--version`?\n");
  EXPECT_EQ(said({"drain", "now"}), "sluice: `drain` takes no argument now; see: sluice help drain\n");
  EXPECT_FALSE(drained);
}

TEST_F(CommandLine, WhatIsMissingIsSaid) {
  EXPECT_EQ(said({"key"}),
            "sluice: say what to do: key create, key list, key show, key revoke; see: sluice help key\n");
  EXPECT_EQ(said({"key", "create"}), "sluice: --tenant is required; see: sluice help key create\n");
  EXPECT_NE(said({}).find("see: sluice help"), std::string::npos);
}

TEST_F(CommandLine, HelpShowsACommandAsItsOwnHelpDoes) {
  for (const auto& words : std::vector<std::vector<const char*>>{{}, {"key"}, {"key", "create"}, {"drain"}}) {
    std::vector<const char*> asked = words, own = words;
    asked.insert(asked.begin(), "help");
    own.push_back("--help");
    const Parsed help = run(asked);
    EXPECT_EQ(help.code, 0);
    EXPECT_EQ(help.out, run(own).out);
    EXPECT_NE(help.out.find("Usage: sluice"), std::string::npos);
  }
  EXPECT_EQ(said({"help", "key", "creat"}), "sluice: there is no command `key creat`; did you mean `key create`?\n");
}

TEST_F(CommandLine, TheCommandsExitCodeIsTheProgramsAndVersionIsGood) {
  EXPECT_EQ(run({"key", "create", "--tenant", "acme"}).code, 7);
  const Parsed version = run({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, "sluice 1.2.3\n");
}

}  // namespace
}  // namespace sluice::cli
