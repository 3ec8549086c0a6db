// Names of tools: one spelling each, and back.
#include <gtest/gtest.h>

#include <string>

#include "translate/tool_name.h"

namespace sluice::translate {
namespace {

std::string spelt(ToolKind kind, std::string_view space, std::string_view name) {
  WipedString text;
  append_function_name(text, kind, space, name);
  return std::string(text);
}

TEST(ToolName, AFunctionKeepsItsNameAndWhatIsNoneIsToldByIt) {
  EXPECT_EQ(spelt(ToolKind::kFunction, "", "exec_command"), "exec_command");
  EXPECT_EQ(spelt(ToolKind::kCustom, "", "apply_patch"), "apply_patch__custom");
  EXPECT_EQ(spelt(ToolKind::kFunction, "multi_agent_v1", "close_agent"), "ns14__multi_agent_v1__close_agent");
  EXPECT_EQ(spelt(ToolKind::kShell, "", "local_shell"), "local_shell__shell");
}

TEST(ToolName, EveryNameComesBackAsItWas) {
  for (const char* const name : {"f", "mcp__git__status", "x__custom", "x__function", "x__shell", "x__custom__function",
                                 "ns2__ab__c", "ns0__c", "ns", "__custom", "ns99__a", "ns2__ab__c__custom"}) {
    for (const char* const space : {"", "ab", "mcp__git", "ns2__ab__", "__"}) {
      for (const ToolKind kind : {ToolKind::kFunction, ToolKind::kCustom, ToolKind::kShell}) {
        const std::string text = spelt(kind, space, name);
        const ToolName back = tool_of(text);
        EXPECT_EQ(back.kind, kind) << text;
        EXPECT_EQ(std::string(back.space), space) << text;
        EXPECT_EQ(std::string(back.name), name) << text;
      }
    }
  }
}

}  // namespace
}  // namespace sluice::translate
